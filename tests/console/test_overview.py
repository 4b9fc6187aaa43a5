"""The overview: the last hour as a picture, the last minute in numbers, and a list of what needs a look."""

import re
from datetime import UTC, datetime, timedelta

from tests.console.conftest import CUSTOMER, SUSPENDED
from tests.console.screens import console, hint, query
from tests.db.seed import add_request

RECENT = timedelta(seconds=20)


def ago(age: timedelta) -> datetime:
    return datetime.now(UTC) - age


async def test_traffic_of_the_last_minute_is_summed_up(business: str) -> None:
    add_request(business, timestamp=ago(RECENT), repeat=297, time_total=40)
    add_request(business, timestamp=ago(RECENT), status_code=503, event_type=52, traffic_type=6, repeat=3)
    add_request(business, timestamp=ago(timedelta(minutes=9)), repeat=300)
    async with console(business) as deck:
        await deck.sees("last minute: ", "5xx 1.00 %", "latency p50 44 p95 48 p99 48 ms")
        busiest = deck.line(str(CUSTOMER))
        assert "300" in busiest
        assert "1.0 %" in busiest
        assert "guaranteed 99%" in deck.text  # of the hour


async def test_without_traffic_it_says_so_and_through_pgbouncer_that_nobody_else_is_seen(same_business: str) -> None:
    async with console(same_business, pgbouncer=True) as deck:
        await deck.sees("No request was logged in the last minute.", "No customer sent a request.")
        await deck.sees("who is here through pgbouncer is not known", "others not known")


async def test_enter_opens_the_busiest_customer_under_the_cursor(business: str) -> None:
    add_request(business, timestamp=ago(RECENT), customer_id=7, repeat=5)
    add_request(business, timestamp=ago(RECENT), customer_id=CUSTOMER, repeat=9)
    async with console(business) as deck:
        await deck.sees("requests/s")
        await deck.press("down", "enter")
        await deck.sees("customer 7", "wallet")


async def test_a_revoked_key_that_is_served_needs_a_look_and_enter_opens_it(business: str) -> None:
    query(
        business, "UPDATE api_keys SET is_active = false, revoked_at = now() - interval '9 min' WHERE api_key_fp = 42"
    )
    add_request(business, timestamp=ago(RECENT), api_key_fp=42)
    async with console(business) as deck:
        await deck.sees(
            "▲ bad", "revoked key 0x0000002a is still served: 1 request(s) in 5 min", "▲ 1 revoked key(s) served"
        )
        assert re.search(r" (\d\d:\d\d|\d\d-\d\d) ", deck.line("▲ bad")), "since when"
        await deck.press("shift+tab", "enter")
        await deck.sees("0x0000002a, decimal 42", "STILL SERVED")


async def test_what_the_list_has_no_room_for_stands_below_it(business: str) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=9)
    query(business, "UPDATE api_keys SET is_active = false, revoked_at = %s WHERE api_key_fp = 42", long_ago)
    query(business, "UPDATE customers SET updated_at = now() - interval '9 min' WHERE customer_id = %s", SUSPENDED)
    add_request(business, timestamp=ago(RECENT), api_key_fp=42)
    add_request(business, timestamp=ago(RECENT), customer_id=SUSPENDED)
    async with console(business, size=(80, 24)) as deck:
        key = f"revoked key 0x0000002a is still served: 1 request(s) in 5 min, since {long_ago:%Y-%m-%d %H:%M:%S}"
        await deck.until(lambda: key in deck.prose, "the first, whole")
        await deck.press("shift+tab", "down")
        await deck.until(lambda: f"customer {SUSPENDED} is not active but served: 1 request(s)" in deck.prose, "second")
        assert "is still served: 1 request(s)" not in deck.prose


async def test_a_suspended_customer_that_is_served_needs_a_look(business: str) -> None:
    query(business, "UPDATE customers SET updated_at = now() - interval '9 min' WHERE customer_id = %s", SUSPENDED)
    add_request(business, timestamp=ago(RECENT), customer_id=SUSPENDED)
    async with console(business) as deck:
        await deck.sees(f"customer {SUSPENDED} is not active but served")


async def test_maintenance_mode_shows_in_the_header_and_in_the_list_at_the_next_hint(business: str) -> None:
    async with console(business) as deck:
        await deck.sees("maintenance off")
        query(business, "UPDATE system_control SET maintenance_mode = true")
        hint(business, "control")
        await deck.sees("maintenance mode is on: new signups are paused", wait_s=3)
        await deck.until(lambda: "MAINTENANCE" in deck.header, "the header says MAINTENANCE")


async def test_after_a_prompt_was_closed_the_keys_move_the_cursor_again(business: str) -> None:
    add_request(business, timestamp=ago(RECENT), customer_id=7)
    async with console(business) as deck:
        await deck.sees("requests/s")
        await deck.press("colon", "escape", "enter")
        await deck.sees("customer 7", "wallet")

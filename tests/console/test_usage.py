"""The usage screen: what it counts is what SQL counts; windows, filters, the cursor, and the ways out."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest

from db.database import Database
from db.suiftly.jobs.log_consumer import take_step
from db.suiftly.jobs.roll_up_traffic import RollUpTraffic
from tests.console.command import opsdeck
from tests.console.conftest import CUSTOMER, OTHER_CUSTOMER
from tests.console.screens import console, query
from tests.db.seed import add_request


def at(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


async def seed(dsn: str) -> None:
    """Of the last hour, of yesterday, and of the day before; some rolled up."""
    for minutes, repeat, more in (
        (10, 1000, {}),
        (20, 200, {"status_code": 503, "traffic_type": 1}),
        (25, 50, {"customer_id": OTHER_CUSTOMER, "status_code": 404, "server_id": 0x27}),
        (26 * 60, 625, {}),
        (60 * 24 * 6, 4000, {"time_total": 900}),
    ):
        add_request(dsn, timestamp=at(minutes), repeat=repeat, **more)
    database = Database(dsn)
    await database.open()
    async with database.writing() as connection:
        await take_step(connection, RollUpTraffic())
    await database.close()


def summed(dsn: str, table: str, condition: str = "true") -> tuple[int, int]:
    ((requests, bytes_),) = query(
        dsn,
        f"SELECT coalesce(sum(repeat), 0)::int, coalesce(sum(bytes_sent), 0)::int FROM {table} WHERE {condition}",
    )
    return requests, bytes_


async def test_the_sums_on_screen_are_the_sums_in_sql(business: str) -> None:
    await seed(business)
    add_request(business, timestamp=at(0.1), repeat=7)  # not rolled up
    async with console(business) as deck:
        await deck.press("5")
        await deck.sees("1,257 requests (+101 %)", "5xx 15.9 %", "4xx 4.0 %", "by minute", "p50", "+ p95")
        assert summed(business, "haproxy_raw_logs", "timestamp > now() - interval '23 hours'") == (1257, 2048)
        assert "2.0kB" in deck.text
        busiest, other = deck.line(f"{CUSTOMER}"), deck.line(f"  {OTHER_CUSTOMER} ")
        assert busiest.split()[-7:] == ["1,207", "96.0", "%", "+93", "%", "16.6", "%"]
        assert other.split()[:5] == ["7", "50", "4.0", "%", "new"]
        await deck.press("minus")
        await deck.sees("5,882 requests", "by hour")
        await deck.press("minus")
        await deck.sees("30d", "5,882 requests")
        assert summed(business, "haproxy_raw_logs") == (5882, 5 * 512 + 512)
        await deck.press("plus", "plus", "plus")
        await deck.sees("1,257 requests", "in 1 min")
        await deck.press("less_than_sign")
        await deck.sees("..")
        await deck.sees("No request in this window.")


async def test_a_filter_narrows_charts_and_ranking(business: str) -> None:
    await seed(business)
    async with console(business) as deck:
        await deck.press("5")
        await deck.sees("1,250 requests")
        await deck.press("t", "t")
        await deck.sees("r2-s07", "r1-s03", "2 in all")
        await deck.press("tab", "down", "u")
        await deck.sees("[server:r2-s07]", "50 requests")
        await deck.say("/", f"7d customer:{CUSTOMER}")
        await deck.sees("5,825 requests", "by hour", f"[customer:{CUSTOMER}]")
        await deck.press("ctrl+l")
        await deck.sees("5,875 requests", "   all · ")
        await deck.say("/", "7d status:5xx")
        await deck.sees("status: usage is added up by customer, service, network, server only")
        await deck.press("escape")
        await deck.press("t")
        await deck.sees("v1/fetch_k", "log ")


async def test_the_cursor_reads_a_step_and_enter_opens_its_requests(business: str) -> None:
    await seed(business)
    async with console(business) as deck:
        await deck.say(":", "usage 1h")
        await deck.sees("1,250 requests")
        await deck.press("home")
        await deck.sees(f"{at(59):%m-%d %H:}")
        await deck.press("end", "pageup", "right", "right")
        for _ in range(4):  # the minute may have ended meanwhile
            if " 1,000 requests 5xx 0 4xx 0 p50" in deck.text:
                break
            await deck.press("left")
            await deck.settle()
        found = re.search(r"(\d\d-\d\d \d\d:\d\d) 1,000 requests 5xx 0 4xx 0 p50", deck.text)
        assert found is not None
        assert found[1] in (f"{at(10):%m-%d %H:%M}", f"{at(11):%m-%d %H:%M}")
        await deck.press("enter")
        await deck.sees("×1000", "window: 15m", "the past; end follows")


async def test_what_the_log_no_longer_has_is_not_opened(business: str) -> None:
    await seed(business)
    async with console(business) as deck:
        await deck.say(":", "usage 30d")
        await deck.sees("5,875 requests")
        await deck.press("home", "enter")
        await deck.sees("The log is kept for 2d: requests of")
        query(business, "UPDATE console.metering SET retention = '31 days'")
        await deck.press("enter")
        await deck.sees("window: all kept", "the past; end follows")
        await deck.press("left_square_bracket")
        await deck.sees("5,875 requests")
        await deck.press("tab", "enter")
        await deck.sees("wallet", str(CUSTOMER))


async def test_views_one_after_the_other_on_a_small_terminal(same_business: str) -> None:
    async with console(same_business, size=(80, 24)) as deck:
        await deck.press("5")
        await deck.sees("No request in this window.", "no requests in", "   all · ")
        await deck.press("v")
        await deck.sees("latency: none")
        await deck.press("v")
        await deck.sees("bytes, in 20 min")
        await deck.press("v")
        await deck.sees("no requests in")


def test_the_shell_tells_the_same(business: str) -> None:
    asyncio.run(seed(business))
    text = opsdeck(business, "usage", "show")
    assert (text.code, text.err) == (0, "")
    assert "1,250 requests (+100 %)" in text.out
    assert "guaranteed 1,000 (80.0 %)" in text.out
    assert "p50 44 p95" in text.out
    assert re.search(rf"{CUSTOMER}\s+1,200\s+96.0 %\s+\+92 %\s+16.7 %", text.out)
    assert "\x1b" not in text.out
    assert max(map(len, text.out.splitlines())) <= 80
    told = opsdeck(business, "usage", "show", "--window", "7d", "--by", "server", "--json").json
    assert (told["total"]["requests"], told["total"]["status_5xx"], told["step_s"]) == (5875, 200, 10800)
    assert sum(step["requests"] for step in told["steps"]) == 5875
    assert told["before"] is None  # nothing was rolled up then
    assert [(row["label"], row["requests"]) for row in told["top"]["rows"]] == [("r1-s03", 5825), ("r2-s07", 50)]
    lines = opsdeck(
        business, "usage", "show", "--from", f"{at(59):%Y-%m-%dT%H:%MZ}", "--customer", str(OTHER_CUSTOMER), "--csv"
    ).out.splitlines()
    assert lines[0].startswith("start,requests,guaranteed,burst,")
    assert sum(int(line.split(",")[1]) for line in lines[1:]) == 50


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--window", "7x"), "'7x' is not an age"),
        (("--window", "900d"), "a minute to 800 days"),
        (("--from", "2026-02-01T00:00Z", "--to", "2026-01-01T00:00Z"), "begin before it ends"),
        (("--customer", "bob"), "customer"),
        (("--by", "status"), "--by"),
        (("--steps", "0"), "1 to 2000"),
    ],
)
def test_what_cannot_be_charted_is_told_in_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in opsdeck("postgresql://nobody@127.0.0.1:1/x", "usage", "show", *arguments).complained(2)


def test_what_is_not_kept_is_refused(business: str) -> None:
    refused = opsdeck(business, "usage", "show", "--window", "7d", "--customer", "7", "--server", "r1-s03")
    assert "a customer by server is in the log only" in refused.complained(1)

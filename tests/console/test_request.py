"""One request explained: what the customer did around it, and its client address once that is on record."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import psycopg

from db.database import Limits
from tests.console.conftest import CUSTOMER, OTHER_CUSTOMER
from tests.console.screens import Operator, audit_rows, console
from tests.db.seed import add_request

NOW = datetime.now(UTC)
ADDRESS = "203.0.113.77"


def crowd(dsn: str) -> None:
    """The row in question is p0; its customer's others are a second apart, and another customer is there too."""
    for second in range(-7, 8):
        add_request(dsn, timestamp=NOW + timedelta(seconds=second - 60), path_prefix=f"p{second}", client_ip=ADDRESS)
    add_request(dsn, timestamp=NOW - timedelta(seconds=60), path_prefix="other", customer_id=OTHER_CUSTOMER)


async def explained(deck: Operator, path: str) -> None:
    await deck.press("4")
    await deck.sees(path)
    await deck.press("end", "up")
    for _ in range(40):
        if re.search(rf"›.* {path} ", deck.text):
            break
        await deck.press("up")
    await deck.press("enter")
    await deck.sees("Blame:")


def around(deck: Operator) -> list[str]:
    """The paths of the list below the explanation, and a mark before the row itself."""
    lines = deck.lines[deck.lines.index(deck.line("within 5 s of it")) + 1 :]
    found = [re.search(r"│ *(›?)\d\d:\d\d:\d\d\.\d{3} .* (p-?\d+|other)\b", line) for line in lines]
    return [match[1] + match[2] for match in found if match]


async def test_the_customers_requests_around_it_are_listed_and_one_of_them_explained(business: str) -> None:
    crowd(business)
    async with console(business, size=(120, 60)) as deck:
        await explained(deck, "p0")
        await deck.sees("10 other(s)")
        assert around(deck) == ["p-5", "p-4", "p-3", "p-2", "p-1", "›p0", "p1", "p2", "p3", "p4"]
        assert ADDRESS not in deck.text
        await deck.press("tab", "down", "down", "enter")
        await deck.until(lambda: "›p2" in around(deck), "the other one is explained")
        assert "p2" in deck.line("path  ").split()
        await deck.press("escape")
        await deck.sees("all requests")


async def test_a_crowd_within_one_instant_still_has_the_row_itself(business: str) -> None:
    for nth in range(40):
        add_request(business, timestamp=NOW - timedelta(seconds=60), path_prefix=f"p{nth}")
    async with console(business, size=(120, 60)) as deck:
        await explained(deck, "p7")
        await deck.sees("other(s); tab")
        assert [path for path in around(deck) if path.startswith("›")] == ["›p7"]
        assert 2 <= len(around(deck)) <= 11


async def test_the_explanation_is_there_before_what_was_around_it(business: str) -> None:
    crowd(business)
    async with console(business, limits=Limits(lock_s=1.0)) as deck:
        await deck.press("4")
        await deck.sees("p0")
        with psycopg.connect(business) as holder:
            await deck.press("up")
            # In a thread: the console in this one may have to end a transaction first.
            await asyncio.to_thread(holder.execute, "LOCK haproxy_raw_logs")
            await deck.press("enter")
            await deck.sees("Blame:", "looking …")
            await deck.sees("at most: no answer in the time set")
            assert "status 200" in deck.text
            await deck.press("escape")
            await deck.until(lambda: "Another session holds a lock; :database, or" in deck.prose, "what to look at")


async def test_the_address_is_shown_for_a_reason_that_is_on_record_and_never_the_address(business: str) -> None:
    crowd(business)
    async with console(business) as deck:
        await explained(deck, "p0")
        assert "203.0.x.x" in deck.line("client  ")
        await deck.until(lambda: "Address" in deck.footer, "the key for it")
        await deck.press("i")
        await deck.sees("Show the client address of this request")
        await deck.press("escape")
        await deck.sees("Nothing was changed.")
        assert "203.0.x.x" in deck.line("client  ")
        assert audit_rows(business) == []
        await deck.press("i")
        await deck.sees("Show the client address of this request")
        await deck.type("abuse case 7")
        await deck.press("tab", "tab", "enter")
        await deck.until(lambda: ADDRESS in deck.line("client  "), "the address")
        await deck.until(lambda: "Address" not in deck.footer, "its key is gone")
        (row,) = audit_rows(business)
        assert (row["action"], row["outcome"], row["reason"]) == ("reveal-address", "done", "abuse case 7")
        assert row["subjects"] == [f"customer:{CUSTOMER}", "key:42"]
        assert row["after"]["request"]["server"] == "r1-s03"
        assert datetime.fromisoformat(row["after"]["request"]["at"]) == NOW - timedelta(seconds=60)
        assert ADDRESS not in str(row)
        await deck.press("tab", "up", "enter")
        await deck.sees("203.0.x.x")
        await deck.press("escape", "enter")
        await deck.sees("203.0.x.x")


async def test_who_may_not_write_has_no_key_for_it(business: str) -> None:
    crowd(business)
    async with console(business, read_only=True) as deck:
        await explained(deck, "p0")
        await deck.until(lambda: "Server's log" in deck.footer, "the keys of the dialog")
        assert "Address" not in deck.footer
        await deck.press("i")
        await deck.never_sees("Show the client address", for_s=0.5)


async def test_an_address_that_cannot_be_put_on_record_stays_masked(business: str) -> None:
    crowd(business)
    async with console(business, limits=Limits(statement_s=2.0, lock_s=0.5)) as deck:
        await explained(deck, "p0")
        await deck.press("i")
        await deck.sees("Show the client address of this request")
        with psycopg.connect(business) as holder:
            await asyncio.to_thread(holder.execute, "LOCK console.audit")
            await deck.type("abuse case 7")
            await deck.press("tab", "tab", "enter")
            await deck.sees("Show the client address of this request: failed")
            assert "203.0.x.x" in deck.line("client  ")


async def test_a_request_of_nobody_has_nothing_around_it(business: str) -> None:
    add_request(business, customer_id=None, path_prefix="p0")
    async with console(business) as deck:
        await explained(deck, "p0")
        await deck.never_sees("within 5 s", for_s=0.5)

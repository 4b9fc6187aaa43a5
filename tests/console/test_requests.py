"""The live log: it follows, stands still while somebody reads, loads what is older, filters and explains."""

import asyncio
import re
from datetime import UTC, datetime
from time import monotonic

import pytest

from db.errors import TimedOut
from db.source import Batch, Cursor
from tests.console.conftest import CUSTOMER
from tests.console.screens import Operator, console, query
from tests.db.seed import add_request


def log(dsn: str, first: int, end: int, *, ago_s: float = 1.0, status: int = 200) -> None:
    """Rows named r<number>, a tenth of a second apart, the newest `ago_s` seconds old. All of one transaction."""
    query(
        dsn,
        "INSERT INTO haproxy_raw_logs (timestamp, customer_id, path_prefix, network, server_id, service_type,"
        " api_key_fp, fe_type, traffic_type, event_type, client_ip, status_code, bytes_sent, time_total)"
        " SELECT now() - make_interval(secs => %s + (%s - n) * 0.1), %s, 'r' || n, 1, 19, 1, 42,"
        " 2, 1, 0, '203.0.113.9', %s, 10, n"
        " FROM generate_series(%s::int, %s::int) n",
        ago_s,
        end - 1,
        CUSTOMER,
        status,
        first,
        end - 1,
    )


def numbers(lines: list[str]) -> list[int]:
    """The rows in view, from the top."""
    return [int(found[1]) for line in lines[3:-1] if (found := re.search(r" r(\d+) ", line))]


async def follows(deck: Operator, newest: int) -> None:
    await deck.until(lambda: numbers(deck.lines)[-1:] == [newest], f"row {newest} is the last")


async def _to_the_oldest(deck: Operator) -> None:
    """Loads page after page until there is no older one."""
    for _ in range(100):
        await deck.press("home")
        if "no older rows are kept" in deck.text:
            break
    await deck.sees("no older rows are kept")


async def _read_down_to(deck: Operator, newest: int) -> list[int]:
    """Every row from the one at the top of the screen on, page by page."""
    read: list[int] = []
    while read[-1:] != [newest]:
        page = numbers(deck.lines)
        start = page.index(read[-1]) + 1 if read and read[-1] in page else 0
        assert page[start:], f"no way on from {read[-1]}\n{deck.text}"
        read += page[start:]
        await deck.press("pagedown")
    return read


async def test_the_newest_rows_are_there_and_new_ones_appear_below(business: str) -> None:
    log(business, 0, 10)
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 9)
        assert numbers(deck.lines) == list(range(10))
        assert "following" in deck.header
        log(business, 10, 13, ago_s=0)
        await follows(deck, 12)
        assert numbers(deck.lines) == list(range(13))
        await deck.until(lambda: "3 received" in deck.text, "three received")


async def test_a_row_committed_late_is_shown_once(business: str) -> None:
    log(business, 0, 5)
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 4)
        log(business, 100, 101, ago_s=200)
        await follows(deck, 100)
        log(business, 5, 6, ago_s=0)
        await follows(deck, 5)
        assert numbers(deck.lines) == [0, 1, 2, 3, 4, 100, 5]


async def test_up_stands_still_and_counts_what_comes_and_end_follows_again(business: str) -> None:
    log(business, 0, 60)
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 59)
        await deck.press("up")
        await deck.sees("PAUSED", "paused · end follows")
        before = numbers(deck.lines)
        log(business, 60, 65, ago_s=0)
        await deck.sees("+5 new · end follows")
        log(business, 65, 67, ago_s=0)
        await deck.sees("+7 new · end follows")
        assert numbers(deck.lines)[:-1] == before[:-1]  # the pill may cover the end of the last line
        await deck.press("end")
        await follows(deck, 66)
        await deck.until(lambda: "following" in deck.header, "following again")
        assert "new · end follows" not in deck.text
        log(business, 67, 68, ago_s=0)
        await follows(deck, 67)


async def test_the_top_loads_what_is_older_until_nothing_is_and_no_row_is_missing_or_doubled(business: str) -> None:
    log(business, 0, 900)
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 899)
        await deck.press("home")
        log(business, 900, 910, ago_s=0)  # arrive while older ones are read
        await deck.until(lambda: "10 received" in deck.text, "they are counted")
        log(business, 2000, 2001, ago_s=85)  # late: by its time it belongs among the older ones
        await deck.until(lambda: "11 received" in deck.text, "it is counted")
        await deck.until(lambda: 0 not in numbers(deck.lines), "not at the end yet")
        await _to_the_oldest(deck)
        assert await _read_down_to(deck, 2000) == [*range(910), 2000]


async def test_a_log_started_again_while_new_rows_were_read_doubles_none(
    business: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(business, 0, 300)
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 299)
        asked, polled, let_go = asyncio.Event(), asyncio.Event(), asyncio.Event()
        since = deck.app.source.requests.since

        async def held(cursor: Cursor, *, at_most: int | None = None, step: int | None = None) -> Batch:
            asked.set()  # the one under way before this was not held
            batch = await since(cursor, at_most=at_most, step=step)
            if batch.rows:
                polled.set()
                await let_go.wait()
            return batch

        monkeypatch.setattr(deck.app.source.requests, "since", held)
        await asyncio.wait_for(asked.wait(), 10)
        log(business, 300, 310, ago_s=0)
        await asyncio.wait_for(polled.wait(), 10)
        await deck.say(":", "overview")
        later = monotonic() + 60
        monkeypatch.setattr("console.screens.requests.monotonic", lambda: later)
        await deck.press("4")
        let_go.set()
        await follows(deck, 309)
        await _to_the_oldest(deck)
        assert await _read_down_to(deck, 309) == list(range(310))


async def test_the_oldest_row_is_asked_for_once_while_a_page_is_on_its_way(
    business: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(business, 0, 300)
    async with console(business) as deck:
        asked: list[datetime] = []
        let_go = asyncio.Event()
        before = deck.app.source.requests.before

        async def held(wanted: object, moment: datetime, **rest: object) -> object:
            asked.append(moment)
            await let_go.wait()
            return await before(wanted, moment, **rest)  # type: ignore[arg-type]

        monkeypatch.setattr(deck.app.source.requests, "before", held)
        await deck.press("4")
        await follows(deck, 299)
        await deck.press("home")
        await deck.until(lambda: asked, "a page is asked for")
        await deck.press("pagedown", "pagedown", "home", "up", "pagedown", "home")
        assert len(asked) == 1
        let_go.set()
        await deck.press("pagedown")
        await _to_the_oldest(deck)
        assert numbers(deck.lines) == list(range(len(numbers(deck.lines))))


async def test_a_page_that_could_not_be_read_is_asked_for_again_by_the_next_key(
    business: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(business, 0, 5, ago_s=3600)
    log(business, 5, 10)
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 9)
        requests, before = deck.app.source.requests, deck.app.source.requests.before

        async def late(*_: object, **__: object) -> object:
            await asyncio.sleep(0.6)
            raise TimedOut("canceling statement due to statement timeout")

        monkeypatch.setattr(requests, "before", late)
        await deck.press("home")
        await deck.sees("reading …")
        await deck.sees("no answer in the time set")
        await deck.sees_no("reading …")
        monkeypatch.setattr(requests, "before", before)
        log(business, 10, 11, ago_s=0)
        await deck.sees("+1 new")  # the tail went on meanwhile, and the note is still there
        assert "no answer in the time set" in deck.text
        await deck.press("home")
        await deck.until(lambda: numbers(deck.lines)[:5] == list(range(5)), "the older rows")


async def test_a_filter_shows_only_what_it_lets_through_and_ctrl_l_shows_all_again(business: str) -> None:
    log(business, 0, 3)
    log(business, 3, 5, status=503, ago_s=0)
    async with console(business) as deck:
        await deck.press("4")
        await deck.until(lambda: numbers(deck.lines) == [0, 1, 2, 3, 4], "all")
        assert "all requests" in deck.text
        await deck.say("/", "5xx")
        await deck.until(lambda: numbers(deck.lines) == [3, 4], "the two errors")
        assert "[status:5xx]" in deck.text
        log(business, 5, 7, ago_s=0)
        log(business, 7, 8, ago_s=0, status=500)
        await deck.until(lambda: numbers(deck.lines) == [3, 4, 7], "the new error alone")
        await deck.press("/")
        await deck.paste("path:r7")
        await deck.press("enter")
        await deck.sees("[status:5xx]  [path:/r7]")
        await deck.until(lambda: numbers(deck.lines) == [7], "both together")
        await deck.press("ctrl+l")
        await deck.until(lambda: numbers(deck.lines) == list(range(8)), "all again")


async def test_a_filter_that_cannot_be_read_says_why_and_stays(business: str) -> None:
    log(business, 0, 3)
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 2)
        await deck.say("/", "colour:red")
        await deck.sees("colour:red: not understood", "slower-than")  # the sentence to its end
        assert numbers(deck.lines) == [0, 1, 2]
        await deck.press("x")
        await deck.sees_no("not understood")
        await deck.press("enter", "escape")
        await deck.say("/", "customer:7")
        await deck.sees("no such request in the 15 min before", "up looks further back")
        await deck.press("up")
        await deck.sees("no older rows are kept")


async def test_what_is_written_about_in_a_row_is_opened_by_its_keys(business: str) -> None:
    add_request(business, customer_id=7, api_key_fp=77)
    async with console(business) as deck:
        await deck.press("4")
        await deck.sees("0x0000004d")
        await deck.press("y")
        await deck.sees("0x0000004d, decimal 77")
        await deck.press("escape", "c")
        await deck.sees("customer 7", "wallet")


async def test_enter_explains_a_row_in_words(business: str) -> None:
    add_request(
        business,
        status_code=504,
        event_type=53,
        termination_state="sH",
        server_id=0x37,
        traffic_type=1,
        time_total=1006,
        time_request=1,
        time_queue=2,
        time_connect=3,
        time_response=None,
    )
    async with console(business) as deck:
        await deck.press("4")
        await deck.sees("r3-s07")
        await deck.press("enter")
        await deck.sees("Failed behind the gateway: backend 504 (status 504, 1006 ms). Blame: backend.")
        text = deck.text
        assert "53 backend 504  The backend did not answer in time" in deck.line("event")
        ending = "s the server-side timeout expired; H while waiting for the response headers."
        assert f"sH {ending} The server did not send headers in time." in deck.prose
        assert "r3-s07  Region 3, server 7." in deck.line("server  ")
        assert "203.0.x.x" in deck.line("client")
        for timing in ("request 1 ms", "queue 2 ms", "connect 3 ms", "response not reached", "rest 1,000 ms"):
            assert timing in text
        assert set(deck.lines[deck.lines.index(deck.line("request 1 ms")) - 1]) & set("█▒▓░=+")
        await deck.press("e", "s")  # keys of the log below
        await deck.press("p", "p")  # the second one is typed ahead, and heard by the log
        await deck.sees("[server:r3-s07]", "r3-s07 ")
        await deck.press("enter")
        await deck.sees("Blame")
        await deck.press("t", "t")
        await deck.sees("[event:backend-504]")


async def test_the_explanation_of_a_row_without_a_customer_has_no_way_to_one(business: str) -> None:
    add_request(business, customer_id=None, api_key_fp=0, status_code=401, event_type=10, traffic_type=3)
    async with console(business) as deck:
        await deck.press("4")
        await deck.sees("missing API key")
        await deck.press("enter")
        await deck.sees("No customer was recognised")
        await deck.until(lambda: "Server's log" in deck.footer, "the keys of the dialog")
        assert "Customer" not in deck.footer
        assert "Key" not in deck.footer
        await deck.press("c", "y", "escape")
        await deck.sees("all requests")


async def test_a_hostile_path_cannot_steer_the_terminal(business: str) -> None:
    add_request(business, path_prefix="/\x1b[2J\u202e/x", timestamp=datetime.now(UTC))
    async with console(business) as deck:
        await deck.press("4")
        await deck.sees("/·[2J·/x")

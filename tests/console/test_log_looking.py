"""Looking around in the log: windows, a moment, a search, errors, marks, and a line that adds up."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from console.parts.log_feed import LogFeed
from db.audit import Actor
from db.database import Database
from db.errors import TimedOut
from db.source import Batch, RequestFilter, Source
from tests.console.conftest import CUSTOMER
from tests.console.screens import Operator, console, query
from tests.console.test_requests import follows, log, numbers
from tests.db.seed import add_request


async def _on(deck: Operator, number: int) -> None:
    """Until the cursor stands on that row."""
    await deck.until(lambda: re.search(rf"^[›◆].* r{number} ", deck.text, re.M), f"the cursor is on row {number}")


async def test_a_window_shows_no_older_rows_and_says_where_it_begins(business: str) -> None:
    log(business, 0, 5, ago_s=400)
    log(business, 5, 10, ago_s=100)
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 9)
        assert numbers(deck.lines) == list(range(10))
        await deck.press("2")
        await deck.sees("window: 5m")
        await deck.until(lambda: numbers(deck.lines) == list(range(5, 10)), "five minutes")
        await deck.press("home")
        await deck.sees("the window of 5m begins here; 6 shows all that is kept")
        await deck.press("6")
        await deck.until(lambda: numbers(deck.lines) == list(range(10)), "all that is kept")
        log(business, 20, 25, ago_s=3 * 86400)
        await deck.press("home")
        await deck.sees("no older rows are kept")
        query(business, "UPDATE console.metering SET retention = '5 days'")
        await deck.press("6")
        await deck.until(lambda: numbers(deck.lines) == list(range(10)), "from the beginning")
        await deck.press("home")
        await deck.until(lambda: numbers(deck.lines)[:5] == list(range(20, 25)), "more is kept")
        await deck.sees("no older rows are kept")
        for _ in range(3):
            await deck.press("down", "home")
        await deck.settle()
        assert deck.text.count("no older rows are kept") == 1


async def test_goto_shows_the_past_and_end_follows_again(business: str) -> None:
    log(business, 400, 403, ago_s=36 * 3600)
    log(business, 0, 300, ago_s=3600)
    log(business, 300, 310)
    noon = datetime.now(UTC) - timedelta(seconds=3600 + 15)
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 309)
        await deck.say(":", f"goto {noon:%Y-%m-%d %H:%M:%S}")
        await deck.sees("the past; end follows", "PAUSED")
        at = await deck.until(lambda: re.search(r"^›.* r(\d+) ", deck.text, re.M), "a row is pointed at")
        assert abs(int(at[1]) - 150) <= 12
        for _ in range(30):
            await deck.press("pagedown")
            if 309 in numbers(deck.lines):
                break
        await follows(deck, 309)
        await deck.press("home", "end")
        await deck.until(lambda: "following" in deck.header, "following again")
        assert "the past" not in deck.text
        log(business, 310, 311, ago_s=0)
        await follows(deck, 310)
        assert deck.line(" stat ").startswith(" time UTC ")
        yesterday = datetime.now(UTC) - timedelta(hours=40)
        await deck.say(":", f"goto {yesterday:%Y-%m-%d %H:%M:%S}")
        await _on(deck, 400)
        await deck.sees(f"No row from {yesterday:%Y-%m-%d %H:%M:%S} is kept", "The nearest one")
        first = datetime.now(UTC) - timedelta(hours=36)
        assert deck.line(" stat ").startswith(f" {first:%Y-%m-%d} ")
        await deck.press("escape")
        await follows(deck, 310)
        await deck.until(lambda: deck.line(" stat ").startswith(" time UTC "), "today again")


async def test_a_jump_under_way_ends_with_the_filter_it_was_for_and_is_called_off_by_escape(
    business: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(business, 0, 1, status=503, ago_s=3600)
    log(business, 1, 10)
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 9)
        requests = deck.app.source.requests
        asked, let_go, answered = asyncio.Event(), asyncio.Event(), asyncio.Event()

        def holding(question: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
            async def held(*what: object, **how: object) -> object:
                asked.set()
                await let_go.wait()
                answered.set()
                return await question(*what, **how)

            return held

        monkeypatch.setattr(requests, "after", holding(requests.after))
        monkeypatch.setattr(requests, "nearest", holding(requests.nearest))
        for jump in ("goto", "E"):
            await (deck.say(":", "goto -1h") if jump == "goto" else deck.press(jump))
            await asyncio.wait_for(asked.wait(), 10)
            await deck.press("1", "0")  # another window, and the first one again
            let_go.set()
            await asyncio.wait_for(answered.wait(), 10)
            await deck.never_sees("the past", "PAUSED", for_s=0.5)
            for event in (asked, let_go, answered):
                event.clear()
        await deck.press("E")
        await asyncio.wait_for(asked.wait(), 10)
        await deck.press("escape")
        let_go.set()
        await deck.never_sees("the past", "PAUSED", for_s=0.5)
        await deck.press("E")
        await deck.sees("the past; end follows")


async def test_who_reads_finds_the_log_as_it_was_left_and_who_goes_to_a_moment_that_moment(
    business: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(business, 0, 1, ago_s=3600)
    log(business, 1, 60)
    later = [0.0]
    monkeypatch.setattr("console.screens.requests.monotonic", lambda: monotonic() + later[0])
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 59)
        await deck.press("up", "up", "space", "up", "enter")
        await deck.sees("Blame")
        later[0] += 60
        log(business, 60, 61, ago_s=0)
        await deck.press("escape")
        await deck.sees("PAUSED", "+1 new")
        await deck.press("m")
        await _on(deck, 57)
        assert "the log starts again here" not in deck.text
        await deck.press("end")
        await follows(deck, 60)
        await deck.say(":", "overview")
        later[0] += 60
        await deck.say(":", "goto -1h")
        await deck.sees("the past; end follows")
        await _on(deck, 1)


async def test_a_moment_that_cannot_be_read_is_refused(business: str) -> None:
    log(business, 0, 3)
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 2)
        await deck.say(":", "goto tea-time")
        await deck.sees("'tea-time' is not a time; write 14:05")


async def test_a_search_counts_its_hits_and_goes_to_those_that_are_not_on_screen(business: str) -> None:
    log(business, 0, 1, status=404, ago_s=3000)
    log(business, 1, 500, ago_s=300)
    log(business, 500, 501, status=404, ago_s=200)
    log(business, 501, 560)
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 559)
        await deck.say("s", "404")
        await deck.sees("search status:404: 2 hits")
        await _on(deck, 500)
        assert [line for line in deck.lines if "»" in line] == [deck.line(" r500 ")]
        assert 559 not in numbers(deck.lines) or "PAUSED" in deck.header
        await deck.press("N")
        await _on(deck, 0)
        await deck.sees("the past; end follows")
        await deck.press("N")
        await deck.sees("No older hit is kept.")
        await deck.press("n")
        await _on(deck, 500)
        await deck.press("2")
        await deck.sees("window: 5m", "search status:404: 1 hit")
        await deck.press("escape")
        await follows(deck, 559)
        await deck.sees_no("search", "»")


async def test_errors_and_slow_rows_are_a_key_away(business: str) -> None:
    log(business, 0, 10, ago_s=30)
    log(business, 10, 11, status=503, ago_s=20)
    add_request(business, timestamp=datetime.now(UTC) - timedelta(seconds=15), path_prefix="r11", time_total=4000)
    log(business, 12, 20, ago_s=1)
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 19)
        await deck.press("E")
        await _on(deck, 10)
        await deck.press("w")
        await _on(deck, 11)
        await deck.press("e")
        await deck.sees("No newer error so far.")


async def test_every_committed_row_is_accounted_for(business: str) -> None:
    async with console(business) as deck:
        await deck.press("4")
        await deck.say("/", "5xx")
        await deck.sees("[status:5xx]", "0 received = 0 shown + 0 filtered + 0 sampled")
        log(business, 0, 7, ago_s=0)
        log(business, 7, 10, status=500, ago_s=0)
        await deck.sees("10 received = 3 shown + 7 filtered + 0 sampled")
        await deck.until(lambda: "rows/s" in deck.line("received"), "the rate")
        assert re.search(r"lag \d\.\d s   cursor \d s old", deck.line("received"))


def burst(dsn: str, rows: int) -> None:
    """One transaction, each thousandth row an error."""
    query(
        dsn,
        "INSERT INTO haproxy_raw_logs (timestamp, customer_id, network, server_id, service_type, api_key_fp,"
        " fe_type, traffic_type, event_type, client_ip, status_code, time_total)"
        " SELECT now(), %s, 1, 19, 1, 42, 2, 1, 0, '203.0.113.9',"
        " CASE WHEN n %% 1000 = 0 THEN 503 ELSE 200 END, n FROM generate_series(1, %s) n",
        CUSTOMER,
        rows,
    )


async def test_a_backlog_is_read_a_part_at_a_time_and_counted_to_the_row(business: str) -> None:
    database = Database(business)
    await database.open()
    try:
        feed = LogFeed(Source(database, Actor("ann", None)), RequestFilter())
        begun, first = await feed.poll()
        feed.took(begun, first=first)
        for feed.every_row in (True, False):
            for _ in range(5):
                burst(business, 9000)
            parts: list[Batch] = []
            while not parts or parts[-1].more:
                part, first = await feed.poll()
                feed.took(part, first=first)
                parts.append(part)
            assert sum(part.committed for part in parts) == sum(part.passed for part in parts) == 45_000
            assert max(part.committed for part in parts) < 30_000
            shown = sum(len(part.rows) for part in parts)
            assert shown == 45_000 if feed.every_row else 45 < shown < 15_000
    finally:
        await database.close()


async def test_a_burst_is_sampled_but_its_errors_are_all_there_and_a_shows_every_row(business: str) -> None:
    async with console(business) as deck:
        await deck.press("4")
        await deck.sees("0 received")
        burst(business, 5000)
        await deck.sees("5,000 received = ")
        line = deck.line("5,000 received")
        found = re.search(r"= ([\d,]+) shown \+ 0 filtered \+ ([\d,]+) sampled", line)
        assert found, line
        shown, sampled = (int(number.replace(",", "")) for number in found.groups())
        assert shown + sampled == 5000
        assert 150 < shown < 1000  # the later it was read, the more there was time to read
        await deck.press("a")
        await deck.sees("Every row is shown", "all requests   ·   every row")
        await deck.say("/", "status:odd")  # what the prompt says, the note leaves readable
        await deck.sees("status: give 200, 4xx, 500-504 or none, with commas between several", "Every row is shown")
        await deck.press("escape")
        log(business, 0, 900, ago_s=0)
        await deck.sees(f"5,900 received = {shown + 900:,} shown")
        for _ in range(3):
            burst(business, 9000)
        await deck.sees(f"32,900 received = {shown + 27_900:,} shown")


async def test_a_marked_row_is_found_again(business: str) -> None:
    log(business, 0, 60)
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 59)
        await deck.press("up", "up", "space")
        await deck.sees("1 marked, ctrl+\\ unmarks")
        assert deck.line(" r57 ").startswith("◆")  # also while the cursor is on it
        await deck.press("home", "m")
        await _on(deck, 57)
        await deck.press("up")
        await _on(deck, 56)
        assert deck.line(" r57 ").startswith("●")
        await deck.press("up", "ctrl+at")
        await deck.sees("3 marked")
        await deck.press("ctrl+backslash")
        await deck.sees_no("marked")
        assert "●" not in deck.line(" r57 ")


async def test_bars_over_time_come_and_go_and_zoom_around_the_rows_in_view(
    business: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(business, 0, 60, ago_s=5)
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 59)
        breakdown, histogram = deck.app.source.breakdown, deck.app.source.breakdown.histogram

        async def slow(*what: object) -> object:
            await asyncio.sleep(2.3)  # longer than the bars stay without being counted anew
            return await histogram(*what)  # type: ignore[arg-type]

        async def late(*_: object) -> object:
            raise TimedOut("canceling statement due to statement timeout")

        monkeypatch.setattr(breakdown, "histogram", slow)
        await deck.press("h")
        await deck.sees("guaranteed 100%", "(requests in 5 s)")
        monkeypatch.setattr(breakdown, "histogram", late)
        await deck.press("minus")
        await deck.sees("The bars were not counted", "A wider time (-)")
        monkeypatch.setattr(breakdown, "histogram", histogram)
        await deck.press("plus")
        await deck.sees("(requests in 5 s)")
        await deck.press("plus")
        await deck.sees("(requests in 2 s)")
        await deck.press("minus", "minus", "minus")
        await deck.sees("(requests in 30 s)")
        await deck.say("/", "5xx")
        await deck.until(lambda: "guaranteed" not in deck.text, "nothing is left to count")
        await deck.sees_no("loading")
        await deck.press("h")
        await deck.until(lambda: "requests in" not in deck.text, "it is gone")

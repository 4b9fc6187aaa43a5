"""Who or what is it: the log counted by one dimension after the other, narrowed, and drilled into."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from db.database import Limits
from tests.console.conftest import CUSTOMER, OTHER_CUSTOMER
from tests.console.screens import Operator, console, query
from tests.db.seed import add_request


@pytest.fixture
def log(business: str) -> str:
    """16 requests of the last minute and one of half an hour ago."""
    add_request(business, repeat=9)
    add_request(business, api_key_fp=43, status_code=503, event_type=52, server_id=0x37, repeat=3)
    add_request(business, customer_id=OTHER_CUSTOMER, api_key_fp=77, path_prefix="graphql", service_type=3, repeat=2)
    add_request(business, customer_id=None, api_key_fp=0, status_code=401, event_type=10, traffic_type=3)
    add_request(business, customer_id=8, api_key_fp=8, status_code=-1, path_prefix=None)
    add_request(business, customer_id=9, api_key_fp=9, timestamp=datetime.now(UTC) - timedelta(minutes=30))
    return business


def rows(deck: Operator) -> list[tuple[str, int]]:
    """Values and their requests, from the top."""
    found = (re.match(r"[› ] +(.+?)  +([\d,]+) +[\d.]+ % ", line) for line in deck.lines[4:-1])
    return [(line[1], int(line[2].replace(",", ""))) for line in found if line]


async def sees_rows(deck: Operator, *expected: tuple[str, int]) -> None:
    await deck.until(lambda: rows(deck) == list(expected), f"{expected}")


async def test_b_on_the_log_counts_it_by_customer_and_the_counts_are_live(log: str) -> None:
    async with console(log) as deck:
        await deck.press("4")
        await deck.sees("all requests")
        await deck.press("b")
        await deck.until(lambda: "requests by customer" in deck.header, "the groups")
        everyone = [(str(CUSTOMER), 12), (str(OTHER_CUSTOMER), 2), ("no known customer", 1), ("8", 1)]
        await sees_rows(deck, *everyone)
        assert "16 requests, 25.0 % errors, 4 group(s)" in deck.text
        line = deck.line(f" {CUSTOMER} ")
        assert re.search(r" 12  *75.0 %  *3  *25.0 %  *4\d \d\d:\d\d:\d\d", line), line
        add_request(log, customer_id=8, api_key_fp=8, repeat=4)
        await sees_rows(deck, (str(CUSTOMER), 12), ("8", 5), (str(OTHER_CUSTOMER), 2), ("no known customer", 1))
        await deck.press("enter")
        await deck.sees(f"[customer:{CUSTOMER}]", "following")
        await deck.press("escape")
        await sees_rows(deck, (str(CUSTOMER), 12), ("8", 5), (str(OTHER_CUSTOMER), 2), ("no known customer", 1))
        await deck.press("escape")
        await deck.sees("all requests", "following")
        await deck.until(lambda: " requests  default" in deck.header, "the log again")


async def test_tab_turns_through_all_dimensions_and_back(log: str) -> None:
    async with console(log) as deck:
        await deck.say(":", "groups")
        await deck.sees("4 group(s)")
        for by, expected in (
            ("key", [("0x0000002a", 9), ("0x0000002b", 3), ("0x0000004d", 2), ("no key", 1), ("0x00000008", 1)]),
            ("event", [("0 success", 12), ("52 backend 503", 3), ("10 missing API key", 1)]),
            ("server", [("r1-s03", 13), ("r3-s07", 3)]),
            ("path", [("/v1/fetch_k", 13), ("/graphql", 2), ("no path", 1)]),
            ("service", [("seal", 14), ("graphql", 2)]),
            ("status", [("200", 11), ("503", 3), ("no answer was sent", 1), ("401", 1)]),
            ("class", [("guaranteed", 11), ("server-error", 3), ("other", 1), ("rejected", 1)]),
        ):
            await deck.press("tab")
            await deck.until(lambda by=by: f"requests by {by}" in deck.header, by)
            await sees_rows(deck, *expected)
        await deck.press("right")
        await deck.until(lambda: "requests by customer" in deck.header, "the first again")
        await deck.press("left")
        await deck.until(lambda: "requests by class" in deck.header, "the last")
        await deck.press("shift+tab")
        await deck.until(lambda: "requests by status" in deck.header, "the one before")


async def test_digits_choose_how_far_back_is_counted(log: str) -> None:
    async with console(log) as deck:
        await deck.say(":", "groups")
        await deck.sees("last minute", "16 requests")
        for digit, window, count in (("5", "last 1h", 17), ("2", "last 5m", 16), ("6", "all that is kept", 17)):
            await deck.press(digit)
            await deck.sees(window, f"{count} requests")
        await deck.press("0")
        await deck.sees("last minute", "16 requests")


async def test_enter_goes_to_the_requests_of_that_group_and_the_bracket_back_to_the_groups(log: str) -> None:
    async with console(log) as deck:
        await deck.say(":", "groups key 1h !status:401")
        await deck.sees("[!status:401]", "last 1h", "0x0000002b")
        await deck.press("down", "enter")
        await deck.until(lambda: " requests  default" in deck.header, "the log")
        await deck.sees("[key:0x0000002b]  [!status:401]", "window: 1h", "backend 503")
        assert "0x0000002a" not in deck.text
        await deck.press("left_square_bracket")
        await deck.until(lambda: "requests by key" in deck.header, "the groups")
        await deck.sees("[!status:401]", "last 1h", "16 requests")


async def test_from_the_log_to_its_groups_and_into_one_of_them(log: str) -> None:
    async with console(log) as deck:
        await deck.press("4")
        await deck.sees("all requests")
        await deck.press("b")
        await deck.sees("4 group(s)")
        await deck.press("enter")
        await deck.until(lambda: " requests  default" in deck.header, "the log")
        await deck.sees(f"[customer:{CUSTOMER}]")


async def test_an_exclamation_mark_leaves_a_group_out_and_stays(log: str) -> None:
    async with console(log) as deck:
        await deck.say(":", "groups customer")
        await deck.sees("4 group(s)")
        await deck.press("exclamation_mark")
        await deck.sees(f"[!customer:{CUSTOMER}]", "3 group(s)")
        await deck.press("exclamation_mark")
        await deck.sees(f"[!customer:{OTHER_CUSTOMER},{CUSTOMER}]", "2 group(s)")
        await sees_rows(deck, ("no known customer", 1), ("8", 1))
        await deck.press("exclamation_mark")
        await sees_rows(deck, ("8", 1))
        await deck.press("ctrl+l")
        await deck.sees("all requests", "4 group(s)")


async def test_what_no_filter_says_is_told_and_changes_nothing(log: str) -> None:
    async with console(log) as deck:
        await deck.say(":", "groups path")
        await deck.sees("3 group(s)")
        await deck.press("end", "enter")
        await deck.sees("No filter asks for requests without a path.")
        await deck.press("home", "exclamation_mark")
        await deck.sees("[!path:/v1/fetch_k]", "2 group(s)")
        await deck.press("exclamation_mark")
        await deck.sees("path: there is one in the filter already")
        await deck.sees("2 group(s)", "[!path:/v1/fetch_k]", "/graphql")


async def test_a_filter_typed_narrows_and_one_that_cannot_be_read_says_why(log: str) -> None:
    async with console(log) as deck:
        await deck.say(":", "groups server")
        await deck.sees("2 group(s)")
        await deck.say("/", "5xx")
        await deck.sees("[status:5xx]", "1 group(s)", "requests by server")
        await sees_rows(deck, ("r3-s07", 3))
        await deck.say("/", "colour:red")
        await deck.sees("not understood")
        await deck.press("ctrl+u")
        await deck.paste("event 5m 503")
        await deck.press("enter")
        await deck.sees("[status:503]", "last 5m", "52 backend 503")
        await deck.until(lambda: "requests by event" in deck.header, "the dimension typed")


async def test_a_window_that_takes_too_long_is_told_and_shows_no_old_counts(log: str) -> None:
    query(
        log,
        "INSERT INTO haproxy_raw_logs (timestamp, network, server_id, service_type, api_key_fp, fe_type, traffic_type,"
        " event_type, client_ip, status_code, time_total) SELECT now() - interval '10 min', 1, 19, 1, n, 2, 1, 0,"
        " '203.0.113.9', 200, 1 FROM generate_series(1, 300000) n",
    )
    query(
        log,
        "INSERT INTO console.traffic_minute (bucket, network, service_type, server_id, traffic_type, status_class,"
        " requests, bytes, latency_ms)"
        " VALUES (date_trunc('minute', now()) - interval '10 min', 1, 1, 19, 1, 2, 2000000, 0, 0)",
    )
    async with console(log, limits=Limits(statement_s=0.1)) as deck:
        await deck.say(":", "groups key")
        await deck.sees("0x0000004d")
        await deck.press("6")
        await deck.until(lambda: "all that is kept by key is too much; press 2 (5m)" in deck.prose, "what would fit")
        assert rows(deck) == []
        await deck.press("1")
        await deck.sees("0x0000004d", "last 1m")
        await deck.sees_no("no answer in the time set")


async def test_many_groups_are_loaded_when_one_goes_down_to_them(log: str) -> None:
    query(
        log,
        "INSERT INTO haproxy_raw_logs (timestamp, customer_id, network, server_id, service_type, api_key_fp, fe_type,"
        " traffic_type, event_type, client_ip, status_code, time_total) SELECT now(), n, 1, 19, 1, 5, 2, 1, 0,"
        " '203.0.113.9', 200, 1 FROM generate_series(1000, 2499) n",
    )
    async with console(log) as deck:
        await deck.say(":", "groups")
        await deck.sees("1,504 group(s)")
        await deck.press("end")
        await deck.sees("the 1,000 biggest of 1,504 group(s)")


async def test_a_filter_is_saved_listed_used_and_deleted(
    log: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    async with console(log) as deck:
        await deck.say(":", "save errors")
        await deck.sees("there is a filter to save on the requests screen")
        await deck.press("escape", "4")
        await deck.sees("all requests")
        await deck.say(":", "save errors")
        await deck.sees("there is no filter to save")
        await deck.press("escape")
        await deck.say("/", "5xx !class:burst")
        await deck.sees("[status:5xx]  [!class:burst]")
        await deck.say(":", "save Errors")
        await deck.sees("/@errors brings it back.")
        await deck.press("ctrl+l")
        await deck.sees("all requests")
        await deck.say("/", "@errors customer:7")
        await deck.sees("[customer:7]  [status:5xx]  [!class:burst]")
        await deck.say(":", "groups server @errors")
        await deck.sees("requests by server", "[status:5xx]  [!class:burst]")
        await deck.say("/", "@nothing")
        await deck.sees("no filter is saved as nothing; there are: errors")
        await deck.press("escape")
        await deck.say(":", "saved")
        await deck.sees("saved filters", str(tmp_path), "@errors", "status:5xx !class:burst")
        await deck.press("enter")
        await deck.until(lambda: " requests  default" in deck.header, "the log")
        await deck.sees("[status:5xx]  [!class:burst]")
        await deck.say(":", "saved")
        await deck.sees("@errors")
        await deck.press("ctrl+x")
        await deck.sees("@errors deleted", "No filter is saved.")


async def test_a_broken_file_of_filters_is_told(
    same_business: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "opsdeck").mkdir()
    (tmp_path / "opsdeck/filters.toml").write_text("[[[")
    async with console(same_business) as deck:
        await deck.say(":", "saved")
        await deck.until(lambda: "is not a file of saved filters" in deck.prose, "what is wrong with the file")
        await deck.say(":", "requests @errors")
        await deck.until(lambda: "mend it or move it away" in deck.prose, "told again")

"""opsdeck tail: its columns, its filters, and that following it loses and doubles nothing."""

import csv
import io
import json
import signal
import threading
from collections import Counter
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest

from tests.console.command import Result, Running, all_of, assert_utc, opsdeck, running, until
from tests.db.seed import CUSTOMER, OTHER_CUSTOMER, add_request

ONCE = ("tail", "--no-follow")
NAMES = {"network_name": "mainnet", "server_name": "r1-s03", "traffic_class": "guaranteed"}


def columns(dsn: str) -> list[str]:
    """The columns of the log in their order, without our capture column."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            """SELECT column_name FROM information_schema.columns
               WHERE table_schema = 'public' AND table_name = 'haproxy_raw_logs' AND column_name <> 'xid'
               ORDER BY ordinal_position"""
        ).fetchall()
    return [row[0] for row in rows]


def write(dsn: str, *numbers: int) -> None:
    """Rows known by their number, committed together."""
    with psycopg.connect(dsn) as connection:
        insert(connection, *numbers)


def insert(connection: psycopg.Connection[Any], *numbers: int) -> None:
    connection.cursor().executemany(
        """INSERT INTO haproxy_raw_logs (timestamp, network, server_id, service_type, api_key_fp, fe_type,
                                         traffic_type, event_type, client_ip, status_code, time_total, bytes_sent)
           VALUES (clock_timestamp(), 1, 19, 1, 42, 2, 1, 0, '203.0.113.9', 200, 40, %s)""",
        [(number,) for number in numbers],
    )


def numbers(tail: Running) -> list[int]:
    return [json.loads(line)["bytes_sent"] for line in list(tail.lines) if line.endswith("\n")]


@pytest.fixture
def log(dsn: str) -> str:
    for nth in range(8):
        add_request(dsn, bytes_sent=nth, customer_id=None if nth == 3 else CUSTOMER)
    return dsn


def test_json_is_one_object_a_line_with_the_columns_of_the_log_and_the_names_of_its_codes(log: str) -> None:
    result = opsdeck(log, *ONCE, "--limit", "5", "--format", "json")
    assert (result.code, result.err) == (0, "")
    known = columns(log)
    assert len(known) == 23
    assert [row["bytes_sent"] for row in result.lines] == [3, 4, 5, 6, 7], "the newest, oldest first"
    for row in result.lines:
        assert list(row)[:23] == known
        assert {name: row[name] for name in NAMES} == NAMES
        assert set(row) - set(known) >= {"service_type_name", "event_type_name", "traffic_type_name", "fe_type_name"}
        assert row["client_ip"] == "203.0.x.x"
        assert_utc(row)
    assert [row["customer_id"] for row in result.lines] == [None, *[CUSTOMER] * 4]


def test_csv_has_a_header_and_the_same_fields(log: str) -> None:
    add_request(log, bytes_sent=99, path_prefix='a,"b')
    result = opsdeck(log, *ONCE, "--limit", "2", "--format", "csv")
    assert (result.code, result.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(result.out)))
    assert list(rows[0])[:23] == columns(log)
    assert [row["bytes_sent"] for row in rows] == ["7", "99"]
    assert rows[1]["path_prefix"] == 'a,"b'
    assert rows[1]["client_ip"] == "203.0.x.x"
    assert rows[1]["timestamp"].endswith("Z")


def test_text_is_a_line_a_row(log: str) -> None:
    add_request(log, event_type=31, status_code=403, traffic_type=3, api_key_fp=4294967295, repeat=4)
    result = opsdeck(log, *ONCE)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert len(lines) == 9
    for word in ("403", "0xffffffff", "×4", str(CUSTOMER), "r1-s03", "mainnet"):
        assert word in lines[-1], word
    assert "203.0.113.9" not in result.out


def test_a_path_with_escape_sequences_never_reaches_the_terminal(log: str) -> None:
    add_request(log, path_prefix="\x1b]0;x\x07", termination_state="\x1b[")
    add_request(log, path_prefix="\x9b2J\r\nfake")
    result = opsdeck(log, *ONCE)
    assert result.code == 0
    assert "·]0;x·" in result.out
    assert not set(result.out) & {"\x1b", "\x9b", "\x07", "\r"}
    assert len(result.out.splitlines()) == 10
    rows = opsdeck(log, *ONCE, "--format", "json", "--limit", "2")
    assert "\x1b" not in rows.out
    assert [row["path_prefix"] for row in rows.lines] == ["\x1b]0;x\x07", "\x9b2J\r\nfake"]


FILTERS = {
    "customer": (str(OTHER_CUSTOMER), {"customer_id": OTHER_CUSTOMER}),
    "key": ("0xffffffff", {"api_key_fp": 4294967295}),
    "status": ("4xx,500-504", {"status_code": 503, "traffic_type": 1}),
    "class": ("burst", {"traffic_type": 2}),
    "event": ("31", {"event_type": 31}),
    "service": ("grpc", {"service_type": 2}),
    "network": ("testnet", {"network": 0}),
    "server": ("r3-s07", {"server_id": 0x37}),
    "ip": ("198.51.100.0/24", {"client_ip": "198.51.100.7"}),
    "path": ("/other", {"path_prefix": "other/path"}),
    "slower-than": ("500ms", {"time_total": 501}),
}


def test_every_filter_shows_its_rows_and_negated_all_others(log: str) -> None:
    for nth, (_, changed) in enumerate(FILTERS.values()):
        add_request(log, bytes_sent=100 + nth, **changed)
    everything = set(range(8)) | set(range(100, 100 + len(FILTERS)))
    asked: list[tuple[str, tuple[str, ...], set[int]]] = []
    for nth, (name, (value, _)) in enumerate(FILTERS.items()):
        asked.append((name, (f"--{name}", value), {100 + nth}))
        if name != "slower-than":
            asked.append((f"not {name}", (f"--{name}", f"!{value}"), everything - {100 + nth}))
    asked.append(("two at once", ("--status", "200", "--customer", str(OTHER_CUSTOMER)), {100}))
    results = all_of(log, [(*ONCE, "--format", "json", "--limit", "50", *words) for _, words, _ in asked])
    for (name, _, wanted), result in zip(asked, results, strict=True):
        assert (result.code, result.err) == (0, ""), name
        assert {row["bytes_sent"] for row in result.lines} == wanted, name


BAD_FILTERS = {
    "customer": "0",
    "key": "xyz",
    "status": "7xx",
    "class": "premium",
    "event": "no-such-event",
    "service": "smtp",
    "network": "moonnet",
    "server": "r99",
    "ip": "300.1.1.1",
    "path": "a b",
    "slower-than": "500",
}


def test_a_filter_value_that_makes_no_sense_is_exit_2_and_names_the_filter(log: str) -> None:
    assert BAD_FILTERS.keys() == FILTERS.keys()
    results = all_of(log, [(*ONCE, f"--{name}", value) for name, value in BAD_FILTERS.items()])
    for name, result in zip(BAD_FILTERS, results, strict=True):
        assert name in result.complained(2)
    assert "negated" in opsdeck(log, *ONCE, "--slower-than", "!500ms").complained(2)


def test_following_delivers_every_row_once_however_late_it_is_committed(log: str) -> None:
    with psycopg.connect(log) as late, running(log, "tail", "--format", "json") as tail:
        insert(late, 1000)  # begun before the tail looks for the first time or after, committed long after
        tail.wait_for('"bytes_sent": 7,')
        write(log, 1001, 1002)
        tail.wait_for('"bytes_sent": 1002,')
        insert(late, 1003)
        write(log, 1004)
        tail.wait_for('"bytes_sent": 1004,')
        assert not {1000, 1003} & set(numbers(tail))
        late.commit()
        tail.wait_for('"bytes_sent": 1003,')
        write(log, 1005)
        tail.wait_for('"bytes_sent": 1005,')
        assert tail.end(signal.SIGINT) == 130
    assert Counter(numbers(tail)) == Counter([*range(8), *range(1000, 1006)])


def test_following_survives_its_backends_being_killed(log: str) -> None:
    with psycopg.connect(log, autocommit=True) as killer, running(log, "tail", "--format", "json") as tail:
        tail.wait_for('"bytes_sent": 7,')
        killed, number, deadline = 0, 1000, monotonic() + 2
        while monotonic() < deadline:
            row = killer.execute(
                """SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name LIKE 'opsdeck%'"""
            ).fetchone()
            killed += row[0] if row else 0
            write(log, number)
            number += 1
            sleep(0.02)
        assert killed > 2
        write(log, 5000)
        tail.wait_for('"bytes_sent": 5000,')
        assert tail.end(signal.SIGINT) == 130
    assert Counter(numbers(tail)) == Counter([*range(8), *range(1000, number), 5000])


def test_since_and_following_meet_without_a_gap_or_an_overlap(log: str) -> None:
    written = list(range(1000, 1600))
    begun = threading.Event()

    def keep_writing() -> None:
        with psycopg.connect(log) as connection:
            for number in written:
                insert(connection, number)
                connection.commit()
                if number == 1100:
                    begun.set()
                sleep(0.002)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        assert begun.wait(15)
        with running(log, "tail", "--since", "1h", "--format", "json") as tail:
            tail.wait_for('"bytes_sent": 1599,', 30)
            assert tail.end(signal.SIGINT) == 130
    finally:
        writer.join()
    assert Counter(numbers(tail)) == Counter([*range(8), *written])


def _connected(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            """SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name LIKE 'opsdeck%' AND state = 'idle'"""
        ).fetchone()
    return row is not None and row[0] > 0


def test_a_filter_holds_while_following(log: str) -> None:
    with running(log, "tail", "--format", "json", "--status", "5xx") as tail:
        until(lambda: _connected(log), 15, "the tail never connected")
        add_request(log, status_code=200, bytes_sent=1000)
        add_request(log, status_code=503, bytes_sent=1001)
        tail.wait_for('"bytes_sent": 1001,')
        assert tail.end(signal.SIGINT) == 130
    assert numbers(tail) == [1001]


def test_a_limit_ends_the_following(log: str) -> None:
    with running(log, "tail", "--format", "json", "--limit", "9") as tail:
        tail.wait_for('"bytes_sent": 7,')
        write(log, 1000, 1001)
        assert tail.end() == 0
    assert len(tail.lines) == 9
    several = opsdeck(log, "tail", "--format", "csv", "--since", "1h", "--limit", "3")
    assert (several.code, len(several.out.splitlines())) == (0, 4)


def test_a_saved_filter_is_used_by_name_and_others_add_to_it(log: str, tmp_path: Path) -> None:
    (tmp_path / "opsdeck").mkdir()
    (tmp_path / "opsdeck/filters.toml").write_text('[filters]\nbroken = "status:5xx"\n')
    add_request(log, status_code=503, bytes_sent=99)
    add_request(log, status_code=503, bytes_sent=100, customer_id=OTHER_CUSTOMER)
    json_once = (*ONCE, "--format", "json")

    def tail(*arguments: str) -> Result:
        return opsdeck(log, *json_once, *arguments, XDG_CONFIG_HOME=str(tmp_path))

    assert [row["bytes_sent"] for row in tail("--saved", "broken").lines] == [99, 100]
    assert [row["bytes_sent"] for row in tail("--saved", "Broken", "--customer", f"!{CUSTOMER}").lines] == [100]
    assert "status: given twice" in tail("--saved", "broken", "--status", "404").complained(2)
    assert "no filter is saved as slow; there are: broken" in tail("--saved", "slow").complained(2)

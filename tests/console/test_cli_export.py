"""opsdeck export: what it writes and says, and that an interrupt at any point leaves nothing behind."""

import csv
import json
import os
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.console.command import COMMAND, ROOT, environment, opsdeck, running, terminal, until
from tests.console.screens import audit_rows, query, waits_for_a_lock
from tests.db.seed import CUSTOMER, OTHER_CUSTOMER, add_request


@pytest.fixture
def log(dsn: str) -> str:
    for nth in range(5):
        add_request(dsn, bytes_sent=nth, customer_id=OTHER_CUSTOMER if nth == 3 else CUSTOMER)
    return dsn


def test_it_writes_what_tail_prints_and_tells_how(log: str, tmp_path: Path) -> None:
    for name, more in (("a.csv", ()), ("b.json", ()), ("c.jsonl", ()), ("d.log", ("--format", "jsonl"))):
        result = opsdeck(log, "export", str(tmp_path / name), "--customer", str(CUSTOMER), *more)
        assert result.code == 0, result
        assert f"4 rows in {tmp_path / name}; client addresses are masked; on record as" in result.out
        assert f"\noperation {audit_rows(log)[-1]['operation_id']}\n" in result.out
        assert result.err == ""
    printed = opsdeck(log, "tail", "--no-follow", "--customer", str(CUSTOMER), "--format", "json").lines
    assert json.loads((tmp_path / "b.json").read_text()) == printed
    assert [json.loads(line) for line in (tmp_path / "c.jsonl").read_text().splitlines()] == printed
    assert (tmp_path / "c.jsonl").read_text() == (tmp_path / "d.log").read_text()
    with (tmp_path / "a.csv").open(newline="") as file:
        assert [row["bytes_sent"] for row in csv.DictReader(file)] == ["0", "1", "2", "4"]
    assert [row["subjects"] for row in audit_rows(log)] == [[f"customer:{CUSTOMER}"]] * 4


def test_the_span_is_half_open_and_the_receipt_says_it(log: str, tmp_path: Path) -> None:
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5)
    for nth, moment in enumerate((at, at + timedelta(minutes=1), at + timedelta(minutes=2))):
        add_request(log, timestamp=moment, bytes_sent=100 + nth)
    span = ("--from", f"{at:%Y-%m-%dT%H:%M:%SZ}", "--to", f"{at + timedelta(minutes=2):%Y-%m-%dT%H:%M:%SZ}")
    result = opsdeck(log, "export", str(tmp_path / "a.jsonl"), *span, "--json")
    receipt = result.json
    assert (receipt["rows"], receipt["start"], receipt["end"]) == (2, span[1], span[3])
    assert receipt["operation_id"] == str(audit_rows(log)[0]["operation_id"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("log",), "does not say its format"),
        (("log.csv", "--since", "1h", "--from", "2026-11-20"), "instead of it"),
        (("log.csv", "--to", "2026-11-20"), "--to wants --from"),
        (("log.csv", "--addresses"), "wants a --reason"),
        (("log.csv", "--addresses", "--anonymise", "--reason", "abuse case"), "give it or --addresses"),
        (("log.csv", "--status", "4x"), "status"),
    ],
)
def test_what_cannot_be_meant_is_answered_before_anything_is_opened(arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in opsdeck("postgresql://nowhere.invalid/x", "export", *arguments).complained(2)


def test_who_may_not_write_the_record_gets_masked_rows_and_no_addresses(log: str, tmp_path: Path) -> None:
    role = f"reader_{os.getpid()}"
    query(log, f"CREATE ROLE {role} LOGIN IN ROLE pg_read_all_data")
    try:
        reader = urlsplit(log)._replace(netloc=f"{role}@{urlsplit(log).netloc.rpartition('@')[2]}").geturl()
        for dsn, more in ((reader, ()), (log, ("--read-only",))):
            path = tmp_path / f"a{len(more)}.jsonl"
            result = opsdeck(dsn, *more, "export", str(path))
            assert (result.code, result.out.count("5 rows")) == (0, 1), result
            assert "not on record: " in result.out
            assert path.read_text().count("203.0.x.x") == 5
            refused = opsdeck(
                dsn, *more, "export", str(tmp_path / "b.jsonl"), "--addresses", "--reason", "abuse case 7"
            )
            assert "on record only" in refused.complained(1)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a0.jsonl", "a1.jsonl"]
        assert audit_rows(log) == []
    finally:
        query(log, f"DROP ROLE {role}")


@contextmanager
def held(dsn: str, table: str) -> Generator[psycopg.Connection[Any]]:
    """Nobody else gets at the table."""
    with psycopg.connect(dsn) as connection:
        connection.execute(f"LOCK {table}")  # pyright: ignore
        yield connection


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("table", ["haproxy_raw_logs", "console.audit"])
def test_an_interrupt_leaves_nothing(log: str, tmp_path: Path, table: str, number: signal.Signals) -> None:
    with held(log, table), running(log, "export", str(tmp_path / "a.csv")) as command:
        until(lambda: waits_for_a_lock(log))
        (part,) = tmp_path.iterdir()
        assert part.name.startswith(".opsdeck-export-")
        assert bool(part.stat().st_size) == (table == "console.audit"), "all rows are there, but not on record yet"
        assert command.end(number) == 130
        assert list(tmp_path.iterdir()) == []
        assert command.lines == []
    assert audit_rows(log) == []


def test_no_address_is_read_before_that_is_on_record(log: str, tmp_path: Path) -> None:
    because = ("--addresses", "--reason", "abuse case 7")
    with held(log, "console.audit"), running(log, "export", str(tmp_path / "a.csv"), *because) as command:
        until(lambda: waits_for_a_lock(log))
        assert [path.stat().st_size for path in tmp_path.iterdir()] == [0]
        assert command.end(signal.SIGINT) == 130
    assert list(tmp_path.iterdir()) == []


def test_a_lost_connection_and_a_full_disk_leave_nothing(log: str, tmp_path: Path) -> None:
    with held(log, "console.audit"), running(log, "export", str(tmp_path / "a.csv")) as command:
        until(lambda: waits_for_a_lock(log))
        query(
            log,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database()",
        )
        assert command.end() == 3
    assert list(tmp_path.iterdir()) == []
    limited = f"ulimit -f 1; exec {' '.join(COMMAND)} export {tmp_path / 'b.json'}"
    query(log, "INSERT INTO haproxy_raw_logs SELECT l.* FROM haproxy_raw_logs l, generate_series(1, 200)")
    done = subprocess.run(
        ["sh", "-c", limited], cwd=ROOT, env=environment(log), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, ""), done
    assert "File too large; nothing is left of it" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_on_a_terminal_progress_is_one_line_that_goes_away(log: str, tmp_path: Path) -> None:
    with terminal(log, "export", str(tmp_path / "a.csv")) as screen:
        assert screen.end() == 0
        assert "\r5 rows, 100%, at " in screen.seen
        assert "\r\x1b[K5 rows in " in screen.seen

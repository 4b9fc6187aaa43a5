"""The database screen: who stands in whose way, and the end of one who does."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from db.database import Database
from db.errors import Refused, Stale
from db.server.query_text import masked
from db.source import Source, TerminateBackend
from tests.console.conftest import CUSTOMER, PASTED_KEY
from tests.console.screens import audit_rows, console, query

LOCK = f"UPDATE customers SET status = 'suspended' WHERE customer_id = {CUSTOMER}"


@dataclass
class Quarrel:
    """Two programs: `first` holds a row and sits on it, `second` wants it."""

    first: psycopg.Connection
    second: psycopg.Connection
    got_it: threading.Event = field(default_factory=threading.Event)


@contextmanager
def quarrel(dsn: str) -> Generator[Quarrel]:
    with (
        psycopg.connect(dsn, application_name="nightly report") as first,
        psycopg.connect(dsn, application_name="web shop") as second,
    ):
        both = Quarrel(first, second)
        first.execute(LOCK)  # pyright: ignore

        def wait() -> None:
            second.execute(LOCK)  # pyright: ignore
            both.got_it.set()
            second.rollback()

        waiting = threading.Thread(target=wait)
        waiting.start()
        try:
            yield both
        finally:
            first.close()
            waiting.join(10)


async def test_who_blocks_others_is_seen_and_ended(business: str) -> None:
    with quarrel(business) as both:
        pid, waiter = both.first.info.backend_pid, both.second.info.backend_pid
        async with console(business) as deck:
            await deck.say(":", "database")
            await deck.sees("nightly report", "▲ blocks 1", f"behind {pid}", f"▲ 1 wait for a lock behind {pid}")
            assert "idle in transaction" in deck.line("▲ blocks 1")
            assert f"customer_id = {CUSTOMER}" in deck.prose  # what it did last, without the literal
            assert "suspended" not in deck.text
            assert f"{pid} (postgres)" in deck.line("oldest for log")
            await deck.press("ctrl+x")
            await deck.sees(f"End session {pid} of postgres", "1 session(s) wait for it", "is rolled back")
            await deck.type("it blocks the shop")
            await deck.press("tab", "tab", "enter")
            await deck.sees(f"Told session {pid} of postgres (nightly report) to end")
            await deck.until(both.got_it.is_set, "the other one goes on")
            await deck.sees("nobody waits for a lock")
            assert not deck.line("▲ blocks")
            await deck.say(":", "audit")
            await deck.sees("terminate-backend", f"backend {pid}")
        with pytest.raises(psycopg.OperationalError):
            both.first.execute("SELECT 1")
        assert not query(business, "SELECT pid FROM pg_stat_activity WHERE pid = %s", pid)
        assert query(business, "SELECT pid FROM pg_stat_activity WHERE pid = %s", waiter)
    [row] = audit_rows(business)
    assert (row["action"], row["outcome"], row["reason"]) == ("terminate-backend", "done", "it blocks the shop")
    assert row["before"][f"backend:{pid}"]["blocked_others"] == 1


async def test_who_is_left_alone(database: Database) -> None:
    source = Source(database)
    async with database.reading() as own:
        [[pid, started]] = await (
            await own.execute("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
        ).fetchall()
        with pytest.raises(Refused, match="a console's own"):
            await source.preview(TerminateBackend(pid, started))
        [[server]] = await (
            await own.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
        ).fetchall()
    with pytest.raises(Refused, match="server's own"):
        await source.preview(TerminateBackend(server, started))
    with pytest.raises(Refused, match="no session"):
        await source.preview(TerminateBackend(2**31 - 1, started))


async def test_a_pid_that_is_anothers_by_now_is_not_hit(database: Database, dsn: str) -> None:
    source = Source(database)
    with psycopg.connect(dsn, application_name="web shop", autocommit=True) as other:
        before = datetime.now(UTC) - timedelta(hours=1)
        operation = TerminateBackend(other.info.backend_pid, before)
        with pytest.raises(Stale, match="another's now"):
            await source.preview(operation)
        receipt = await source.perform(operation, "it hangs")
        assert receipt.outcome == "stale"
        assert other.execute("SELECT 1").fetchone() == (1,)


def test_a_statement_is_shown_without_what_it_is_about() -> None:
    assert masked("SELECT 1 WHERE a = 'it''s' AND n = 7") == "SELECT 1 WHERE a = '…' AND n = 7"
    assert masked(r"SELECT E'\'x', $tag$ y $tag$, $1") == "SELECT '…', '…', $1"
    assert masked("ALTER ROLE ann PASSWORD 'cut off her") == "ALTER ROLE ann PASSWORD '…'"
    assert masked(f"-- {PASTED_KEY}\nSELECT 1") == "-- … SELECT 1"
    assert len(masked("SELECT 1, " * 500)) == 600

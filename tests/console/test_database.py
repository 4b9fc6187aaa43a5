"""The database screen: who stands in whose way, and the end of one who does."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from console.parts.server_sessions import sessions_facts
from db.database import Database
from db.errors import Refused, Stale
from db.server.query_text import masked
from db.source import Source, TerminateBackend
from tests.console.conftest import CUSTOMER, PASTED_KEY
from tests.console.screens import audit_rows, console, query
from tests.db.test_roles import login

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
            await deck.press("enter")
            await deck.sees(f"Session {pid}: nightly report", f"{waiter} web shop of postgres", "counts before it ends")
            assert "suspended" not in deck.text
            await deck.press("escape")
            await deck.sees("▲ blocks 1")
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


async def test_what_a_role_may_not_see_is_said(business: str) -> None:
    with login(business, "opsdeck_reader") as dsn, quarrel(business) as both:
        pid, database = both.first.info.backend_pid, Database(dsn)
        await database.open()
        try:
            async with asyncio.timeout(10):
                while True:
                    found = await Source(database).server.sessions()
                    if found.blocked:
                        break
                    await asyncio.sleep(0.02)
        finally:
            await database.close()
    first = found.rows[0]
    assert (first.pid, first.blocks, first.kind) == (pid, 1, "hidden")
    assert found.rows[1].blocked_by == (first.pid,)
    assert first.statement == ""
    told = {name: text for name, text, *_ in sessions_facts(found)}
    assert f"behind {first.pid}" in told["blocked"]
    assert "this role may not see it" in told["hidden"]
    assert told["oldest for log"] == "no transaction of another is open that is shown"


# What the extension offers, of which the embedded server has none.
STATEMENTS = """
    CREATE VIEW pg_stat_statements AS
    SELECT (SELECT oid FROM pg_database WHERE datname = current_database()) AS dbid, 10::oid AS userid,
           1::bigint AS queryid, 12000::bigint AS calls,
           4500000.0::float8 AS total_exec_time, 375.0::float8 AS mean_exec_time,
           12000::bigint AS rows, 'UPDATE customers SET status = ''closed''' AS query
"""
PARTITIONS = """
    CREATE TABLE log (at timestamptz NOT NULL, note text) PARTITION BY RANGE (at);
    CREATE TABLE log_10 PARTITION OF log FOR VALUES FROM ('2026-10-01') TO ('2026-11-01');
    CREATE TABLE log_11 PARTITION OF log FOR VALUES FROM ('2026-11-01') TO ('2026-12-01');
    CREATE INDEX ON log (note);
    INSERT INTO log SELECT timestamptz '2026-10-15' + mod(n, 2) * interval '30 days', repeat('x', 50)
    FROM generate_series(1, 4000) n;
    ANALYZE log
"""


async def test_the_views_of_sizes_use_and_upkeep(business: str) -> None:
    for statement in PARTITIONS.split(";"):
        query(business, statement)
    timescale = bool(query(business, "SELECT oid FROM pg_extension WHERE extname = 'timescaledb'"))
    async with console(business) as deck:
        await deck.say(":", "db")
        await deck.sees("End session", "nobody waits for a lock")
        await deck.press("v")
        await deck.sees("tables, the biggest first")
        assert any(line.lstrip("› ").split()[:3] == ["log", "2", "4.0k"] for line in deck.lines), deck.text
        assert "log_10" not in deck.text
        await deck.press("end", "enter")
        await deck.sees("by the planner's estimate", "never since the counters were reset")
        await deck.press("escape")
        assert "End session" not in deck.footer
        await deck.press("v")
        await deck.sees("indexes, the biggest first")
        assert "unused" in deck.line("btree (note)")
        await deck.press("enter")
        await deck.sees("definition", "entries read")
        await deck.press("escape")
        await deck.press("tab")
        await deck.sees("Nothing counts statements here")
        query(business, STATEMENTS)
        await deck.press("v")
        await deck.sees("transactions old", "autovacuum", "nobody is fed from here")
        assert ("chunks" in deck.text) == timescale
        assert ("not here" in deck.line("TimescaleDB")) != timescale
        await deck.press("shift+tab")
        await deck.sees("4,500.0 s", "375.0 ms", "12.0k", "UPDATE customers SET status = '…'")
        await deck.press("enter")
        await deck.sees("4,500.0 s in all, 100% of what those listed took", "1 a call")
        assert "closed" not in deck.text
        await deck.press("escape")
        await deck.press("v", "v")
        await deck.sees("End session", "connections")


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

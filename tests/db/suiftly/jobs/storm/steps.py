"""The steps that aggregators take: the right ones, and the wrong forms that the harness has to catch."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

from psycopg import AsyncConnection

from db.suiftly.jobs.aggregate_usage import AggregateUsage, step_query
from db.suiftly.jobs.log_consumer import LogConsumer, take_step
from db.suiftly.jobs.roll_up_traffic import RollUpTraffic

Step = Callable[[AsyncConnection[Any], random.Random], Awaitable[object]]

CONSUMERS: dict[str, LogConsumer] = {"usage": AggregateUsage(), "traffic": RollUpTraffic()}
"""By cursor."""


def _any_size(consumer: LogConsumer) -> Step:
    async def step(connection: AsyncConnection[Any], chance: random.Random) -> None:
        await take_step(connection, consumer, chunk_rows=chance.choice((20, 50, 500, 500_000)))

    return step


# The snapshot of the counting statement itself: rows up to it, and the cursor on it.
_ALL = {"bound": str(2**64 - 1), "last": False, "now": None, "cursor": "usage"}


def _with_own_snapshot(query: str) -> str:
    return query.replace("%(until)s::pg_snapshot", "pg_current_snapshot()")


def _with_lock(query: str) -> str:
    """The counting statement with the cursor locked in a CTE of its own."""
    query = query.replace("%(since)s::pg_snapshot", "(SELECT snap FROM held)").strip().removeprefix("WITH")
    return (
        "WITH held AS MATERIALIZED (SELECT snap FROM console.capture_state WHERE name = 'usage' FOR UPDATE), " + query
    )


async def _one_statement(connection: AsyncConnection[Any], _chance: random.Random) -> None:
    """Wrong: the cursor is locked by the statement that counts, whose snapshot is older than what it waited for."""
    await connection.execute(_with_lock(_with_own_snapshot(step_query("success"))), _ALL)  # type: ignore[arg-type]


async def _unreferenced(connection: AsyncConnection[Any], _chance: random.Random) -> None:
    """Wrong: one statement whose upsert nothing refers to. It runs last, and skips the row its own command changed."""
    query = _with_lock(_with_own_snapshot(step_query("success")))
    query = query[: query.index(", seen AS (")]
    query += " UPDATE console.capture_state SET snap = pg_current_snapshot() WHERE name = 'usage'"
    await connection.execute(query, _ALL)  # type: ignore[arg-type]


async def _two_reads(connection: AsyncConnection[Any], _chance: random.Random) -> None:
    """Wrong: the cursor is moved by a statement after the one that counts; what came in between is lost."""
    query = _with_own_snapshot(step_query("success"))
    await connection.execute(query, _ALL | {"since": await _lock(connection)})  # type: ignore[arg-type]
    await connection.execute("UPDATE console.capture_state SET snap = pg_current_snapshot() WHERE name = 'usage'")


async def _lock(connection: AsyncConnection[Any]) -> str:
    row = await (
        await connection.execute("SELECT snap::text FROM console.capture_state WHERE name = 'usage' FOR UPDATE")
    ).fetchone()
    assert row is not None
    return str(row[0])


STEPS: dict[str, Step] = {name: _any_size(consumer) for name, consumer in CONSUMERS.items()} | {
    "one_statement": _one_statement,
    "unreferenced": _unreferenced,
    "two_reads": _two_reads,
}

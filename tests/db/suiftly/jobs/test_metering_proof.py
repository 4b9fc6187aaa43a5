"""Not one request or byte wrong in any bucket, whatever crashes, comes late, or runs at the same time."""

import os
import random
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from db.suiftly.jobs.aggregate_usage import AggregateUsage, step_query
from db.suiftly.jobs.log_consumer import take_step
from tests.db.suiftly.jobs.storm import Storm, prepare, rage, wrong_buckets

SECONDS = float(os.environ.get("OPSDECK_STORM_SECONDS", "15"))


@pytest.fixture
def seed() -> int:
    seed = int(os.environ.get("OPSDECK_SEED", random.randrange(10**6)))
    print(f"OPSDECK_SEED={seed}")
    return seed


def _prepared_allowed(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SHOW max_prepared_transactions").fetchone()
        return row is not None and int(row[0]) > 0


async def _small_steps(connection: AsyncConnection[Any]) -> object:
    return await take_step(connection, AggregateUsage(), chunk_rows=50)


async def _large_steps(connection: AsyncConnection[Any]) -> object:
    return await take_step(connection, AggregateUsage())


@pytest.mark.parametrize("step", [_large_steps, _small_steps])
async def test_every_committed_request_is_counted_once(dsn: str, seed: int, step: Any) -> None:
    await prepare(dsn)
    storm = await rage(dsn, step, seconds=SECONDS, seed=seed, prepared=_prepared_allowed(dsn))
    print(storm)
    assert await wrong_buckets(dsn) == []
    assert _was_a_storm(storm)
    with psycopg.connect(dsn) as connection:
        unassigned = connection.execute(
            "SELECT customer_id, sum(rows)::bigint FROM console.usage_unassigned GROUP BY 1 ORDER BY 1"
        ).fetchall()
        truth = connection.execute(
            """SELECT t.customer_id, count(*) FROM truth t LEFT JOIN customers c USING (customer_id)
               WHERE c.customer_id IS NULL GROUP BY 1 ORDER BY 1"""
        ).fetchall()
        adjusted = connection.execute(
            """SELECT count(*) FROM (SELECT FROM usage_records GROUP BY customer_id, service_type, window_start
                                     HAVING count(*) > 1) late"""
        ).fetchone()
    assert unassigned == truth
    assert adjusted is not None
    assert adjusted[0] > 0


def _was_a_storm(storm: Storm) -> bool:
    return min(storm.committed, storm.aborted, storm.steps, storm.killed, storm.bills) > 0


async def _one_statement(connection: AsyncConnection[Any]) -> None:
    """Wrong: the cursor is locked by the statement that counts, whose snapshot is older than what it waited for."""
    query = (
        "WITH held AS MATERIALIZED (SELECT snap FROM console.capture_state WHERE name = 'usage' FOR UPDATE), "
        + step_query("success").strip().removeprefix("WITH")
    )
    query = query.replace("%(since)s::pg_snapshot", "(SELECT snap FROM held)")
    query = query.replace("%(until)s::pg_snapshot", "pg_current_snapshot()")
    step = {"bound": str(2**64 - 1), "last": False, "now": None, "cursor": "usage"}
    await connection.execute(query, step)  # type: ignore[arg-type]


async def _two_reads(connection: AsyncConnection[Any]) -> None:
    """Wrong: the cursor is moved by a statement after the one that counts; what came in between is lost."""
    row = await (
        await connection.execute("SELECT snap::text FROM console.capture_state WHERE name = 'usage' FOR UPDATE")
    ).fetchone()
    assert row is not None
    query = step_query("success").replace("%(until)s::pg_snapshot", "pg_current_snapshot()")
    step = {"since": row[0], "bound": str(2**64 - 1), "last": False, "now": None, "cursor": "usage"}
    await connection.execute(query, step)  # type: ignore[arg-type]
    await connection.execute("UPDATE console.capture_state SET snap = pg_current_snapshot() WHERE name = 'usage'")


@pytest.mark.parametrize("step", [_one_statement, _two_reads])
async def test_the_harness_catches_the_forms_that_lose_or_double(dsn: str, seed: int, step: Any) -> None:
    await prepare(dsn)
    await rage(dsn, step, seconds=5, seed=seed, kill=False, prepared=False)
    assert await wrong_buckets(dsn) != []

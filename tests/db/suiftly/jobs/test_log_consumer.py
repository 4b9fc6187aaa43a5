"""A step counts what it says it counted, also when the log changes while the step is being planned."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import AsyncConnection

from db.audit import Actor
from db.database import Database
from db.jobs.job import Run
from db.suiftly.jobs.aggregate_usage import AggregateUsage
from db.suiftly.jobs.log_consumer import take_step
from tests.db.seed import CUSTOMER, add_customer, add_request

# The planner wants to know what slow() is, after it has looked up the log's chunks and before it takes the snapshot.
_PLAN_SLOWLY = """
    CREATE FUNCTION slow() RETURNS interval STABLE LANGUAGE plpgsql
        AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN '0 s'; END $$;
    ALTER TABLE console.metering RENAME TO metering_table;
    CREATE VIEW console.metering AS SELECT * FROM console.metering_table WHERE retention > slow();
"""


async def test_in_a_backlog_it_is_told_how_many_rows_there_are(dsn: str, database: Database) -> None:
    class InSteps(AggregateUsage):
        chunk_rows = 3

    for _ in range(7):
        add_request(dsn)
    told: list[tuple[int, int | None]] = []

    async def checkpoint(_: str) -> None:
        assert run.stage is not None
        told.append((run.stage.done, run.stage.total))

    for _ in range(2):
        run = Run(database, actor=Actor("ann", None), dry_run=False, checkpoint=checkpoint)
        await InSteps().run(run)
    assert told == [(3, 7), (6, 7), (7, 7), (0, None)], "and without one nobody counts twice"


async def test_a_chunk_that_is_new_to_the_plan_is_left_to_the_next_step(dsn: str) -> None:
    add_customer(dsn, CUSTOMER)
    add_request(dsn)
    with psycopg.connect(dsn) as connection:
        connection.execute(_PLAN_SLOWLY)
    written = 1
    async with await AsyncConnection.connect(dsn) as connection:
        step = asyncio.create_task(take_step(connection, AggregateUsage()))
        while not step.done():
            add_request(dsn, timestamp=datetime.now(UTC) - timedelta(hours=written))
            written += 1
            await asyncio.sleep(0.05)
        first = await step
        await connection.commit()
        second = await take_step(connection, AggregateUsage())
    assert first.rows > 0
    assert second.rows > 0
    assert first.rows + second.rows == written

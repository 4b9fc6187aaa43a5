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
_ADD_TEN_THOUSAND = """
    INSERT INTO haproxy_raw_logs (timestamp, network, server_id, service_type, api_key_fp, fe_type, traffic_type,
                                  event_type, client_ip, status_code, time_total)
    SELECT timestamp, network, server_id, service_type, api_key_fp, fe_type, traffic_type, event_type, client_ip,
           status_code, time_total FROM (SELECT * FROM haproxy_raw_logs LIMIT 1) one, generate_series(1, 10000)
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


async def test_a_backlog_too_long_to_be_counted_for_a_figure_is_worked_off_without_one(
    dsn: str, database: Database
) -> None:
    class Hasty(AggregateUsage):
        chunk_rows = 10_000
        look_s = 0.001

    add_request(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for _ in range(2):
            connection.execute(_ADD_TEN_THOUSAND)
    totals: list[int | None] = []

    async def checkpoint(_: str) -> None:
        assert run.stage is not None
        totals.append(run.stage.total)

    run = Run(database, actor=Actor("ann", None), dry_run=False, checkpoint=checkpoint)
    await Hasty().run(run)
    assert run.counts["rows"] == 20_001
    assert set(totals) == {None}


async def test_what_another_biller_charged_is_closed_so_that_late_rows_of_its_hour_are_billed(
    dsn: str, database: Database
) -> None:
    add_customer(dsn, CUSTOMER)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for _ in range(2):
        add_request(dsn, timestamp=hour, customer_id=CUSTOMER)
        async with database.writing() as connection:
            await take_step(connection, AggregateUsage())
            await connection.execute("UPDATE usage_records SET charged_amount = 1 WHERE charged_amount IS NULL")
    add_request(dsn, timestamp=hour, customer_id=CUSTOMER)
    async with database.writing() as connection:
        await take_step(connection, AggregateUsage())
        found = await connection.execute("SELECT request_count, charged_amount FROM usage_records ORDER BY record_id")
        assert await found.fetchall() == [(1, 1), (1, 1), (1, None)]


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

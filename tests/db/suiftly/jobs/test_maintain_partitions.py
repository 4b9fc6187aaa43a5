"""Hours of the log come and go without a row lost to metering."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import AsyncConnection

from db.audit import Actor
from db.database import Database
from db.jobs.history import JobRun
from db.jobs.runner import run_job
from db.suiftly.jobs.aggregate_usage import AggregateUsage
from db.suiftly.jobs.maintain_partitions import MaintainPartitions
from db.suiftly.jobs.roll_up_traffic import RollUpTraffic
from db.suiftly.reconcile import Reconciliation
from tests.db.seed import CUSTOMER, add_customer, add_request

ANN = Actor("ann", None)
OLD = datetime.now(UTC).replace(minute=10, second=0, microsecond=0) - timedelta(days=3)


def _one(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


def _native(dsn: str) -> None:
    if _one(dsn, "SELECT console.log_is_hypertable()"):
        pytest.skip("needs native partitions; a hypertable makes its own chunks")


async def _maintain(database: Database, *, dry_run: bool = False) -> JobRun:
    return await run_job(database, MaintainPartitions(), actor=ANN, dry_run=dry_run)


async def test_an_old_hour_is_dropped_only_after_it_was_counted(database: Database, dsn: str) -> None:
    add_customer(dsn, CUSTOMER)
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT console.ensure_log_partitions(%s, %s)", (OLD, OLD + timedelta(minutes=1)))
    add_request(dsn, timestamp=OLD)

    kept = await _maintain(database)
    assert kept.outcome == "succeeded"
    assert kept.counts["kept_uncounted"] == 1
    assert _one(dsn, "SELECT count(*) FROM haproxy_raw_logs") == 1

    counted = await run_job(database, AggregateUsage(), actor=ANN)
    assert counted.outcome == "succeeded"
    assert (await _maintain(database)).counts["kept_uncounted"] == 1  # the rollups have still to count it
    await run_job(database, RollUpTraffic(), actor=ANN)
    dry = await _maintain(database, dry_run=True)
    assert dry.counts["dropped"] == 1
    assert _one(dsn, "SELECT count(*) FROM haproxy_raw_logs") == 1

    dropped = await _maintain(database)
    assert dropped.counts["dropped"] == 1
    assert _one(dsn, "SELECT count(*) FROM haproxy_raw_logs") == 0
    assert _one(dsn, "SELECT sum(request_count)::int FROM usage_records") == 1


async def test_rows_in_the_default_move_into_their_hour_and_are_counted_once(database: Database, dsn: str) -> None:
    _native(dsn)
    add_customer(dsn, CUSTOMER)
    ahead = datetime.now(UTC) + timedelta(days=4)
    add_request(dsn, timestamp=ahead)
    assert _one(dsn, "SELECT count(*) FROM haproxy_raw_logs_default") == 1
    await run_job(database, AggregateUsage(), actor=ANN)
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE console.metering SET partitions_ahead = '5 days'")

    made = await _maintain(database)

    assert made.counts["created"] > 12
    assert _one(dsn, "SELECT count(*) FROM haproxy_raw_logs_default") == 0
    assert _one(dsn, "SELECT count(*) FROM haproxy_raw_logs") == 1
    await run_job(database, AggregateUsage(), actor=ANN)
    assert _one(dsn, "SELECT sum(request_count)::int FROM usage_records") == 1


async def test_who_waits_while_an_hour_is_made_finds_its_rows_in_it(dsn: str) -> None:
    _native(dsn)
    add_request(dsn, timestamp=OLD)
    async with await AsyncConnection.connect(dsn) as maker, await AsyncConnection.connect(dsn) as reader:
        await maker.execute("SELECT console.ensure_log_hour(%s)", (OLD.replace(minute=0),))
        seen = asyncio.create_task(reader.execute("SELECT count(*) FROM haproxy_raw_logs WHERE server_id <> %s", (1,)))
        written = asyncio.create_task(asyncio.to_thread(add_request, dsn, timestamp=OLD))
        await asyncio.sleep(0.3)
        assert not seen.done()
        await maker.commit()
        row = await (await seen).fetchone()
        assert row is not None
        assert row[0] > 0
        await reader.commit()
        await written
    assert _one(dsn, "SELECT count(*) FROM haproxy_raw_logs_default") == 0
    assert _one(dsn, "SELECT count(*) FROM haproxy_raw_logs") == 2


async def test_late_rows_in_the_default_are_swept_by_the_same_rule(database: Database, dsn: str) -> None:
    _native(dsn)
    add_customer(dsn, CUSTOMER)
    add_request(dsn, timestamp=OLD)
    assert (await _maintain(database)).counts["swept"] == 0
    await run_job(database, AggregateUsage(), actor=ANN)
    assert (await _maintain(database)).counts["swept"] == 0
    await run_job(database, RollUpTraffic(), actor=ANN)
    assert (await _maintain(database)).counts["swept"] == 1
    assert _one(dsn, "SELECT sum(request_count)::int FROM usage_records") == 1


async def test_a_part_somebody_holds_makes_the_run_partial_and_says_so(dsn: str) -> None:
    from db.database import Limits

    add_customer(dsn, CUSTOMER)
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT console.ensure_log_partitions(%s, %s)", (OLD, OLD + timedelta(minutes=1)))
    add_request(dsn, timestamp=OLD)
    database = Database(dsn, limits=Limits(lock_s=0.2))
    await database.open()
    with psycopg.connect(dsn) as reader:
        reader.execute("SELECT count(*) FROM haproxy_raw_logs")
        run = await _maintain(database)
    await database.close()
    assert run.outcome == "partial"
    assert "locked by others" in (run.message or "")
    assert _one(dsn, "SELECT count(*) FROM haproxy_raw_logs") == 1


async def test_a_late_row_of_a_dropped_hour_is_no_difference(database: Database, dsn: str) -> None:
    add_customer(dsn, CUSTOMER)
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT console.ensure_log_partitions(%s, %s)", (OLD, OLD + timedelta(minutes=1)))
    add_request(dsn, timestamp=OLD, repeat=1000)
    for job in (AggregateUsage(), RollUpTraffic()):
        await run_job(database, job, actor=ANN)
    assert (await _maintain(database)).counts["dropped"] == 1
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT console.ensure_log_partitions(%s, %s)", (OLD, OLD + timedelta(minutes=1)))
    add_request(dsn, timestamp=OLD)
    await run_job(database, AggregateUsage(), actor=ANN)
    mark = await Reconciliation(database).watermark()
    assert mark.oldest == OLD.replace(minute=0) + timedelta(hours=1)
    assert len((await Reconciliation(database).check(OLD.replace(minute=0), rule=mark.rule)).differences) == 1

"""What goes on beside writers and aggregators: bills, retention, and backends that are terminated."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import DeadlockDetected

from db.audit import Actor
from db.database import Database
from db.errors import Unavailable
from db.jobs.runner import run_job
from db.suiftly.jobs.maintain_partitions import MaintainPartitions
from tests.db.suiftly.jobs.storm.server import CrashingServer
from tests.db.suiftly.jobs.storm.tally import Tally

_ANN = Actor("ann", None)


async def bill(dsn: str, chance: random.Random, tally: Tally, over: asyncio.Event) -> None:
    """Bills open hours of any age, more often than calculate-bills does: they leave the open index and never change."""
    while not over.is_set():
        try:
            async with await AsyncConnection.connect(dsn, application_name="biller") as connection:
                while not over.is_set():
                    await asyncio.sleep(chance.random())
                    async with connection.transaction():
                        billed = await _bill_some(connection)
                    tally.bills += billed
        except DeadlockDetected:
            raise
        except psycopg.OperationalError:
            await asyncio.sleep(0.05)


async def _bill_some(connection: AsyncConnection[Any]) -> int:
    rows = await (
        await connection.execute(
            """SELECT record_id, customer_id, request_count, bytes_transferred FROM usage_records
               WHERE billing_record_id IS NULL AND random() < 0.1 FOR UPDATE SKIP LOCKED"""
        )
    ).fetchall()
    for record, customer, requests, size in rows:
        row = await (
            await connection.execute(
                """INSERT INTO billing_records
                       (customer_id, billing_period_start, billing_period_end, amount_usd_cents, type)
                   VALUES (%s, now(), now() + make_interval(secs => %s), %s, 'charge') RETURNING id""",
                (customer, record, requests),
            )
        ).fetchone()
        assert row is not None
        await connection.execute(
            "UPDATE usage_records SET billing_record_id = %s WHERE record_id = %s", (row[0], record)
        )
        await connection.execute("INSERT INTO billed VALUES (%s, %s, %s)", (record, requests, size))
    return len(rows)


async def keep_log(database: Database, chance: random.Random, over: asyncio.Event) -> None:
    """Runs maintain-partitions without end, on a log of which nearly all hours but the last two are past retention."""
    async with database.writing() as connection:
        await connection.execute(
            """UPDATE console.metering
               SET retention = '2 hours', compress_after = '1 hour', partitions_ahead = '2 hours'"""
        )
    while not over.is_set():
        try:
            # Hours that were made when they were new. Rows of theirs that lie in the DEFAULT move into them.
            for _ in range(2):
                hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
                async with database.writing() as connection:
                    await connection.execute(
                        "SELECT console.ensure_log_hour(%s)", (hour - timedelta(hours=chance.randrange(40)),)
                    )
            await maintain(database)
        except Unavailable:
            await asyncio.sleep(0.05)  # its run is on record, and as crashed once another one begins


async def maintain(database: Database) -> None:
    """One run of maintain-partitions."""
    await run_job(database, MaintainPartitions(), actor=_ANN)


async def look(database: Database, tally: Tally) -> None:
    """What all runs of retention did as far as they came, and how they ended; the adjustments."""
    async with database.reading() as connection:
        cursor = await connection.execute("SELECT outcome, counts FROM console.job_run")
        did: Counter[str] = Counter()
        for outcome, counts in await cursor.fetchall():
            did.update(counts)
            did[f"run_{outcome}"] += 1
        cursor = await connection.execute(
            """SELECT count(*) FROM (SELECT FROM usage_records GROUP BY customer_id, service_type, window_start
                                     HAVING count(*) > 1) several"""
        )
        [(adjusted,)] = await cursor.fetchall()
    tally.retention, tally.adjusted = did, adjusted


async def crash(server: CrashingServer, chance: random.Random, tally: Tally, over: asyncio.Event) -> None:
    """Kills the server every few seconds."""
    while not over.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), chance.uniform(1.5, 6))
            return
        await asyncio.to_thread(server.crash)
        tally.crashes += 1


async def terminate(dsn: str, chance: random.Random, over: asyncio.Event) -> None:
    """Ends backends wherever they happen to be: those of aggregators often, of writers and bills now and then."""
    while not over.is_set():
        try:
            async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
                while not over.is_set():
                    await asyncio.sleep(chance.random())
                    await connection.execute(
                        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                           WHERE datname = current_database()
                             AND random() < CASE application_name WHEN 'aggregator' THEN 0.3 WHEN 'writer' THEN 0.05
                                                                  WHEN 'biller' THEN 0.1 ELSE 0 END"""
                    )
        except psycopg.OperationalError:
            await asyncio.sleep(0.05)

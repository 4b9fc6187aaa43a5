"""Counting the log: aggregate-usage and roll-up-traffic against the same sums as a plain GROUP BY.

`python3 -m tests.bench.bench_metering [--rows N]`. A backlog is counted whole; then new rows and none at all are
counted with little and with much in the table. Each baseline reads the same rows in the same minute.
"""

import argparse
import time
from typing import Any

from psycopg import AsyncConnection

from db.suiftly.jobs import aggregate_usage, roll_up_traffic
from db.suiftly.jobs.aggregate_usage import AggregateUsage
from db.suiftly.jobs.log_consumer import LogConsumer, take_step
from db.suiftly.jobs.roll_up_traffic import RollUpTraffic
from tests.bench.log_rows import fill, prepare
from tests.bench.measure import Report, Timing, execute, fresh_server, migrated, place, run, timed
from tests.db.counting import count_all

_ALL = "SELECT * FROM haproxy_raw_logs WHERE xid >= pg_snapshot_xmax(%(since)s::pg_snapshot)"
_NOTHING = "3:3:"


def _plain(consumer: LogConsumer) -> str:
    """The sums of a consumer as SQL that keeps nothing: the shape of its groups, no upsert, no cursor."""
    if isinstance(consumer, AggregateUsage):
        return aggregate_usage._added_up(_ALL, "success") + " SELECT * FROM counted"  # type: ignore[arg-type]
    return (
        roll_up_traffic._grouped(_ALL) + " SELECT count(*) FROM minutes UNION ALL SELECT count(*) FROM customer_hours"
    )  # type: ignore[arg-type]


def _forget(dsn: str) -> None:
    """As if nothing had ever been counted."""
    tables = (
        "usage_records, console.usage_unassigned, console.traffic_minute, console.traffic_hour, console.traffic_day"
    )
    execute(
        dsn,
        f"TRUNCATE {tables}, console.traffic_customer_hour, console.traffic_customer_day CASCADE",
        f"UPDATE console.capture_state SET snap = '{_NOTHING}'",
        "VACUUM usage_records",
    )


async def _backlog(dsn: str, connection: AsyncConnection[Any], rows: int, rate: int) -> None:
    report = Report(f"A backlog of {rows:,} rows that came at {rate:,} rows/s, in steps")
    for consumer in (AggregateUsage(), RollUpTraffic()):
        plain: list[float] = []
        counted: list[float] = []
        steps = 0
        for _ in range(3):
            _forget(dsn)
            started = time.perf_counter()
            await (await connection.execute(_plain(consumer), {"since": _NOTHING})).fetchall()  # type: ignore[arg-type]
            plain.append((time.perf_counter() - started) * 1000)
            started = time.perf_counter()
            steps = await count_all(connection, consumer)
            counted.append((time.perf_counter() - started) * 1000)
        report.line(f"{consumer.name}, {steps} steps", _timing(counted), "plain GROUP BY", _timing(plain))


def _timing(spent: list[float]) -> Timing:
    return Timing(sorted(spent)[len(spent) // 2], max(spent))


async def _news(dsn: str, connection: AsyncConnection[Any], rows: int) -> None:
    report = Report(f"New rows, with {rows:,} in the table")
    for consumer in (AggregateUsage(), RollUpTraffic()):
        await count_all(connection, consumer)

        async def poll(consumer: LogConsumer = consumer) -> None:
            async with connection.transaction():
                await take_step(connection, consumer)

        async def one() -> None:
            async with connection.transaction():
                await connection.execute("SELECT snap FROM console.capture_state WHERE name = 'usage' FOR UPDATE")

        empty = await timed(poll, times=200)
        report.line(f"{consumer.name}: nothing new", empty, "BEGIN, SELECT ... FOR UPDATE, COMMIT", await timed(one))
    for new in (10_000, 100_000):
        fill(dsn, start=-60, seconds=60, rows=new)
        for consumer in (AggregateUsage(), RollUpTraffic()):
            await _new(connection, report, consumer, new)
        for consumer in (AggregateUsage(), RollUpTraffic()):
            await count_all(connection, consumer)


async def _new(connection: AsyncConnection[Any], report: Report, consumer: LogConsumer, new: int) -> None:
    row = await (
        await connection.execute("SELECT snap::text FROM console.capture_state WHERE name = %s", (consumer.cursor,))
    ).fetchone()
    assert row is not None

    async def plain() -> None:
        await (await connection.execute(_plain(consumer), {"since": row[0]})).fetchall()  # type: ignore[arg-type]

    async def step() -> None:
        """Rolled back, so that the same rows are new again; the last thing missing, the commit, is a few ms."""
        async with connection.transaction(force_rollback=True):
            counted = await take_step(connection, consumer)
            assert counted.rows == new

    base = await timed(plain, times=9, warm_up=2)
    report.line(f"{consumer.name}: {new:,} new rows", await timed(step, times=9, warm_up=2), "plain GROUP BY", base)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="bench_metering")
    parser.add_argument("--rows", type=int, default=10_000_000)
    options = parser.parse_args()
    small = max(100_000, options.rows // 10)
    with fresh_server() as (dsn, _):
        async with migrated(dsn), await AsyncConnection.connect(dsn, autocommit=True) as connection:
            print(place(dsn))
            prepare(dsn, 50)
            # As a step has it: the groups of the baselines must not go to disk either.
            await connection.execute("SET work_mem = '64MB'")
            fill(dsn, start=-50 * 3600, seconds=small / 300, rows=small)
            execute(dsn, "VACUUM ANALYZE haproxy_raw_logs")
            await _backlog(dsn, connection, small, 300)
            await _news(dsn, connection, small)
            execute(dsn, "TRUNCATE haproxy_raw_logs")
            fill(dsn, start=-40 * 3600, seconds=options.rows / 10_000, rows=options.rows)
            execute(dsn, "VACUUM ANALYZE haproxy_raw_logs")
            await _backlog(dsn, connection, options.rows, 10_000)
            await _news(dsn, connection, options.rows)


if __name__ == "__main__":
    run(main)

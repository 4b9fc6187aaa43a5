"""The rollups say what the log said, to the request, whatever is counted in which step."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from db.audit import Actor
from db.database import Database
from db.jobs.runner import run_job
from db.suiftly.jobs.roll_up_traffic import RollUpTraffic
from db.suiftly.log.codes import TrafficClass, traffic_class
from db.suiftly.usage.latency import BOUNDS, SLOTS
from tests.db.counting import count_all
from tests.db.seed import CUSTOMER, add_customer, add_request

ANN = Actor("ann", None)
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
SERVED = (1, 2)


def _rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def _slot(ms: int) -> int:
    return sum(bound <= max(ms, 0) for bound in BOUNDS) - 1


def _invent(chance: random.Random) -> dict[str, Any]:
    return {
        "timestamp": NOON + timedelta(seconds=chance.uniform(-4000, 90000)),
        "customer_id": chance.choice((None, CUSTOMER, CUSTOMER, 77)),
        "network": chance.choice((0, 1)),
        "server_id": chance.choice((1, 17)),
        "service_type": chance.choice((1, 2)),
        "traffic_type": chance.choice((0, 1, 1, 2, 3, 6, 7)),
        "status_code": chance.choice((-1, 200, 304, 404, 429, 500, 503)),
        "bytes_sent": chance.randrange(10_000),
        "time_total": chance.choice((-1, 0, 1, 5, 33, 700, 10**6)),
        "repeat": chance.choice((1, 1, 9)),
    }


@pytest.mark.parametrize("chunk", [7, 1000])
async def test_every_rollup_sums_to_the_log(dsn: str, chunk: int) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    add_customer(dsn, CUSTOMER)
    rows = [_invent(chance) for _ in range(60)]
    for part in (rows[:30], rows[30:]):
        for row in part:
            add_request(dsn, **row)
        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            await count_all(connection, RollUpTraffic(), chunk_rows=chunk)
    slots = ", ".join(SLOTS)
    for table, unit in (("minute", "minute"), ("hour", "hour"), ("day", "day")):
        told = {
            row[:6]: row[6:9] + tuple(count or 0 for count in row[9:])
            for row in _rows(
                dsn,
                f"""SELECT bucket, network, service_type, server_id, traffic_type, status_class, requests, bytes,
                           latency_ms, {slots} FROM console.traffic_{table}""",
            )
        }
        assert told == _by_hand(rows, unit)
    customers = _rows(
        dsn,
        """SELECT customer_id, sum(requests)::int, sum(guaranteed)::int, sum(burst)::int, sum(rejected)::int,
                  sum(invalid)::int, sum(server_error)::int, sum(bytes)::int
           FROM console.traffic_customer_hour GROUP BY 1 ORDER BY 1""",
    )
    assert customers == [_customer(rows, 0), _customer(rows, CUSTOMER)]
    for table in ("hour", "day"):
        answered = _rows(
            dsn,
            f"""SELECT sum(client_errors)::int, sum(server_errors)::int, sum(requests)::int, sum(bytes)::int
                FROM console.traffic_customer_{table}""",
        )
        by_hand = [sum(row["repeat"] for row in rows if row["status_code"] // 100 == hundred) for hundred in (4, 5)]
        assert answered == [(*by_hand, sum(row["repeat"] for row in rows), sum(row["bytes_sent"] for row in rows))]
    served = sum(row["repeat"] for row in rows if row["traffic_type"] in SERVED)
    counted = _rows(
        dsn, "SELECT " + " + ".join(f"coalesce(sum({s}), 0)" for s in SLOTS) + " FROM console.traffic_customer_hour"
    )
    assert counted == [(served,)]


def _by_hand(rows: list[dict[str, Any]], unit: str) -> dict[tuple[Any, ...], tuple[int, ...]]:
    sums: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        at = row["timestamp"].replace(second=0, microsecond=0)
        at = at if unit == "minute" else at.replace(minute=0)
        at = at.replace(hour=0) if unit == "day" else at
        status = int(row["status_code"] / 100)
        key = (at, row["network"], row["service_type"], row["server_id"], row["traffic_type"], status)
        mine = sums.setdefault(key, [0] * (3 + 64))
        mine[0] += row["repeat"]
        mine[1] += row["bytes_sent"]
        mine[2] += max(row["time_total"], 0) * row["repeat"]
        mine[3 + _slot(row["time_total"])] += row["repeat"]
    return {key: tuple(mine) for key, mine in sums.items()}


def _customer(rows: list[dict[str, Any]], customer: int) -> tuple[int, ...]:
    mine = [row for row in rows if (row["customer_id"] if row["customer_id"] == CUSTOMER else 0) == customer]

    def of(kind: TrafficClass) -> int:
        return sum(row["repeat"] for row in mine if traffic_class(row["traffic_type"], row["status_code"]) is kind)

    kinds = (
        TrafficClass.GUARANTEED,
        TrafficClass.BURST,
        TrafficClass.REJECTED,
        TrafficClass.INVALID,
        TrafficClass.SERVER_ERROR,
    )
    total, size = sum(row["repeat"] for row in mine), sum(row["bytes_sent"] for row in mine)
    return (customer, total, *(of(kind) for kind in kinds), size)


async def test_old_minutes_and_hours_go_and_days_stay(dsn: str, database: Database) -> None:
    add_customer(dsn, CUSTOMER)
    now = datetime.now(UTC)
    for days in (100, 8, 0):
        add_request(dsn, timestamp=now - timedelta(days=days), customer_id=CUSTOMER)
    run = await run_job(database, RollUpTraffic(), actor=ANN)
    assert run.counts["rows"] == 3
    kept = [
        _rows(dsn, f"SELECT count(*)::int FROM console.traffic_{table}")[0][0]
        for table in ("minute", "hour", "customer_hour", "day", "customer_day")
    ]
    assert kept == [1, 2, 2, 3, 3]


async def test_a_dry_run_counts_and_leaves_everything(dsn: str, database: Database) -> None:
    add_request(dsn, timestamp=datetime.now(UTC))
    dry = await run_job(database, RollUpTraffic(), actor=ANN, dry_run=True)
    assert dry.message == "would add up 1 rows, 1 requests"
    assert _rows(dsn, "SELECT count(*)::int FROM console.traffic_day") == [(0,)]
    assert (await run_job(database, RollUpTraffic(), actor=ANN)).counts["rows"] == 1

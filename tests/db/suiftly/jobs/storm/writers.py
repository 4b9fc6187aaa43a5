"""COPY, savepoints rolled back, aborts, transactions held open, two-phase commits, rows up to 40 hours late."""

import asyncio
import random
import time
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import DeadlockDetected

from db.suiftly.log.codes import traffic_class
from db.suiftly.usage.latency import BOUNDS
from tests.db.suiftly.jobs.storm.tally import Tally
from tests.db.suiftly.jobs.storm.truth import CUSTOMERS, TRUTH_COLUMNS, UNKNOWN

_LOG_COLUMNS = (
    "timestamp, customer_id, network, service_type, server_id, traffic_type, status_code, bytes_sent, time_total,"
    " repeat, api_key_fp, fe_type, event_type, client_ip"
)


def _rows(chance: random.Random) -> list[tuple[Any, ...]]:
    """A gateway's batch; one in four was held up on its way, for up to 40 hours."""
    now = datetime.now(UTC)
    late = timedelta(hours=chance.randrange(40)) if chance.random() < 0.25 else timedelta()
    return [
        (
            now - late - timedelta(seconds=chance.randrange(3600) if late else 0),
            chance.choice((*CUSTOMERS, *CUSTOMERS, None, UNKNOWN)),
            chance.choice((0, 1, 1, 1)),
            chance.choice((1, 1, 1, 9)),
            17,
            chance.choice((1, 1, 1, 2, 3, 7)),
            chance.choice((200, 200, 304, 404, 500)),
            chance.randrange(10_000),
            chance.choice((-1, 0, 5, 31, 160, 10**6)),
            chance.choice((1, 1, 7)),
        )
        for _ in range(chance.randrange(1, 40))
    ]


def _meant(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row of truth of a log row."""
    *same, traffic_type, status_code, size, latency, repeat = row
    latency = max(latency, 0)
    slot = bisect_right(BOUNDS, latency) - 1
    return (*same, traffic_type, status_code, size, latency, repeat, traffic_class(traffic_type, status_code), slot)


async def _copy(connection: AsyncConnection[Any], target: str, rows: list[tuple[Any, ...]]) -> None:
    async with connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN") as copy:  # type: ignore[arg-type]
        for row in rows:
            await copy.write_row(row)


async def _put(connection: AsyncConnection[Any], chance: random.Random) -> int:
    rows = _rows(chance)
    await _copy(connection, f"haproxy_raw_logs ({_LOG_COLUMNS})", [(*row, 5, 2, 0, "192.0.2.1") for row in rows])
    await _copy(connection, f"truth ({TRUTH_COLUMNS})", [_meant(row) for row in rows])
    return len(rows)


async def settle(connection: AsyncConnection[Any], chance: random.Random) -> None:
    """Ends transactions that were prepared by a writer that is gone, one way or the other."""
    for xid in await connection.tpc_recover():
        if xid.database == connection.info.dbname:
            await (connection.tpc_commit(xid) if chance.random() < 0.5 else connection.tpc_rollback(xid))


async def write(dsn: str, chance: random.Random, tally: Tally, over: asyncio.Event, *, two_phase: bool) -> None:
    """One writer, which begins again whenever its connection is gone. A deadlock ends the storm."""
    while not over.is_set():
        try:
            async with await AsyncConnection.connect(dsn, application_name="writer") as connection:
                if two_phase:
                    await settle(connection, chance)
                while not over.is_set():
                    await _transaction(connection, chance, tally, two_phase=two_phase and chance.random() < 0.1)
        except DeadlockDetected:
            raise
        except psycopg.OperationalError:
            # Whether a commit whose answer was lost arrived: the table of truth knows.
            tally.writers_cut += 1
            await asyncio.sleep(0.05)


async def _transaction(
    connection: AsyncConnection[Any], chance: random.Random, tally: Tally, *, two_phase: bool
) -> None:
    began, held = time.monotonic(), chance.choice((0, 0, 0.02, 0.3))
    rows = 0
    if two_phase:
        await connection.tpc_begin(connection.xid(1, f"storm-{chance.random()}", "b"))
    for _ in range(chance.randrange(1, 4)):
        if not two_phase and chance.random() < 0.3:
            await connection.execute("SAVEPOINT s")
            await _put(connection, chance)
            await connection.execute("ROLLBACK TO SAVEPOINT s")
        rows += await _put(connection, chance)
    await asyncio.sleep(held)
    if two_phase:
        await connection.tpc_prepare()
        await asyncio.sleep(held)
        await connection.tpc_commit()
        tally.prepared += 1
    elif chance.random() < 0.12:
        await connection.rollback()
        tally.aborted += 1
        return
    else:
        await connection.commit()
    tally.committed += 1
    tally.rows += rows
    tally.longest_write_s = max(tally.longest_write_s, time.monotonic() - began)

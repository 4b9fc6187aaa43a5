"""A storm over the request log: writers of every kind, aggregators that are killed, billing beside them."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import AsyncConnection

from db.suiftly.jobs.log_consumer import Counted

Step = Callable[[AsyncConnection[Any]], Awaitable[object]]

CUSTOMERS = (1, 2, 3, 4_000_000_000, 4_294_967_295)
UNKNOWN = 999_999
_COLUMNS = (
    "timestamp, customer_id, network, server_id, service_type, api_key_fp, fe_type, traffic_type, event_type,"
    " client_ip, status_code, bytes_sent, time_total, repeat"
)

# The rows as their writers meant them: written in the same transaction, so committed or not together with them.
_TRUTH = "CREATE TABLE truth AS SELECT * FROM haproxy_raw_logs WITH NO DATA"

WRONG = """
    WITH counted AS (
        SELECT l.customer_id, 'seal' AS service, date_trunc('hour', l.timestamp, 'UTC') AS hour,
               sum(l.repeat) FILTER (WHERE l.traffic_type IN (1, 2) AND l.status_code BETWEEN 200 AND 399) AS requests,
               sum(l.bytes_sent) FILTER (WHERE l.traffic_type IN (1, 2) AND l.status_code BETWEEN 200 AND 399) AS bytes
        FROM truth l JOIN customers USING (customer_id) GROUP BY 1, 2, 3
    ), told AS (
        SELECT customer_id, service_type AS service, window_start AS hour, sum(request_count) AS requests,
               sum(bytes_transferred) AS bytes
        FROM usage_records GROUP BY 1, 2, 3
    )
    SELECT customer_id, hour, c.requests, t.requests, c.bytes, t.bytes
    FROM counted c FULL JOIN told t USING (customer_id, service, hour)
    WHERE coalesce(c.requests, 0) <> coalesce(t.requests, 0) OR coalesce(c.bytes, 0) <> coalesce(t.bytes, 0)
"""


@dataclass(slots=True)
class Storm:
    """What happened, to be sure that it was one."""

    committed: int = 0
    aborted: int = 0
    prepared: int = 0
    steps: int = 0
    killed: int = 0
    bills: int = 0


async def prepare(dsn: str) -> None:
    """Customers and the table of truth."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(_TRUTH)
        for customer in CUSTOMERS:
            await connection.execute(
                "INSERT INTO customers (customer_id, wallet_address) VALUES (%s, %s)", (customer, f"0x{customer:064x}")
            )


def _rows(chance: random.Random) -> list[tuple[Any, ...]]:
    now = datetime.now(UTC)
    rows: list[tuple[Any, ...]] = []
    for _ in range(chance.randrange(1, 40)):
        late = timedelta(hours=chance.choice((0, 0, 0, 0, 1, 3, 40)), seconds=chance.randrange(3000))
        customer = chance.choice((*CUSTOMERS, *CUSTOMERS, None, UNKNOWN))
        rows.append(
            (
                now - late, customer, 1, 17, 1, 5, 2, chance.choice((1, 1, 1, 2, 3)), 0, "192.0.2.1",
                chance.choice((200, 200, 304, 404, 500)), chance.randrange(10_000), 5, chance.choice((1, 1, 7)),
            )
        )  # fmt: skip
    return rows


async def _put(connection: AsyncConnection[Any], rows: list[tuple[Any, ...]]) -> None:
    for table in ("haproxy_raw_logs", "truth"):
        async with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({_COLUMNS}) FROM STDIN") as copy:  # type: ignore[arg-type]
            for row in rows:
                await copy.write_row(row)


async def _write(dsn: str, chance: random.Random, storm: Storm, until: float, *, prepared: bool) -> None:
    """COPY with savepoints rolled back, aborts, transactions held open, and two-phase commits."""
    connection = await AsyncConnection.connect(dsn)
    while asyncio.get_running_loop().time() < until:
        end = chance.random()
        two_phase = prepared and end > 0.9
        if two_phase:
            await connection.tpc_begin(connection.xid(1, f"storm-{chance.random()}", "b"))
        for _ in range(chance.randrange(1, 4)):
            if not two_phase and chance.random() < 0.3:
                await connection.execute("SAVEPOINT s")
                await _put(connection, _rows(chance))
                await connection.execute("ROLLBACK TO SAVEPOINT s")
            await _put(connection, _rows(chance))
        await asyncio.sleep(chance.choice((0, 0, 0.02, 0.3)))
        if two_phase:
            await connection.tpc_prepare()
            await asyncio.sleep(chance.random() * 0.3)
            await connection.tpc_commit()
            storm.prepared += 1
        elif end < 0.12:
            await connection.rollback()
            storm.aborted += 1
            continue
        else:
            await connection.commit()
        storm.committed += 1
    await connection.close()


async def _count(dsn: str, step: Step, storm: Storm, until: float) -> None:
    """One aggregator that begins again whenever it is killed."""
    while asyncio.get_running_loop().time() < until:
        try:
            async with await AsyncConnection.connect(dsn, application_name="aggregator") as connection:
                while asyncio.get_running_loop().time() < until:
                    async with connection.transaction():
                        await step(connection)
                    storm.steps += 1
        except psycopg.OperationalError:
            storm.killed += 1


async def _kill(dsn: str, chance: random.Random, until: float) -> None:
    """Ends aggregators wherever they happen to be: before, inside and after their commit."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(chance.random() * 0.15)
            await connection.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE application_name = 'aggregator' AND datname = current_database() AND random() < 0.5"""
            )


async def _bill(dsn: str, storm: Storm, until: float) -> None:
    """Bills open hours as calculate-bills will: the records leave the open index and must never change again."""
    async with await AsyncConnection.connect(dsn) as connection:
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.2)
            async with connection.transaction():
                rows = await (
                    await connection.execute(
                        """SELECT record_id, customer_id, request_count FROM usage_records
                           WHERE billing_record_id IS NULL AND random() < 0.2 FOR UPDATE SKIP LOCKED"""
                    )
                ).fetchall()
                for record, customer, requests in rows:
                    bill = await (
                        await connection.execute(
                            """INSERT INTO billing_records
                                   (customer_id, billing_period_start, billing_period_end, amount_usd_cents, type)
                               VALUES (%s, now(), now() + make_interval(secs => %s), %s, 'charge') RETURNING id""",
                            (customer, record, requests),
                        )
                    ).fetchone()
                    assert bill is not None
                    await connection.execute(
                        "UPDATE usage_records SET billing_record_id = %s WHERE record_id = %s", (bill[0], record)
                    )
                    storm.bills += 1


async def rage(dsn: str, step: Step, *, seconds: float, seed: int, kill: bool = True, prepared: bool = True) -> Storm:
    """Lets it all loose for `seconds`, then counts once more in peace."""
    storm = Storm()
    until = asyncio.get_running_loop().time() + seconds
    writers = [_write(dsn, random.Random(seed * 100 + n), storm, until, prepared=prepared and n == 0) for n in range(4)]
    # The aggregators go on a little: what is committed last is theirs too.
    others = [_count(dsn, step, storm, until + 0.5) for _ in range(3)] + [_bill(dsn, storm, until)]
    if kill:
        others.append(_kill(dsn, random.Random(seed), until))
    await asyncio.gather(*writers, *others)
    async with await AsyncConnection.connect(dsn) as connection:
        behind = True
        while behind:
            async with connection.transaction():
                counted = await step(connection)
            # Small steps have a backlog to work off; a step that says nothing about it counts all at once.
            behind = isinstance(counted, Counted) and not counted.last
    return storm


async def wrong_buckets(dsn: str) -> list[tuple[Any, ...]]:
    """Buckets whose usage differs from the truth, and bills that differ from their records."""
    async with await AsyncConnection.connect(dsn) as connection:
        wrong = await (await connection.execute(WRONG)).fetchall()
        wrong += await (
            await connection.execute(
                """SELECT b.id, b.amount_usd_cents, u.request_count FROM billing_records b
                   JOIN usage_records u ON u.billing_record_id = b.id WHERE b.amount_usd_cents <> u.request_count"""
            )
        ).fetchall()
        return wrong

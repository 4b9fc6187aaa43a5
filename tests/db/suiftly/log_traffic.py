"""What the tests of the log share: rows that can be told apart, gateways at their worst, readers of every kind."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import AsyncConnection

from db.suiftly.log.filter import RequestFilter
from db.suiftly.log.requests import Cursor, Requests
from db.suiftly.log.row import RequestRow
from tests.db.seed import CUSTOMER, OTHER_CUSTOMER

ALL = RequestFilter()
EVER = 10**9
RETENTION = timedelta(days=2)  # as the migrations set it
_COPY = """COPY haproxy_raw_logs (timestamp, customer_id, path_prefix, network, server_id, service_type, api_key_fp,
    fe_type, traffic_type, event_type, client_ip, status_code, bytes_sent, time_total, repeat) FROM STDIN"""


def a_row(randomness: random.Random, number: int, at: datetime) -> tuple[object, ...]:
    """A row of any kind; `number` stands in bytes_sent, so that it can be told from every other."""
    return (
        at,
        randomness.choice((None, 1, OTHER_CUSTOMER, CUSTOMER)),
        randomness.choice((None, "", "v1", "/v1/servic", "v1/fetch_k", "sui.rpc.v2")),
        randomness.randrange(4),
        randomness.choice((-128, -1, 0x13, 0x37, 127)),
        randomness.randrange(1, 5),
        randomness.choice((0, 42, 2**32 - 1)),
        2,
        randomness.randrange(9),
        randomness.choice((0, 10, 31, 51, 99)),
        randomness.choice(("203.0.113.9", "203.0.114.1", "2001:db8::7", "2001:db8:1::7")),
        randomness.choice((-1, 101, 200, 204, 301, 400, 403, 429, 500, 502, 504)),
        number,
        randomness.choice((0, 1, 499, 500, 501, 30_000)),
        randomness.choice((1, 1, 1, 7)),
    )


def write(dsn: str, rows: list[tuple[object, ...]]) -> None:
    with psycopg.connect(dsn) as connection:
        insert(connection, rows)


def insert(connection: psycopg.Connection, rows: list[tuple[object, ...]]) -> None:
    """Without a commit."""
    with connection.cursor().copy(_COPY) as copy:
        for row in rows:
            copy.write_row(row)


def in_table(dsn: str, condition: str = "true") -> Counter[int]:
    with psycopg.connect(dsn) as connection:
        return Counter(
            row[0]
            for row in connection.execute(f"SELECT bytes_sent FROM haproxy_raw_logs WHERE {condition}")  # pyright: ignore
        )


def numbers(rows: list[RequestRow]) -> Counter[int]:
    return Counter(row.bytes_sent for row in rows)


class Writers:
    """Gateways at their worst: COPY, savepoints rolled back, aborts, two-phase commits, rows hours late."""

    def __init__(self, dsn: str, seed: int, seconds: float) -> None:
        self.dsn = dsn
        self.randomness = random.Random(seed)
        self.ends = time.monotonic() + seconds
        self.number = 0
        self.done = asyncio.Event()

    async def run(self) -> None:
        await asyncio.gather(self._long(), *(self._one(f"w{n}") for n in range(4)))
        self.done.set()

    async def _one(self, name: str) -> None:
        async with await AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            turn = 0
            while time.monotonic() < self.ends:
                turn += 1
                await self._transaction(connection, f"{name}-{turn}")

    async def _transaction(self, connection: AsyncConnection, name: str) -> None:
        await connection.execute("BEGIN")
        for _ in range(self.randomness.randint(1, 3)):
            await self._batch(connection)
            await asyncio.sleep(self.randomness.random() * 0.05)
        fate = self.randomness.random()
        if fate < 0.12:
            await connection.execute("ROLLBACK")
        elif fate < 0.2:
            await connection.execute(f"PREPARE TRANSACTION '{name}'")  # pyright: ignore
            await asyncio.sleep(self.randomness.random() * 0.1)
            await connection.execute(f"COMMIT PREPARED '{name}'")  # pyright: ignore
        else:
            await connection.execute("COMMIT")

    async def _batch(self, connection: AsyncConnection) -> None:
        undone = self.randomness.random() < 0.3
        await connection.execute("SAVEPOINT batch")
        async with connection.cursor().copy(_COPY) as copy:
            for _ in range(self.randomness.randint(1, 25)):
                self.number += 1
                late = self.randomness.choice((0.0, 1.0, 60.0, 5 * 3600.0, 40 * 3600.0)) * self.randomness.random()
                at = datetime.now(UTC) - timedelta(seconds=late)
                await copy.write_row(a_row(self.randomness, self.number, at))
        await connection.execute("ROLLBACK TO batch" if undone else "RELEASE batch")

    async def _long(self) -> None:
        """A transaction that stays open while thousands commit around it."""
        async with await AsyncConnection.connect(self.dsn) as connection:
            await self._batch(connection)
            while time.monotonic() < self.ends - 0.5:  # noqa: ASYNC110 - a moment, not an event
                await asyncio.sleep(0.05)
            await self._batch(connection)


async def follow(
    requests: Requests, cursor: Cursor, done: asyncio.Event, randomness: random.Random
) -> list[RequestRow]:
    """Polls until the writers are done, and once more after that."""
    rows: list[RequestRow] = []
    while True:
        last = done.is_set()
        batch = await requests.since(cursor)
        assert [row.timestamp for row in batch.rows] == sorted(row.timestamp for row in batch.rows)
        rows += batch.rows
        cursor = batch.cursor
        if last:
            return rows
        await asyncio.sleep(randomness.random() * 0.04)


@dataclass(frozen=True, slots=True)
class Received:
    """What readers got: each of `whole` asked for everything, `filtered` for the rows of CUSTOMER."""

    whole: dict[str, Counter[int]]
    filtered: Counter[int]

    def assert_exact(self, dsn: str) -> None:
        """Every committed row was received, none twice."""
        expected = in_table(dsn)
        assert len(expected) > 100  # thousands on a machine with nothing else to do
        assert max(expected.values()) == 1
        for name, rows in self.whole.items():
            assert rows == expected, name
        assert self.filtered == in_table(dsn, f"customer_id = {CUSTOMER}")


async def read_in_every_way(requests: Requests, done: asyncio.Event, randomness: random.Random) -> Received:
    """Five readers that start at different moments and follow until the end."""

    async def from_begin(wanted: RequestFilter, turns: int) -> list[RequestRow]:
        await asyncio.sleep(0.1 * turns)
        begun = await requests.begin(wanted, recent=EVER, within=RETENTION)
        return begun.rows + await follow(requests, begun.cursor, done, randomness)

    async def from_forward(turns: int) -> list[RequestRow]:
        await asyncio.sleep(0.1 * turns)
        cursor = (await requests.begin(ALL, recent=1)).cursor
        rows = [row async for some in requests.forward(cursor, RETENTION) for row in some]
        return rows + await follow(requests, cursor, done, randomness)

    async def from_pages(turns: int) -> list[RequestRow]:
        """The screen: a short beginning, pages back while it follows."""
        await asyncio.sleep(0.1 * turns)
        begun = await requests.begin(ALL, recent=10)
        rows, reached, complete = begun.rows, begun.reached, False
        while not complete:
            history = await requests.before(ALL, reached, cursor=begun.cursor, limit=50)
            rows, reached, complete = rows + history.rows, history.reached, history.complete
        return rows + await follow(requests, begun.cursor, done, randomness)

    only = RequestFilter(customer=(CUSTOMER,))
    everything, early, filtered, forward, paged = await asyncio.gather(
        from_begin(ALL, 0), from_begin(ALL, 17), from_begin(only, 11), from_forward(23), from_pages(19)
    )
    whole = {"begin": everything, "a later begin": early, "forward": forward, "pages": paged}
    return Received({name: numbers(rows) for name, rows in whole.items()}, numbers(filtered))

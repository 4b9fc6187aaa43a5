"""What the benchmarks share: a server of their own, medians, and a table whose every line names its baseline."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import psycopg

from db.database import Database, Limits
from db.embedded import embedded_server
from db.migrate import migrate

Call = Callable[[], Awaitable[object]]


@contextmanager
def fresh_server(*settings: str) -> Iterator[tuple[str, Path]]:
    """DSN of an empty database, and a folder its server can read; both are gone afterwards.

    `settings` as in `track_commit_timestamp = on`; they hold from a restart on.
    """
    folder = Path(tempfile.mkdtemp(prefix="opsdeck-bench-", dir="/tmp"))
    folder.chmod(0o755)  # as root the server runs as another user
    try:
        if settings:
            with embedded_server(folder) as dsn:
                execute(dsn, *(f"ALTER SYSTEM SET {setting}" for setting in settings))
        with embedded_server(folder) as dsn:
            yield dsn, folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def migrated(dsn: str) -> AsyncIterator[Database]:
    """The database with its schema, and patience: a slow answer shall be measured, not cut off."""
    database = Database(dsn, limits=Limits(statement_s=60))
    await database.open()
    try:
        await migrate(database)
        yield database
    finally:
        await database.close()


def place(dsn: str) -> str:
    """What was measured on, in one line."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            """SELECT current_setting('server_version'), current_setting('shared_buffers'),
                      (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb')"""
        ).fetchone()
    assert row is not None
    kind = f"TimescaleDB {row[2]}" if row[2] else "native partitions"
    load = os.getloadavg()[0]
    return (
        f"{time.strftime('%Y-%m-%d')}, PostgreSQL {row[0]}, {kind}, shared_buffers {row[1]}, "
        f"{os.cpu_count()} cores, load {load:.1f} at the start"
    )


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of repeated calls."""

    median: float
    p95: float


async def timed(call: Call, *, times: int = 100, warm_up: int = 7) -> Timing:
    """Calls it again and again, the first few for the caches and the prepared statement."""
    for _ in range(warm_up):
        await call()
    spent: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        await call()
        spent.append((time.perf_counter() - started) * 1000)
    return Timing(median(spent), quantiles(spent, n=20)[-1] if len(spent) > 1 else spent[0])


class Report:
    """A table printed as it grows: a long run shows what it has."""

    def __init__(self, title: str) -> None:
        print(f"\n{title}\n")
        print("| what | median ms | p95 ms | baseline | baseline ms | ratio |")
        print("|---|---:|---:|---|---:|---:|", flush=True)

    def line(self, what: str, timing: Timing, baseline: str, base: Timing) -> None:
        ratio = timing.median / base.median if base.median else 0.0
        print(
            f"| {what} | {timing.median:.2f} | {timing.p95:.2f} | {baseline} | {base.median:.2f} | {ratio:.3g} |",
            flush=True,
        )


def query(database: Database, text: str, parameters: dict[str, object] | None = None) -> Call:
    """A plain query through the same pool, as a baseline."""

    async def call() -> None:
        async with database.reading(60) as connection:
            await (await connection.execute(text, parameters)).fetchall()  # pyright: ignore

    return call


async def explain(database: Database, text: str, parameters: dict[str, object]) -> str:
    """EXPLAIN (ANALYZE, BUFFERS) of a query as the console sends it."""
    async with database.reading(60) as connection:
        rows = await (await connection.execute("EXPLAIN (ANALYZE, BUFFERS) " + text, parameters)).fetchall()  # pyright: ignore
    return "\n".join(row[0] for row in rows)


def execute(dsn: str, *statements: str) -> None:
    """Each in a transaction of its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # pyright: ignore


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Starts a benchmark politely: others may be using this machine."""
    os.nice(5)

    async def go() -> None:
        await main()

    asyncio.run(go())

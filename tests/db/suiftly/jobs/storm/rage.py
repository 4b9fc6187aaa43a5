"""Lets it all loose."""

import asyncio
import random
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection

from db.database import Database
from db.errors import DatabaseError
from tests.db.counting import count_all
from tests.db.suiftly.jobs.storm.beside import bill, crash, keep_log, look, maintain, terminate
from tests.db.suiftly.jobs.storm.server import CrashingServer
from tests.db.suiftly.jobs.storm.steps import CONSUMERS
from tests.db.suiftly.jobs.storm.tally import Tally
from tests.db.suiftly.jobs.storm.writers import settle, write

_ROOT = Path(__file__).parents[5]
_AGGREGATORS = "tests.db.suiftly.jobs.storm.aggregators"


async def rage(
    dsn: str, *, seconds: float, seed: int, retention: Sequence[str], server: CrashingServer | None = None
) -> Tally:
    """Everything at once for `seconds`, then the rest is counted and dropped in peace. Kills `server`, if given.

    On a machine with much else to do it goes on, up to five times as long, until it was a storm: retention did each
    of what `retention` names, somebody died in each way there is.
    """
    tally, over = Tally(), asyncio.Event()
    two_phase = await _two_phase_allowed(dsn)
    database = Database(dsn)
    await database.open()

    def chance(whose: object) -> random.Random:
        return random.Random(f"{seed}-{whose}")

    work = [write(dsn, chance(n), tally, over, two_phase=two_phase and n == 0) for n in range(4)]
    work += [
        bill(dsn, chance("bill"), tally, over),
        keep_log(database, chance("hours"), over),
        terminate(dsn, chance("terminate"), over),
        _end(database, tally, over, seconds, lambda: tally.lacking(retention, crashes=0 if server is None else 2)),
    ]
    if server is not None:
        work.append(crash(server, chance("crash"), tally, over))
    async with _aggregators(dsn, ("usage", "usage", "usage", "traffic"), seed, tally, mortal=True):
        await _together(work)
    await _calm(dsn, chance("calm"))
    await maintain(database)
    await look(database, tally)
    await database.close()
    return tally


async def _end(
    database: Database, tally: Tally, over: asyncio.Event, seconds: float, lacking: Callable[[], list[str]]
) -> None:
    began = time.monotonic()
    await asyncio.sleep(seconds)
    while time.monotonic() - began < 5 * seconds:
        with suppress(DatabaseError):
            await look(database, tally)
        if not lacking():
            break
        await asyncio.sleep(1)
    over.set()


async def drizzle(dsn: str, step: str, *, seconds: float, seed: int) -> Tally:
    """Writers and three aggregators that nobody hurts: for forms that go wrong by themselves."""
    tally, over = Tally(), asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    work = [write(dsn, random.Random(f"{seed}-{n}"), tally, over, two_phase=False) for n in range(4)]
    async with _aggregators(dsn, (step,) * 3, seed, tally, mortal=False):
        await _together(work)
        await asyncio.sleep(0.5)
    return tally


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for one in work:
            group.create_task(one)


@asynccontextmanager
async def _aggregators(
    dsn: str, steps: Sequence[str], seed: int, tally: Tally, *, mortal: bool
) -> AsyncGenerator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", _AGGREGATORS, dsn, str(seed), "mortal" if mortal else "immortal", *steps,
        cwd=_ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    telling = asyncio.create_task(_tell_ends(process, tally))
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await telling
        await process.wait()


async def _tell_ends(process: Process, tally: Tally) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        what, *times = line.decode().split()
        tally.ends[what] += int(times[0]) if times else 1


async def _two_phase_allowed(dsn: str) -> bool:
    async with await AsyncConnection.connect(dsn) as connection:
        row = await (await connection.execute("SHOW max_prepared_transactions")).fetchone()
        return row is not None and int(row[0]) > 0


async def _calm(dsn: str, chance: random.Random) -> None:
    """Ends what was left prepared, and counts what is left."""
    async with await AsyncConnection.connect(dsn) as connection:
        await settle(connection, chance)
        for consumer in CONSUMERS.values():
            await count_all(connection, consumer)

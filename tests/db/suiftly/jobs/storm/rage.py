"""Lets it all loose."""

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection

from db.database import Database
from tests.db.counting import count_all
from tests.db.suiftly.jobs.storm.beside import bill, crash, keep_log, maintain, retention_runs, terminate
from tests.db.suiftly.jobs.storm.server import CrashingServer
from tests.db.suiftly.jobs.storm.steps import CONSUMERS
from tests.db.suiftly.jobs.storm.tally import Tally
from tests.db.suiftly.jobs.storm.writers import settle, write

_ROOT = Path(__file__).parents[5]
_AGGREGATORS = "tests.db.suiftly.jobs.storm.aggregators"


async def rage(dsn: str, *, seconds: float, seed: int, server: CrashingServer | None = None) -> Tally:
    """Everything at once for `seconds`, then the rest is counted and dropped in peace. Kills `server`, if given."""
    tally = Tally()
    until = time.monotonic() + seconds
    two_phase = await _two_phase_allowed(dsn)
    database = Database(dsn)
    await database.open()

    def chance(whose: object) -> random.Random:
        return random.Random(f"{seed}-{whose}")

    work = [write(dsn, chance(n), tally, until, two_phase=two_phase and n == 0) for n in range(4)]
    work += [
        bill(dsn, chance("bill"), tally, until),
        keep_log(database, chance("hours"), until),
        terminate(dsn, chance("terminate"), until),
    ]
    if server is not None:
        work.append(crash(server, chance("crash"), tally, until))
    async with _aggregators(dsn, ("usage", "usage", "usage", "traffic"), seed, tally, mortal=True):
        await _together(work)
    await _calm(dsn, chance("calm"))
    await maintain(database)
    tally.retention = await retention_runs(database)
    await database.close()
    return tally


async def drizzle(dsn: str, step: str, *, seconds: float, seed: int) -> Tally:
    """Writers and three aggregators that nobody hurts: for forms that go wrong by themselves."""
    tally = Tally()
    until = time.monotonic() + seconds
    work = [write(dsn, random.Random(f"{seed}-{n}"), tally, until, two_phase=False) for n in range(4)]
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
    try:
        yield
    finally:
        told, _ = await process.communicate(b"")  # the end of stdin
    tally.ends.update(json.loads(told))


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

"""The tail from outside, for as long as one likes: writers at their worst, its backends killed, row for row.

`python3 -m pytest -n0 -s -m hour tests/console/test_tail_soak.py` does it for an hour; OPSDECK_SOAK_SECONDS sets
another length.
"""

import asyncio
import os
import random
import signal
from collections import Counter

import pytest
from psycopg import AsyncConnection

from tests.console.command import Running, running
from tests.console.test_cli_tail import numbers
from tests.db.suiftly.log_traffic import Writers, in_table

TOLD = os.environ.get("OPSDECK_SOAK_SECONDS")


async def _kill(dsn: str, tail: Running, done: asyncio.Event, chance: random.Random) -> int:
    """Ends the backends of the tail, at moments nobody chose, until the writers are done; three at least.

    Not before it has begun: at its first connection a command that is refused ends, and none would be left to kill.
    """
    await asyncio.to_thread(tail.wait_for, "bytes_sent", 60)
    killed = 0
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        while killed < 3 or not done.is_set():
            assert tail.process.poll() is None, tail.err
            await asyncio.sleep(chance.random() * 0.8)
            cursor = await connection.execute(
                """SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name LIKE 'opsdeck%'"""
            )
            row = await cursor.fetchone()
            killed += row[0] if row else 0
    return killed


@pytest.mark.parametrize(
    "seconds",
    [pytest.param(float(TOLD or 6), id="short"), pytest.param(float(TOLD or 3600), id="hour", marks=pytest.mark.hour)],
)
async def test_what_was_received_is_what_was_committed(dsn: str, seconds: float) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    with running(dsn, "tail", "--since", "2d", "--format", "json") as tail:
        writers = Writers(dsn, seed, seconds)
        _, killed = await asyncio.gather(writers.run(), _kill(dsn, tail, writers.done, random.Random(seed)))
        expected = in_table(dsn)
        for _ in range(200):
            if sum(Counter(numbers(tail)).values()) >= sum(expected.values()):
                break
            await asyncio.sleep(0.1)
        received = Counter(numbers(tail))
        await asyncio.to_thread(tail.end, signal.SIGINT)
    print(f"{sum(expected.values())} rows committed, {killed} backends killed")
    assert received == expected

"""Aggregators as processes that die: python -m tests.db.suiftly.jobs.storm.aggregators DSN SEED MORTAL STEP...

One process each, forked and forked again whenever it is gone, until stdin closes. stdout gets a line for each that is
gone, how it died, and in the end how many steps each took.
"""

import asyncio
import os
import random
import select
import signal
import sys
import time
import traceback
from mmap import mmap
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import DeadlockDetected

from tests.db.suiftly.jobs.storm.steps import STEPS, Step

_DEFECT, _BEFORE, _INSIDE, _AFTER, _CUT = 1, 11, 12, 13, 14
_WORDS = {
    _DEFECT: "defect",
    _BEFORE: "exit_before_commit",
    _INSIDE: "exit_inside_commit",
    _AFTER: "exit_after_commit",
    _CUT: "connection_cut",
    -signal.SIGKILL: "sigkill",
}


async def _work(dsn: str, step: Step, chance: random.Random, taken: mmap, place: int, *, mortal: bool) -> None:
    async with await AsyncConnection.connect(dsn, application_name="aggregator") as connection:
        while True:
            fate = chance.random() if mortal else 1.0
            await step(connection, chance)
            if fate < 0.06:
                os._exit(_BEFORE)
            if fate < 0.12:
                _exit_inside_commit(connection, chance)
            await connection.commit()
            if fate < 0.18:
                os._exit(_AFTER)
            taken[place : place + 8] = (int.from_bytes(taken[place : place + 8]) + 1).to_bytes(8)
            if mortal:
                await asyncio.sleep(chance.choice((0, 0, 0.01, 0.1)))


def _exit_inside_commit(connection: AsyncConnection[Any], chance: random.Random) -> None:
    connection.pgconn.send_query(b"COMMIT")
    connection.pgconn.flush()
    time.sleep(chance.random() * 0.004)
    os._exit(_INSIDE)


def _live(dsn: str, step: Step, chance: random.Random, taken: mmap, place: int, *, mortal: bool) -> None:
    """A life of one process. Never returns."""
    end = _DEFECT
    try:
        asyncio.run(_work(dsn, step, chance, taken, place, mortal=mortal))
    except psycopg.OperationalError as error:
        if isinstance(error, DeadlockDetected):
            raise
        time.sleep(0.1)
        end = _CUT
    finally:
        if end == _DEFECT:
            traceback.print_exc()
        os._exit(end)


def _main(dsn: str, seed: str, mortal: bool, names: list[str]) -> None:
    chance = random.Random(seed)
    taken = mmap(-1, 8 * len(names))
    living: dict[int, int] = {}
    kill_at = time.monotonic()
    while not select.select([sys.stdin], [], [], 0.01)[0]:
        for number in set(range(len(names))) - set(living.values()):
            life = random.Random(chance.random())
            pid = os.fork()
            if pid == 0:
                _live(dsn, STEPS[names[number]], life, taken, 8 * number, mortal=mortal)
            living[pid] = number
        if mortal and time.monotonic() > kill_at:
            kill_at = time.monotonic() + chance.random()
            os.kill(chance.choice(list(living)), signal.SIGKILL)
        while (dead := os.waitpid(-1, os.WNOHANG))[0]:
            living.pop(dead[0])
            print(_WORDS[os.waitstatus_to_exitcode(dead[1])], flush=True)
            if not living:
                break
    for pid in living:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    for number, name in enumerate(names):
        print(f"steps_{name}", int.from_bytes(taken[8 * number : 8 * number + 8]))


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], sys.argv[3] == "mortal", sys.argv[4:])

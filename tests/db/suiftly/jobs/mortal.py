"""A process that publishes and is killed at a step: reads the steps from stdin, forks for each, kills that from within.

Arguments: DSN, vault directory, key file. For each line it writes the pid, then the wait status.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from db.audit import Actor
from db.database import Database
from db.source import Source, VaultPlace
from db.suiftly.jobs.generate_vault import GenerateMaVault


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _arm(step: str) -> None:
    """Kills this process when it comes to the step. The program under test knows nothing of it."""
    renamed: list[str] = []

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename":
            if step == "written":
                _die()
            renamed.append(str(arguments[1]))
        elif event == "open":
            path = str(arguments[0])
            if (step == "begun" and path.endswith(".enc.part")) or (step == "read back" and path in renamed):
                _die()

    fsync = os.fsync

    def dying_fsync(handle: int) -> None:
        if step == ("renamed" if renamed else "half written"):
            _die()
        fsync(handle)

    os.fsync = dying_fsync
    sys.addaudithook(hear)


async def _publish(dsn: str, place: VaultPlace) -> None:
    database = Database(dsn)
    await database.open()
    await Source(database, Actor("mortal", None), vault=place).run_job(GenerateMaVault())
    await database.close()


def main() -> None:
    """One child for each step."""
    dsn, directory, key_file = sys.argv[1:]
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _arm(line.strip())
            asyncio.run(_publish(dsn, VaultPlace(Path(directory), Path(key_file))))
            os._exit(0)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()

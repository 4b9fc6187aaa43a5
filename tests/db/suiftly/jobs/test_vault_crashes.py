"""A publication that is really killed, at each of its steps: the version before stays whole, and the next run heals."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from db.database import Database
from tests.console.command import ROOT, environment
from tests.db.suiftly.jobs.publishing import WAITING, Press, allow, business, press, revoke, rows, until
from tests.vault_reader import read_vault


@pytest.fixture
def vault(dsn: str, database: Database, tmp_path: Path) -> Press:
    business(dsn)
    return press(dsn, database, tmp_path)


class Mortals:
    """Processes that publish, one after the other."""

    def __init__(self, vault: Press) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.db.suiftly.jobs.mortal",
                vault.dsn,
                str(vault.directory),
                str(vault.place.key_file),
            ],
            cwd=ROOT,
            env=environment(PYTHONPATH=str(ROOT)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, step: str = "none") -> int:
        """The pid of one that is on its way to the step."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{step}\n")
        self._process.stdin.flush()
        return int(self._line())

    def was_killed(self) -> bool:
        status = int(self._line())
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def end(self) -> None:
        self._process.communicate()


@pytest.fixture
def mortals(vault: Press) -> Iterator[Mortals]:
    mortals = Mortals(vault)
    yield mortals
    mortals.end()


def current(vault: Press) -> Path:
    return Path(
        rows(vault.dsn, "SELECT path FROM console.vault_version WHERE vault = 'ma' ORDER BY seq DESC LIMIT 1")[0][0]
    )


async def healed(vault: Press, before: Path, inside: set[int]) -> None:
    """The version before is on record and whole; the next run publishes what the database says."""
    assert current(vault) == before
    read_vault(before, vault.keys)
    for path in vault.directory.glob("ma-*.enc"):
        read_vault(path, vault.keys)  # whatever has a name is whole
    run = await vault.generate()
    assert run.outcome == "succeeded", run.message
    assert vault.inside() == inside
    vault.assert_whole()
    again = await vault.generate()
    assert "nothing changed" in (again.message or "")


async def test_killed_at_any_step_nothing_is_lost_and_the_next_run_heals(vault: Press, mortals: Mortals) -> None:
    await vault.published()
    everybody = vault.inside()
    for number, step in enumerate(("begun", "half written", "written", "renamed", "read back")):
        before = current(vault)
        (allow if number % 2 else revoke)(vault.dsn, 11)
        mortals.begin(step)
        assert mortals.was_killed(), step
        on_disk = {path.name[0] for path in vault.directory.iterdir() if path.name > before.name or path.name[0] == "."}
        assert on_disk == {"begun": set(), "renamed": {"m"}, "read back": {"m"}}.get(step, {"."}), step
        await healed(vault, before, everybody - ({11} if number % 2 == 0 else set()))
    assert rows(vault.dsn, "SELECT count(*) FROM console.job_run WHERE outcome = 'crashed'") == [(5,)]


async def test_killed_before_the_record_what_is_on_the_disk_is_found(vault: Press, mortals: Mortals) -> None:
    await vault.published()
    before = current(vault)
    revoke(vault.dsn, 11)
    with psycopg.connect(vault.dsn) as other:
        other.execute("SELECT FROM system_control WHERE id = 1 FOR UPDATE")
        pid = mortals.begin()
        await until(WAITING, vault.dsn)
        os.kill(pid, signal.SIGKILL)
        assert mortals.was_killed()
    assert len(vault.files()) == 2, "the new version is there, but not on record"
    allow(vault.dsn, 11)  # and meanwhile it is out of date
    await healed(vault, before, {11, 12, 13, 21, 31})
    recorded = rows(
        vault.dsn,
        "SELECT v.seq, a.reason FROM console.audit a JOIN console.vault_version v USING (operation_id) ORDER BY 1",
    )
    assert [(seq, reason[:11]) for seq, reason in recorded] == [
        (1, "4 customers"),
        (2, "left behind"),
        (3, "1 key added"),
    ]


async def test_killed_behind_the_record_the_version_counts(vault: Press, mortals: Mortals) -> None:
    await vault.published()
    revoke(vault.dsn, 11)
    with psycopg.connect(vault.dsn) as gate:
        gate.execute("SELECT FROM system_control WHERE id = 1 FOR UPDATE")
        pid = mortals.begin()
        await until(WAITING, vault.dsn)
        with psycopg.connect(vault.dsn) as record_of_runs:
            record_of_runs.execute("LOCK TABLE console.job_run IN EXCLUSIVE MODE")
            gate.commit()
            await until("SELECT FROM console.vault_version WHERE seq = 2", vault.dsn)
            os.kill(pid, signal.SIGKILL)
            assert mortals.was_killed()
    vault.assert_whole()
    assert 11 not in vault.inside()
    assert "nothing changed" in ((await vault.generate()).message or "")

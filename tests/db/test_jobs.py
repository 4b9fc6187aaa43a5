"""The frame around jobs: one at a time, every end on record."""

import asyncio
from typing import ClassVar
from uuid import uuid4

import psycopg
import pytest

from db.audit import Actor
from db.database import Database
from db.errors import Refused
from db.jobs.history import CRASHED, JobHistory, JobRun
from db.jobs.job import Job, Pace, PartlyFailed, Run
from db.jobs.runner import run_job
from db.page import Page, page_of
from db.source import JOBS, Source
from db.suiftly.jobs.clean_up import CleanUp

ANN, BOB = Actor("ann", None), Actor("bob", "198.51.100.7")


class _Slow(Job):
    """Steps until told to stop; each step writes one row."""

    name: ClassVar[str] = "slow"
    title: ClassVar[str] = "for tests"
    number: ClassVar[int] = 99
    every_s: ClassVar[int] = 60

    def __init__(self, ending: Exception | None = None, steps: int = 1, step_s: float = 0.02) -> None:
        self.ending = ending
        self.steps = steps
        self.step_s = step_s
        self.stepped = asyncio.Event()

    async def run(self, run: Run) -> str:
        run.begin("steps", self.steps)
        for _ in range(self.steps):
            async with run.step() as connection:
                await connection.execute(
                    "INSERT INTO processing_state (key, value) VALUES (gen_random_uuid()::text, '')"
                )
            self.stepped.set()
            await run.report("stepping", done=1, steps=1)
            await asyncio.sleep(self.step_s)
        if self.ending is not None:
            raise self.ending
        return "done"


def _steps(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM processing_state").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [(None, "succeeded"), (PartlyFailed("half of it"), "partial"), (Refused("not like this"), "failed")],
)
async def test_every_end_is_on_record(database: Database, ending: Exception | None, outcome: str) -> None:
    run = await run_job(database, _Slow(ending), actor=BOB)
    assert (run.outcome, run.os_user, run.ssh_source, run.counts) == (outcome, "bob", "198.51.100.7", {"steps": 1})
    assert run.message == (str(ending) if ending else "done")
    assert await JobHistory(database).page(job="slow") == (run,)


async def test_a_second_start_is_skipped_and_names_the_holder(database: Database) -> None:
    job = _Slow(steps=100)
    first = asyncio.create_task(run_job(database, job, actor=ANN))
    await job.stepped.wait()
    second = await run_job(database, _Slow(), actor=BOB)
    assert second.outcome == "skipped"
    assert "ann" in (second.message or "")
    assert await JobHistory(database).ask_to_stop("slow", BOB)
    stopped = await first
    assert stopped.outcome == "cancelled"
    assert "bob" in (stopped.message or "")


async def test_how_far_a_run_is_can_be_read_by_others_while_it_goes_on(database: Database) -> None:
    job, told, history = _Slow(steps=100, step_s=0.7), list[Pace | None](), JobHistory(database)
    running = asyncio.create_task(run_job(database, job, actor=ANN, tell=lambda _, pace: told.append(pace)))
    deadline = asyncio.get_running_loop().time() + 15
    pace: Pace | None = None
    while pace is None or pace.left_s is None:
        assert asyncio.get_running_loop().time() < deadline, pace
        await asyncio.sleep(0.1)
        pace = next((run.pace for run in await history.page()), None)
    assert (pace.unit, pace.total) == ("steps", 100)
    assert pace.per_s == pytest.approx(1 / 0.7, rel=0.9)
    assert pace.left_s == pytest.approx((100 - pace.done) / pace.per_s, abs=3)
    assert told[-1] is not None
    assert told[-1].done == pace.done
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    [run] = await history.page()
    assert run.pace is not None
    assert (run.pace.total, run.pace.left_s) == (None, None), "nothing is left of a run that has ended"


async def test_a_dry_run_changes_nothing(database: Database, dsn: str) -> None:
    run = await run_job(database, _Slow(steps=3), actor=ANN, dry_run=True)
    assert run.dry_run
    assert run.counts == {"steps": 3}
    assert _steps(dsn) == 0


async def test_cancelling_keeps_what_was_committed_and_says_so(database: Database, dsn: str) -> None:
    job = _Slow(steps=1000)
    task = asyncio.create_task(run_job(database, job, actor=ANN))
    await job.stepped.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [run] = await JobHistory(database).page(job="slow")
    assert run.outcome == "cancelled"
    assert _steps(dsn) >= 1


async def test_a_run_that_died_is_shown_as_crashed(database: Database, dsn: str) -> None:
    await run_job(database, _Slow(), actor=ANN)
    with psycopg.connect(dsn) as connection:
        connection.execute(
            """UPDATE console.job_run SET outcome = NULL, message = NULL, finished_at = NULL,
                      heartbeat_at = clock_timestamp() - interval '1 minute'"""
        )
    history = JobHistory(database)
    assert [(run.outcome, run.message) for run in await history.page()] == [("crashed", CRASHED)]
    await run_job(database, _Slow(), actor=ANN)
    assert [run.outcome for run in await history.page()] == ["succeeded", "crashed"]
    assert [run.outcome for run in await history.page(outcome="crashed")] == ["crashed"]
    newest, *older = await history.page()
    assert await history.page(before=newest) == tuple(older)
    assert Page[JobRun](tuple(older), complete=True) == page_of(older, 5)


async def test_the_last_run_of_each_job_is_found_at_once(database: Database) -> None:
    class Other(_Slow):
        name = "other"
        number = 98

    await run_job(database, _Slow(), actor=ANN)
    await run_job(database, Other(PartlyFailed("half of it")), actor=ANN)
    await run_job(database, _Slow(), actor=BOB)
    history = JobHistory(database)
    # What was only tried, or skipped, does not hide how the job is; one that goes on comes first.
    await run_job(database, Other(), actor=BOB, dry_run=True)
    await history.skip(uuid4(), "other", BOB, "ann", dry_run=False)

    async def last() -> dict[str, tuple[str, str, bool]]:
        found = await history.last(["slow", "other", "never-run"])
        return {name: (run.os_user, run.outcome, run.bad) for name, run in found.items()}

    assert await last() == {"slow": ("bob", "succeeded", False), "other": ("ann", "partial", True)}
    await history.begin(uuid4(), "slow", ANN, dry_run=False)
    await history.skip(uuid4(), "slow", BOB, "ann", dry_run=False)
    assert (await last())["slow"] == ("ann", "running", False)


class _LooksAtItsLock(_Slow):
    async def run(self, run: Run) -> str:
        async with run.database.reading() as connection:
            cursor = await connection.execute(
                """SELECT a.backend_xmin, a.backend_xid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                   WHERE l.locktype = 'advisory' AND a.datname = current_database()"""
            )
            return str(await cursor.fetchall())


async def test_the_lock_holds_up_neither_vacuum_nor_capture(database: Database) -> None:
    assert (await run_job(database, _LooksAtItsLock(), actor=ANN)).message == "[(None, None)]"


async def test_a_job_with_a_defect_keeps_no_other_from_running(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Job, __: Run) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(JOBS[0], "run", broken.__get__(JOBS[0]))
    with pytest.raises(ZeroDivisionError):
        await Source(database).run_due_jobs()
    runs = {run.job: run for run in await JobHistory(database).page()}
    assert (runs[JOBS[0].name].outcome, runs[JOBS[0].name].message) == ("failed", "a defect: ZeroDivisionError")
    assert runs["clean-up"].outcome == "succeeded"


async def test_losing_the_lock_ends_the_run(database: Database, dsn: str) -> None:
    job = _Slow(steps=1000)
    task = asyncio.create_task(run_job(database, job, actor=ANN))
    await job.stepped.wait()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
               WHERE l.locktype = 'advisory' AND d.datname = current_database()"""
        )
    run = await asyncio.wait_for(task, 10)
    assert run.outcome == "failed"


async def test_expired_logins_are_deleted_and_counted(database: Database, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            """INSERT INTO auth_nonces (address, nonce, created_at)
               VALUES ('0xold', 'n', now() - interval '1 hour'), ('0xnew', 'n', now())"""
        )
        connection.execute(f"INSERT INTO customers (customer_id, wallet_address) VALUES (1, '0x{1:064x}')")  # type: ignore[arg-type]
        connection.execute(
            """INSERT INTO refresh_tokens (customer_id, token_hash, expires_at)
               VALUES (1, repeat('a', 64), now() - interval '1 s'), (1, repeat('b', 64), now() + interval '1 day')"""
        )
    dry = await run_job(database, CleanUp(), actor=ANN, dry_run=True)
    assert dry.counts == {"nonces": 1, "tokens": 1}
    run = await run_job(database, CleanUp(), actor=ANN)
    assert run.counts == {"nonces": 1, "tokens": 1}
    assert (await run_job(database, CleanUp(), actor=ANN)).counts == {"nonces": 0, "tokens": 0}

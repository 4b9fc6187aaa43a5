"""Runs a job: one lock per job, a heartbeat, an outcome on record whatever happens."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import LiteralString
from uuid import UUID, uuid4

from db.audit import Actor
from db.changes import notify
from db.database import Connection, Database
from db.errors import DatabaseError, Unavailable, translated
from db.jobs.history import JobHistory, JobRun
from db.jobs.job import Cancelled, Explain, Job, Pace, PartlyFailed, Run
from db.migrate import ADVISORY_CLASS

_LET_GO: LiteralString = "SELECT 1"  # by the simple protocol, which keeps no snapshot: never prepared
_BEAT_S = 5.0  # between steps that take long
_TELL_S = 1.0  # progress is stored at most this often

Tell = Callable[[str, Pace | None], None]


async def run_job(
    database: Database,
    job: Job,
    *,
    actor: Actor,
    dry_run: bool = False,
    tell: Tell | None = None,
    explain: Explain | None = None,
) -> JobRun:
    """Runs the job unless someone else does, and returns the run as the record has it.

    `tell` hears of progress at most once a second, `explain` of every single thing. Cancelling the task that awaits
    this ends the step under way (its transaction is rolled back) and puts `cancelled` on record. Raises Unavailable
    when not even the outcome could be recorded; a later run then marks this one as crashed.
    """
    history = JobHistory(database)
    run_id = uuid4()
    async with _lock(database, job) as lock:
        if lock is None:
            await history.skip(run_id, job.name, actor, await history.holder(job.name, job.number), dry_run=dry_run)
        else:
            await history.begin(run_id, job.name, actor, dry_run=dry_run)
            await _Attempt(database, job, run_id, lock, tell).carry_out(actor, explain, dry_run=dry_run)
    found = await history.find(run_id)
    if found is None:
        raise Unavailable(f"the run of {job.name} is not on record")
    return found


@asynccontextmanager
async def _lock(database: Database, job: Job) -> AsyncGenerator[Connection | None]:
    """Holds the job's lock in a transaction that does nothing else; None when someone else has it.

    A transaction rather than a session holds it, so that it works through a pooler; having neither xid nor snapshot
    it holds up neither capture nor vacuum. A statement with parameters leaves a portal that keeps its snapshot, until
    a plain one follows.
    """
    async with database.writing() as connection:
        await connection.execute("SELECT set_config('idle_in_transaction_session_timeout', '0', true)")
        cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", (ADVISORY_CLASS, job.number))
        row = await cursor.fetchone()
        await connection.execute(_LET_GO, prepare=False)
        yield connection if row and row[0] else None


class _Attempt:
    """One run that has the lock."""

    def __init__(self, database: Database, job: Job, run_id: UUID, lock: Connection, tell: Tell | None) -> None:
        self._database = database
        self._history = JobHistory(database)
        self._job = job
        self._run_id = run_id
        self._lock = lock
        self._tell = tell
        self._told = 0.0
        self._progress = ""
        self._run: Run | None = None
        self._stop_asked: str | None = None

    async def carry_out(self, actor: Actor, explain: Explain | None, *, dry_run: bool) -> None:
        run = Run(self._database, actor=actor, dry_run=dry_run, checkpoint=self._checkpoint, explain=explain)
        self._run = run
        beating = asyncio.create_task(self._beat())
        try:
            outcome, message = "succeeded", await self._job.run(run)
        except Cancelled as error:
            outcome, message = "cancelled", str(error)
        except PartlyFailed as error:
            outcome, message = "partial", str(error)
        except DatabaseError as error:
            outcome, message = "failed", str(error)
        except asyncio.CancelledError:
            ending = asyncio.ensure_future(
                self._finish("cancelled", "stopped by its operator; what was committed stays")
            )
            while not ending.done():  # a console that is left cancels more than once
                with suppress(asyncio.CancelledError):
                    await asyncio.shield(ending)
            raise
        except Exception as error:
            await self._finish("failed", f"a defect: {type(error).__name__}")
            raise
        finally:
            beating.cancel()
        await self._finish(outcome, message)

    async def _finish(self, outcome: str, message: str) -> None:
        await self._history.finish(self._run_id, outcome, message, self._counts, self._pace)
        async with self._database.writing() as connection:
            await notify(connection, "jobs")

    @property
    def _counts(self) -> Counter[str]:
        return Counter() if self._run is None else self._run.counts

    @property
    def _pace(self) -> Pace | None:
        return None if self._run is None or self._run.stage is None else self._run.stage.pace

    async def _checkpoint(self, progress: str) -> None:
        self._progress = progress
        if monotonic() - self._told >= _TELL_S:
            await self._store()
            if self._tell is not None:
                self._tell(progress, self._pace)
        if self._stop_asked is not None:
            raise Cancelled(f"stopped on request of {self._stop_asked}; what was committed stays")

    async def _store(self) -> None:
        self._told = monotonic()
        self._stop_asked = await self._history.beat(self._run_id, self._progress, self._counts, self._pace)
        # The lock is gone with its connection: another run may have begun, and this one must not go on.
        with translated():
            await self._lock.execute(_LET_GO, prepare=False)

    async def _beat(self) -> None:
        """Beats while a step takes long; a beat that fails is left to the step itself to notice."""
        while True:
            await asyncio.sleep(_BEAT_S)
            try:
                await self._history.beat(self._run_id, self._progress, self._counts, self._pace)
            except DatabaseError:
                continue

"""The record of job runs (table console.job_run)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID, uuid4

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db import audit
from db.audit import Actor, Entry
from db.database import Connection, Database
from db.jobs.job import Pace
from db.migrate import ADVISORY_CLASS

SILENCE = timedelta(seconds=30)
"""A run that did not beat for this long is taken for crashed; it beats every few seconds."""
CRASHED = "its process or connection ended without a word"
"""What there is to say of such a run."""


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run. `outcome`: running, succeeded, partial, failed, cancelled, skipped or crashed."""

    run_id: UUID
    job: str
    dry_run: bool
    os_user: str
    ssh_source: str | None
    db_role: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    counts: dict[str, int]
    progress: str | None
    cancel_by: str | None  # who asked it to stop
    message: str | None
    duration_s: float
    unit: str | None
    done: int
    total: int | None
    spent_s: float
    since_s: float

    @property
    def pace(self) -> Pace | None:
        """How far it is; of a run that has ended nothing is left."""
        if self.unit is None:
            return None
        return Pace(self.unit, self.done, self.total if self.outcome == "running" else None, self.spent_s, self.since_s)

    @property
    def bad(self) -> bool:
        """It ended, and somebody should look why."""
        return self.outcome in ("failed", "partial", "crashed")


_SILENT: dict[str, object] = {"silence": SILENCE, "crashed": CRASHED}
_SELECT: LiteralString = """
    SELECT run_id, job, dry_run, os_user, ssh_source, db_role, started_at, finished_at,
           coalesce(outcome, CASE WHEN heartbeat_at < clock_timestamp() - %(silence)s THEN 'crashed' ELSE 'running' END)
               AS outcome,
           counts, progress, cancel_by,
           coalesce(message, CASE WHEN outcome IS NULL AND heartbeat_at < clock_timestamp() - %(silence)s
                                  THEN %(crashed)s END) AS message,
           extract(epoch FROM coalesce(finished_at, clock_timestamp()) - started_at)::float8 AS duration_s,
           unit, done, total, spent_s,
           extract(epoch FROM coalesce(finished_at, clock_timestamp()) - done_at)::float8 AS since_s
    FROM console.job_run
"""

_SO_FAR: LiteralString = """
    counts = %(counts)s, unit = %(unit)s, done = %(done)s, total = %(total)s, spent_s = %(spent_s)s,
    done_at = clock_timestamp() - make_interval(secs => %(since_s)s)
    WHERE run_id = %(run_id)s
"""


def _so_far(run_id: UUID, counts: Counter[str], pace: Pace | None) -> dict[str, Any]:
    told = asdict(pace or Pace("", 0, None, 0.0))
    return told | {"unit": told["unit"] or None, "run_id": run_id, "counts": Jsonb(dict(counts))}


_ENDED: LiteralString = "run_id, job, os_user, ssh_source, outcome, message, dry_run, counts"
_OUTCOMES = {"succeeded": "done", "skipped": "refused", "crashed": "failed"}


async def _on_record(connection: Connection, runs: Sequence[Any]) -> None:
    """Adds ended runs to the audit, in the transaction that ends them; a run's id is its operation id there."""
    for run_id, job, os_user, ssh_source, outcome, message, dry_run, counts in runs:
        entry = Entry(
            operation_id=run_id,
            action="run-job",
            subjects=(f"job:{job}",),
            actor=Actor(os_user, ssh_source),
            reason="",
            outcome=_OUTCOMES.get(str(outcome), str(outcome)),
            message=f"{job}{' (dry run)' if dry_run else ''}: {outcome}: {message}",
            after={f"job:{job}": {"outcome": outcome, "dry_run": dry_run, **counts}},
        )
        await audit.write(connection, entry)


class JobHistory:
    """Reads and writes the record. Every write is a transaction of its own, so that all consoles see it at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, *, job: str | None = None, outcome: str | None = None, before: JobRun | None = None, limit: int = 50
    ) -> tuple[JobRun, ...]:
        """Runs, newest first; of one job, of one outcome as JobRun has it, behind the last of the page `before`."""
        conditions: list[LiteralString] = ["true"]
        if job is not None:
            conditions.append("job = %(job)s")
        if before is not None:
            conditions.append("(started_at, run_id) < (%(at)s, %(run_id)s)")
        query = _SELECT + " WHERE " + " AND ".join(conditions)
        if outcome is not None:
            query = "SELECT * FROM (" + query + ") runs WHERE outcome = %(outcome)s"
        parameters = _SILENT | {"job": job, "outcome": outcome, "limit": limit}
        if before is not None:
            parameters |= {"at": before.started_at, "run_id": before.run_id}
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(JobRun))
            await cursor.execute(query + " ORDER BY started_at DESC, run_id DESC LIMIT %(limit)s", parameters)
            return tuple(await cursor.fetchall())

    async def last(self, jobs: Sequence[str]) -> dict[str, JobRun]:
        """The run of each of these jobs that tells how it is, by name: one that goes on, else the newest that was not
        dry and not skipped. A job that never ran is missing."""
        query = (
            "SELECT run.* FROM unnest(%(jobs)s::text[]) AS wanted(name) CROSS JOIN LATERAL ("
            + _SELECT
            + """ WHERE job = wanted.name AND (outcome IS NULL OR NOT dry_run AND outcome <> 'skipped')
                  ORDER BY started_at DESC LIMIT 1) run"""
        )
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(JobRun))
            await cursor.execute(query, {"jobs": list(jobs)} | _SILENT)
            return {run.job: run for run in await cursor.fetchall()}

    async def due_in(self, every_s: Mapping[str, int]) -> dict[str, float]:
        """Seconds until each of these jobs is due by its period (seconds); 0 and less: now. Dry runs do not count."""
        async with self._database.reading() as connection:
            cursor = await connection.execute(
                """SELECT wanted.name, coalesce(
                       every_s - extract(epoch FROM clock_timestamp() - (
                           SELECT r.started_at FROM console.job_run r
                           WHERE r.job = wanted.name AND NOT r.dry_run AND r.outcome IS DISTINCT FROM 'skipped'
                           ORDER BY r.started_at DESC LIMIT 1)), 0)::float8
                   FROM unnest(%s::text[], %s::int[]) AS wanted(name, every_s)""",
                (list(every_s), list(every_s.values())),
            )
            return dict(await cursor.fetchall())

    async def due(self, every_s: Mapping[str, int]) -> list[str]:
        """Those of these jobs that no run, other than a dry or a skipped one, began within their period (seconds)."""
        return [name for name, seconds in (await self.due_in(every_s)).items() if seconds <= 0]

    async def find(self, run_id: UUID) -> JobRun | None:
        """One run, or None."""
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(JobRun))
            await cursor.execute(_SELECT + " WHERE run_id = %(run_id)s", {"run_id": run_id} | _SILENT)
            return await cursor.fetchone()

    async def begin(self, run_id: UUID, job: str, actor: Actor, *, dry_run: bool) -> None:
        """Puts a run on record and marks earlier ones that nobody finished: the caller holds the job's lock."""
        async with self._database.writing() as connection:
            cursor = await connection.execute(
                """UPDATE console.job_run SET outcome = 'crashed', finished_at = heartbeat_at,
                          message = %s
                   WHERE job = %s AND outcome IS NULL RETURNING """
                + _ENDED,
                (CRASHED, job),
            )
            await _on_record(connection, await cursor.fetchall())
            await connection.execute(
                """INSERT INTO console.job_run (run_id, job, dry_run, os_user, ssh_source)
                   VALUES (%s, %s, %s, %s, %s)""",
                (run_id, job, dry_run, actor.os_user, actor.ssh_source),
            )

    async def skip(self, run_id: UUID, job: str, actor: Actor, holder: str, *, dry_run: bool) -> None:
        """Puts on record that the job was not run because `holder` runs it."""
        async with self._database.writing() as connection:
            cursor = await connection.execute(
                """INSERT INTO console.job_run
                       (run_id, job, dry_run, os_user, ssh_source, finished_at, outcome, message)
                   VALUES (%s, %s, %s, %s, %s, clock_timestamp(), 'skipped', %s) RETURNING """
                + _ENDED,
                (run_id, job, dry_run, actor.os_user, actor.ssh_source, f"{holder} is running it"),
            )
            await _on_record(connection, await cursor.fetchall())

    async def beat(self, run_id: UUID, progress: str, counts: Counter[str], pace: Pace | None) -> str | None:
        """Stores how far it is; returns who asked it to stop, or None."""
        async with self._database.writing() as connection:
            cursor = await connection.execute(
                "UPDATE console.job_run SET heartbeat_at = clock_timestamp(), progress = %(progress)s,"
                + _SO_FAR
                + " RETURNING cancel_by",
                _so_far(run_id, counts, pace) | {"progress": progress},
            )
            row = await cursor.fetchone()
            return row[0] if row else None

    async def finish(self, run_id: UUID, outcome: str, message: str, counts: Counter[str], pace: Pace | None) -> None:
        """Puts the end of a run on record, in the audit too."""
        async with self._database.writing() as connection:
            cursor = await connection.execute(
                """UPDATE console.job_run SET outcome = %(outcome)s, message = %(message)s, progress = NULL,
                          heartbeat_at = clock_timestamp(), finished_at = clock_timestamp(),"""
                + _SO_FAR
                + " RETURNING "
                + _ENDED,
                _so_far(run_id, counts, pace) | {"outcome": outcome, "message": message},
            )
            await _on_record(connection, await cursor.fetchall())

    async def ask_to_stop(self, job: str, actor: Actor) -> bool:
        """Asks the running run of a job to stop at its next step; False when none is running. On record either way."""
        async with self._database.writing() as connection:
            cursor = await connection.execute(
                "UPDATE console.job_run SET cancel_by = %s WHERE job = %s AND outcome IS NULL", (actor.os_user, job)
            )
            asked = cursor.rowcount > 0
            entry = Entry(
                operation_id=uuid4(),
                action="stop-job",
                subjects=(f"job:{job}",),
                actor=actor,
                reason="",
                outcome="done" if asked else "refused",
                message=f"{job} was asked to stop" if asked else f"{job} was not running",
            )
            await audit.write(connection, entry)
            return asked

    async def holder(self, job: str, number: int) -> str:
        """Who holds a job's lock, in words: by the record where there is one, else by the session."""
        async with self._database.reading() as connection:
            cursor = await connection.execute(
                """SELECT coalesce(r.os_user, a.usename, '?'), a.pid, coalesce(a.application_name, '')
                   FROM pg_locks l
                   LEFT JOIN pg_stat_activity a USING (pid)
                   LEFT JOIN LATERAL (
                       SELECT os_user FROM console.job_run
                       WHERE job = %(job)s AND outcome IS NULL ORDER BY started_at DESC LIMIT 1
                   ) r ON true
                   WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
                     AND l.classid = %(class)s::bigint::oid AND l.objid = %(number)s::bigint::oid
                     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                   LIMIT 1""",
                {"job": job, "class": ADVISORY_CLASS, "number": number},
            )
            row = await cursor.fetchone()
        return f"{row[0]} (backend {row[1]})" if row else "another console, which has just finished"

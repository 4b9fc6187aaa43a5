"""Jobs started from a screen: they belong to the app, and go on when the screen is left."""

from collections.abc import Callable
from time import monotonic
from typing import Any

from textual.app import App

from console.failures import word
from db.errors import DatabaseError
from db.source import Job, Source

_TWICE_S = 8.0  # two wishes to leave within this are meant


class JobStarter:
    """Runs jobs in workers of the app and tells how they ended."""

    def __init__(self, app: App[Any], source: Source, changed: Callable[[str], None]) -> None:
        self._app = app
        self._source = source
        self._changed = changed
        self._running: list[str] = []
        self._told_at = -_TWICE_S

    def may_leave(self) -> bool:
        """Whether nothing runs in this console; else what does is told, and asking once more soon is an answer."""
        if not self._running or monotonic() - self._told_at < _TWICE_S:
            return True
        self._told_at = monotonic()
        text = "Leaving stops it after its current step; what it committed stays. Once more to leave."
        self._app.notify(text, title=f"{', '.join(self._running)} runs here", severity="warning", timeout=_TWICE_S)
        return False

    def start(self, job: Job, *, dry_run: bool) -> None:
        """Runs it now, unless someone else does."""
        self._app.run_worker(self._run(job, dry_run=dry_run), group="jobs", exclusive=False)

    def stop(self, job: Job) -> None:
        """Asks the running run, whoever started it, to stop at its next step."""
        self._app.run_worker(self._stop(job), group="jobs", exclusive=False)

    async def _run(self, job: Job, *, dry_run: bool) -> None:
        self._running.append(job.name)
        try:
            run = await self._source.run_job(job, dry_run=dry_run)
        except DatabaseError as error:
            self._say_failure(job, error)
            return
        finally:
            self._running.remove(job.name)
        self._changed("jobs")
        severity = "warning" if run.bad else "information"
        text = run.message or run.outcome
        title = f"{job.name}{' (dry run)' if dry_run else ''}: {run.outcome}"
        self._app.notify(text, title=title, severity=severity, timeout=8, markup=False)

    async def _stop(self, job: Job) -> None:
        try:
            asked = await self._source.jobs.ask_to_stop(job.name, self._source.actor)
        except DatabaseError as error:
            self._say_failure(job, error)
            return
        text = "It stops at its next step; what it committed stays." if asked else "It is not running."
        self._app.notify(text, title=job.name, timeout=5, markup=False)

    def _say_failure(self, job: Job, error: DatabaseError) -> None:
        self._app.notify(word(error).text, title=job.name, severity="warning", timeout=10, markup=False)

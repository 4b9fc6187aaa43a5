"""Jobs started from a screen: they belong to the app, and go on when the screen is left."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

from textual.app import App
from textual.screen import Screen

from console.failures import word
from console.perform import JOB_WORKERS, Answer
from db.errors import DatabaseError
from db.source import Job, Preview, Source

_AT_ONCE = 2  # a job takes three of the console's five writing connections at times, and a change must find one
_TWICE_S = 8.0  # two wishes to leave within this are meant

Confirm = Callable[[Preview, str], Screen[Answer | None]]


class JobStarter:
    """Runs jobs in workers of the app and tells how they ended."""

    def __init__(self, app: App[Any], source: Source, confirm: Confirm, changed: Callable[[str], None]) -> None:
        self._app = app
        self._source = source
        self._confirm = confirm
        self._changed = changed
        self._told_at = -_TWICE_S
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def leave(self) -> bool:
        """Ends what runs in this console, on record, once that was asked for twice; False for the first time."""
        running = [worker for worker in self._app.workers if worker.group == JOB_WORKERS and worker.is_running]
        if running and monotonic() - self._told_at >= _TWICE_S:
            self._told_at = monotonic()
            names = ", ".join(worker.name for worker in running)
            text = "Leaving ends the step it is at; what it committed stays. Once more to leave."
            self._app.notify(text, title=f"{names} runs here", severity="warning", timeout=_TWICE_S)
            return False
        for worker in running:
            worker.cancel()
        await asyncio.gather(*(worker.wait() for worker in running), return_exceptions=True)
        return True

    def start(self, job: Job, *, dry_run: bool) -> None:
        """Runs it, unless someone else does; asks first where what it does cannot be taken back."""
        if job.lasting and not dry_run:
            self._app.run_worker(self._ask(job), group="asking about jobs", exclusive=False)
        else:
            self._begin(job, dry_run=dry_run)

    def stop(self, job: Job) -> None:
        """Asks the running run, whoever started it, to stop at its next step."""
        self._app.run_worker(self._stop(job), group="stops of jobs", exclusive=False)

    async def _ask(self, job: Job) -> None:
        preview = Preview(f"Run {job.name}", "Run", (f"{job.title}.",), (job.lasting,), version="")
        if await self._app.push_screen_wait(self._confirm(preview, f"opsdeck jobs run {job.name}")) is None:
            self._app.notify("It was not run.", title=job.name, timeout=3, markup=False)
        else:
            self._begin(job, dry_run=False)

    def _begin(self, job: Job, *, dry_run: bool) -> None:
        if self._free.locked():
            text = f"{_AT_ONCE} jobs run here; it begins when one of them has ended."
            self._app.notify(text, title=job.name, timeout=8, markup=False)
        self._app.run_worker(self._run(job, dry_run=dry_run), name=job.name, group=JOB_WORKERS, exclusive=False)

    async def _run(self, job: Job, *, dry_run: bool) -> None:
        try:
            async with self._free:
                run = await self._source.run_job(job, dry_run=dry_run)
        except DatabaseError as error:
            self._say_failure(job, error)
            return
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

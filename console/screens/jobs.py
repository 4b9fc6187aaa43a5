"""The jobs: what each did last, running one, watching it, its history."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from console.places import Place
from console.screens.base import DeckScreen
from console.words import ago, moment
from db.source import JOBS, Job, JobRun, Source
from widgets.keyset_table import Column, KeysetTable
from widgets.tone import Tone

_TONES = {
    "succeeded": Tone.GOOD,
    "running": Tone.ACCENT,
    "partial": Tone.WARN,
    "failed": Tone.BAD,
    "crashed": Tone.BAD,
    "cancelled": Tone.DIM,
    "skipped": Tone.DIM,
}


@dataclass(frozen=True, slots=True)
class JobState:
    """A job and its last run, as of `now`."""

    job: Job
    last: JobRun | None
    now: datetime


@dataclass(frozen=True, slots=True)
class JobsSnapshot:
    """All the screen shows."""

    jobs: tuple[JobState, ...]
    history: tuple[JobRun, ...]


class JobsScreen(DeckScreen[JobsSnapshot]):
    """Runs of other operators and of timers show up here too: what is shown is the record."""

    topics: ClassVar[frozenset[str]] = frozenset({"jobs"})
    period: ClassVar[float | None] = 1.0
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "run", "Run", id="jobs.run", tooltip="Run this job now, unless someone else does"),
        Binding("ctrl+e", "dry_run", "Dry run", id="jobs.dry_run", tooltip="Say what it would change; change nothing"),
        Binding("ctrl+x", "stop", "Stop", id="jobs.stop", tooltip="Ask the running job to stop at its next step"),
    ]
    DEFAULT_CSS = """
    JobsScreen #jobs { height: 1fr; }
    JobsScreen #history { height: 2fr; }
    JobsScreen .title { padding: 0 1; text-style: bold; color: $text-accent; height: 1; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self.jobs: KeysetTable[JobState] = KeysetTable(
            (
                Column("job", 20, lambda row: row.job.name),
                Column("last outcome", 12, lambda row: _outcome(row.last)),
                Column("when", 12, lambda row: ago(row.last.started_at, row.now) if row.last else "-"),
                Column("what it does, or how far it is", 20, _doing, flex=True),
            ),
            lambda row: row.job.name,
            "No jobs.",
            id="jobs",
        )
        self.history: KeysetTable[JobRun] = KeysetTable(
            (
                Column("started (UTC)", 19, lambda row: moment(row.started_at)),
                Column("job", 20, lambda row: row.job),
                Column("outcome", 10, _outcome),
                Column("seconds", 8, lambda row: f"{row.duration_s:,.1f}", align="right"),
                Column("by", 10, lambda row: row.os_user, hide_below=100),
                Column("message", 10, _message, flex=True),
            ),
            lambda row: row.run_id,
            "No job was run yet.",
            id="history",
        )

    def compose_body(self) -> ComposeResult:
        yield self.jobs
        yield Static("history", classes="title")
        yield self.history

    def on_mount(self) -> None:
        self.jobs.focus()

    async def load(self) -> JobsSnapshot:
        history = await self.source.jobs.page(limit=200)
        last = await self.source.jobs.last([job.name for job in JOBS])
        now = datetime.now(UTC)
        return JobsSnapshot(tuple(JobState(job, last.get(job.name), now) for job in JOBS), history)

    def paint(self, snapshot: JobsSnapshot) -> None:
        self.jobs.show(snapshot.jobs, complete=True)
        self.history.show(snapshot.history, complete=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What the role may not do is not bound."""
        return self.deck.deck_state.may_run_jobs if action in ("run", "dry_run", "stop") else True

    def action_run(self) -> None:
        if self.jobs.cursor_row is not None:
            self.deck.start_job(self.jobs.cursor_row.job, dry_run=False)

    def action_dry_run(self) -> None:
        if self.jobs.cursor_row is not None:
            self.deck.start_job(self.jobs.cursor_row.job, dry_run=True)

    def action_stop(self) -> None:
        if self.jobs.cursor_row is not None:
            self.deck.stop_job(self.jobs.cursor_row.job)


def _outcome(run: JobRun | None) -> tuple[str, Tone]:
    return (run.outcome, _TONES.get(run.outcome, Tone.PLAIN)) if run else ("never run", Tone.DIM)


def _doing(row: JobState) -> tuple[str, Tone]:
    if row.last is not None and row.last.outcome == "running":
        return row.last.progress or "starting", Tone.ACCENT
    return row.job.title, Tone.DIM


def _message(run: JobRun) -> str:
    dry = "(dry run) " if run.dry_run else ""
    return dry + (run.message or run.progress or "")

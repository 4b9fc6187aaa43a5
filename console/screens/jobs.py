"""The jobs: what each did last, running one, watching it, its history."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from console.failures import word
from console.places import Place
from console.reloading import PAGE, as_many, renew
from console.screens.base import DeckScreen
from console.words import ago, moment, pace_words, run_words
from db.errors import DatabaseError
from db.page import page_of
from db.source import JOBS, VAULT_JOBS, Job, JobRun, Page, PublishDespiteWarning, Source
from widgets.keyset_table import Column, KeysetTable
from widgets.prompt import Prompt, typed
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
    due_in_s: float
    now: datetime


@dataclass(frozen=True, slots=True)
class JobsSnapshot:
    """All the screen shows."""

    jobs: tuple[JobState, ...]
    history: Page[JobRun]


@dataclass(frozen=True, slots=True)
class WantedRuns:
    """What the history is narrowed to."""

    job: str | None = None
    outcome: str | None = None


class JobsScreen(DeckScreen[JobsSnapshot]):
    """Runs of other operators and of timers show up here too: what is shown is the record."""

    topics: ClassVar[frozenset[str]] = frozenset({"jobs"})
    period: ClassVar[float | None] = 1.0
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "run", "Run", id="jobs.run", tooltip="Run this job now, unless someone else does"),
        Binding("ctrl+e", "dry_run", "Dry run", id="jobs.dry_run", tooltip="Say what it would change; change nothing"),
        Binding("ctrl+x", "stop", "Stop", id="jobs.stop", tooltip="Ask the running job to stop at its next step"),
        Binding("ctrl+g", "publish", "Publish anyway", id="jobs.publish",
                tooltip="Publish the vault of this job although it warns, say that customers would vanish"),
        Binding("slash", "filter", "Filter", key_display="/", priority=True, id="jobs.filter",
                tooltip="Narrow the history: a job, an outcome"),
        Binding("ctrl+l", "clear", "Clear filter", show=False, id="jobs.clear", tooltip="The whole history again"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    JobsScreen #jobs { max-height: 50%; }
    JobsScreen #history { height: 1fr; }
    JobsScreen .title { padding: 0 1; text-style: bold; color: $text-accent; height: 1; }
    JobsScreen #whole { height: auto; max-height: 4; padding: 0 1; color: $text-muted; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self.wanted = parse_history(place.subject)
        self.jobs: KeysetTable[JobState] = KeysetTable(
            (
                Column("job", 19, lambda row: row.job.name),
                Column("last outcome", 12, lambda row: _outcome(row.last)),
                Column("when", 11, lambda row: ago(row.last.started_at, row.now) if row.last else "-"),
                Column("due", 9, _due),
                Column("what it does, or how far it is", 20, _doing, flex=True),
            ),
            lambda row: row.job.name,
            "No jobs.",
            id="jobs",
        )
        self.history: KeysetTable[JobRun] = KeysetTable(
            (
                Column("started (UTC)", 19, lambda row: moment(row.started_at)),
                Column("job", 19, lambda row: row.job),
                Column("outcome", 10, _outcome),
                Column("seconds", 8, lambda row: f"{row.duration_s:,.1f}", align="right"),
                Column("by", 10, lambda row: row.os_user, hide_below=100),
                Column("message", 10, _message, flex=True),
            ),
            lambda row: row.run_id,
            "No run is on record.",
            id="history",
        )

    def compose_body(self) -> ComposeResult:
        yield self.jobs
        yield Static("history", id="title", classes="title", markup=False)
        yield self.history
        yield Static("", id="whole", markup=False)

    def on_mount(self) -> None:
        self.jobs.styles.height = 1 + len(JOBS)
        self.jobs.focus()
        self._tell_filter()

    async def load(self) -> JobsSnapshot:
        while True:
            wanted = self.wanted
            history = await self._page(wanted, None, as_many(self.history))
            if wanted is self.wanted:  # else it was narrowed meanwhile
                break
        last = await self.source.jobs.last([job.name for job in JOBS])
        due = await self.source.jobs.due_in({job.name: job.every_s for job in JOBS})
        now = datetime.now(UTC)
        return JobsSnapshot(tuple(JobState(job, last.get(job.name), due[job.name], now) for job in JOBS), history)

    async def _page(self, wanted: WantedRuns, before: JobRun | None, limit: int) -> Page[JobRun]:
        found = await self.source.jobs.page(job=wanted.job, outcome=wanted.outcome, before=before, limit=limit + 1)
        return page_of(found, limit)

    def paint(self, snapshot: JobsSnapshot) -> None:
        self.jobs.show(snapshot.jobs, complete=True)
        renew(self.history, snapshot.history)
        self._tell_whole()

    def on_keyset_table_more_wanted(self, event: KeysetTable.MoreWanted[JobRun]) -> None:
        event.stop()
        self.run_worker(partial(self._more, event.last, self.wanted), group="more", exclusive=True)

    async def _more(self, last: JobRun, wanted: WantedRuns) -> None:
        try:
            page = await self._page(wanted, last, PAGE)
        except DatabaseError as error:
            self.failure = word(error)
            page = Page[JobRun]((), complete=False)
        if wanted is self.wanted:
            self.history.add(page.rows, page.complete)

    def narrow(self, subject: str) -> None:
        self.wanted = parse_history(subject)
        self.place = Place("jobs", subject.strip())
        self._tell_filter()
        self.history.show((), complete=False)
        self.reload()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What the role may not do, or what has no meaning for this job, is not bound."""
        may_run = self.deck.deck_state.may_run_jobs
        if action == "publish":
            return may_run and self.deck.deck_state.may(PublishDespiteWarning) and self._unpublished() is not None
        return may_run if action in ("run", "dry_run", "stop") else True

    def action_filter(self) -> None:
        if not typed(self, "/"):
            self.query_one(Prompt).open(
                "narrow", "/", text=self.place.subject, hint="clean-up failed", words=(*_NAMES, *_TONES)
            )

    def action_clear(self) -> None:
        self.narrow("")

    def action_run(self) -> None:
        self._start(dry_run=False)

    def action_dry_run(self) -> None:
        self._start(dry_run=True)

    def action_stop(self) -> None:
        job = self._chosen()
        if job is not None:
            self.deck.stop_job(job)

    def action_publish(self) -> None:
        """What it warns of is looked up anew: it may be over, or worse."""
        vault = self._unpublished()
        if vault is not None:
            self.run_worker(partial(self._publish_anyway, vault), exclusive=True)

    async def _publish_anyway(self, vault: str) -> None:
        job = VAULT_JOBS[vault]
        try:
            warning = await self.source.vault_warning(vault)
        except DatabaseError as error:
            self.notify(word(error).text, title=job.name, severity="warning", timeout=10, markup=False)
            return
        if warning is None:
            self.notify("Nothing warns of this vault: run the job.", title=job.name, timeout=5, markup=False)
            return
        self.deck.performer.start(PublishDespiteWarning(warning, warning.lost), publish=vault)

    def _unpublished(self) -> str | None:
        """The vault of the job under the cursor, where its last run failed."""
        state = self.jobs.cursor_row
        if state is None or state.last is None or state.last.outcome != "failed":
            return None
        return next((vault for vault, job in VAULT_JOBS.items() if job.name == state.job.name), None)

    def on_keyset_table_picked(self, event: KeysetTable.Picked[Any]) -> None:
        """A job: its history. A run: nothing more than the line below says."""
        event.stop()
        if isinstance(event.row, JobState):
            self.narrow(event.row.job.name)

    def on_keyset_table_highlighted(self) -> None:
        self._tell_whole()

    def on_descendant_focus(self) -> None:
        self._tell_whole()

    def _start(self, *, dry_run: bool) -> None:
        job = self._chosen()
        if job is not None:
            self.deck.start_job(job, dry_run=dry_run)

    def _chosen(self) -> Job | None:
        """The job under the cursor, or the one that was run there: that is how a run is repeated."""
        if self.history.has_focus:
            run = self.history.cursor_row
            return next((job for job in JOBS if run is not None and job.name == run.job), None)
        return self.jobs.cursor_row.job if self.jobs.cursor_row is not None else None

    def _tell_filter(self) -> None:
        only = f" of {self.place.subject}; ctrl+l shows all" if self.place.subject else ""
        self.query_one("#title", Static).update("history" + only)

    def _tell_whole(self) -> None:
        """What came of the run under the cursor, in all its words: the list has no room for them."""
        state = self.jobs.cursor_row
        run = self.history.cursor_row if self.history.has_focus else state.last if state is not None else None
        self.query_one("#whole", Static).update(_whole(run) if run is not None else "")
        self.refresh_bindings()


_NAMES = tuple(job.name for job in JOBS)


def parse_history(text: str) -> WantedRuns:
    """`clean-up failed`: a job, an outcome, or both. Raises ValueError with a sentence."""
    wanted = WantedRuns()
    for part in text.split():
        if part in _NAMES and wanted.job is None:
            wanted = replace(wanted, job=part)
        elif part in _TONES and wanted.outcome is None:
            wanted = replace(wanted, outcome=part)
        else:
            raise ValueError(f"{part!r} is neither a job nor an outcome ({', '.join(_TONES)})")
    return wanted


def _outcome(run: JobRun | None) -> tuple[str, Tone]:
    return (run.outcome, _TONES.get(run.outcome, Tone.PLAIN)) if run else ("never run", Tone.DIM)


def _due(row: JobState) -> tuple[str, Tone]:
    """A job is late when it was due a whole period ago: then nothing on any timer runs it."""
    if row.due_in_s > 0:
        return ago(row.now + timedelta(seconds=row.due_in_s), row.now), Tone.DIM
    return ("late", Tone.WARN) if row.last is not None and -row.due_in_s > row.job.every_s else ("now", Tone.PLAIN)


def _doing(row: JobState) -> tuple[str, Tone]:
    if row.last is not None and row.last.outcome == "running":
        return run_words(row.last), Tone.ACCENT
    return row.job.title, Tone.DIM


def _message(run: JobRun) -> str:
    dry = "(dry run) " if run.dry_run else ""
    return dry + (run_words(run) if run.outcome == "running" else run.message or "")


def _whole(run: JobRun) -> str:
    source = f" from {run.ssh_source}" if run.ssh_source else ""
    pace = f", {pace_words(run.pace)}" if run.pace and run.pace.done else ""
    return f"{run.job}, by {run.os_user}{source}, {run.outcome}: {_message(run)}{pace}"

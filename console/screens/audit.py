"""The record: who did what, when, from where and why."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from console.failures import word
from console.parts.field_diff import field_diff
from console.parts.subjects import place_of, subject_words
from console.places import Place
from console.screens.listing import ListScreen
from console.words import clock, moment
from db.errors import DatabaseError
from db.source import AUDIT_SEARCH_HINT, AuditRow, AuditSearch, Page, Source, parse_audit_search
from widgets.facts import Fact, Facts
from widgets.keyset_table import Column, KeysetTable
from widgets.tone import Tone

_TONES = {"done": Tone.GOOD, "refused": Tone.WARN, "stale": Tone.WARN, "cancelled": Tone.DIM}
_RUNS = "run-job"


class AuditScreen(ListScreen[AuditRow, AuditSearch]):
    """Every entry with its before and after; the chain checked on request. Runs of jobs show when asked for."""

    topics: ClassVar[frozenset[str]] = frozenset({"audit", "customers", "keys", "control", "jobs"})
    search_hint: ClassVar[str] = AUDIT_SEARCH_HINT
    empty: ClassVar[str] = "Nothing is on record for that."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "runs", "All", id="audit.runs", tooltip="With runs of jobs, or without"),
        Binding("r", "verify", "Check", id="audit.verify", tooltip="Check every row against the chain of hashes"),
    ]
    DEFAULT_CSS = """
    AuditScreen KeysetTable { height: 2fr; }
    AuditScreen #entry { height: 1fr; min-height: 6; border-top: solid $panel; }
    AuditScreen #chain { height: auto; max-height: 3; padding: 0 1; color: $text-muted; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        self._with_runs = False
        super().__init__(source, place)

    def compose_body(self) -> ComposeResult:
        yield from super().compose_body()
        with VerticalScroll(id="entry", can_focus=False):
            yield Facts(id="facts")
        yield Static("", id="chain", markup=False)

    def on_mount(self) -> None:
        self._tell_runs()

    def parse(self, text: str) -> AuditSearch:
        return parse_audit_search(text)

    async def page(self, search: AuditSearch, after: AuditRow | None, limit: int) -> Page[AuditRow]:
        if not (self._with_runs or search.actions or search.subject):
            search = replace(search, without_actions=(*search.without_actions, _RUNS))
        return await self.source.audit.page(search, before=after and after.seq, limit=limit)

    def columns(self) -> Sequence[Column[AuditRow]]:
        return (
            Column("at (UTC)", 19, lambda row: moment(row.at)),
            Column("who", 10, lambda row: row.os_user),
            Column("action", 17, lambda row: row.action),
            Column("about", 19, _about),
            Column("outcome", 9, lambda row: (row.outcome, _TONES.get(row.outcome, Tone.BAD))),
            Column("why", 10, lambda row: row.reason or (row.message or "", Tone.DIM), flex=True, hide_below=90),
        )

    def key(self, row: AuditRow) -> int:
        return row.seq

    def open_row(self, row: AuditRow) -> None:
        place = next((place for subject in row.subjects if (place := place_of(subject))), None)
        if place is None:
            self.notify("This entry is about nothing that has a screen.", timeout=4)
        else:
            self.go(place.kind, place.subject)

    def on_keyset_table_highlighted(self, event: KeysetTable.Highlighted[AuditRow]) -> None:
        event.stop()
        self.query_one("#facts", Facts).tell(_entry(event.row))

    def action_runs(self) -> None:
        self._with_runs = not self._with_runs
        self._tell_runs()
        self.narrow(self.place.subject)

    def action_verify(self) -> None:
        self.run_worker(self._verify, group="verify", exclusive=True)

    async def _verify(self) -> None:
        line = self.query_one("#chain", Static)

        def tell(rows: int, of: int) -> None:
            line.update(f"checking the chain: {rows:,} of {of:,} rows")

        try:
            found = await self.source.audit.verify((), tell)
        except DatabaseError as error:
            line.update(f"the chain could not be checked: {word(error).text}")
            return
        at = clock(datetime.now(UTC))
        if found.sound:
            line.update(f"{at}: {found.rows:,} rows follow on each other; checkpoint {found.head}")
            return
        more = len(found.findings) - 1 + found.more
        first = f"▲ {at}: {found.findings[0].sentence}"
        line.update(first + (f", and {more} more: opsdeck audit verify" if more else ""))

    def _tell_runs(self) -> None:
        runs = "with runs of jobs" if self._with_runs else "without runs of jobs"
        self.query_one("#chain", Static).update(f"{runs}, a changes that; r checks the chain")


def _about(row: AuditRow) -> str:
    first = subject_words(row.subjects[0]) if row.subjects else "-"
    return first + (f" +{len(row.subjects) - 1}" if len(row.subjects) > 1 else "")


def _entry(row: AuditRow) -> list[Fact]:
    source = f" from {row.ssh_source}" if row.ssh_source else ""
    facts: list[Fact] = [
        ("entry", f"{row.seq}, operation {row.operation_id}", Tone.DIM),
        ("who", f"{row.os_user}{source}, as {row.db_role}"),
        ("why", row.reason or "no reason asked for", Tone.PLAIN if row.reason else Tone.DIM),
        (row.outcome, row.message or "", _TONES.get(row.outcome, Tone.BAD)),
    ]
    if len(row.subjects) > 1:
        facts.append(("about", ", ".join(map(subject_words, row.subjects[:20]))))
    return facts + field_diff(row.before, row.after)

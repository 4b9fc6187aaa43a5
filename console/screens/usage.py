"""How much was used, by whom, how fast, and how that changed."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from console.failures import word
from console.parts.log_feed import reaching
from console.parts.usage_charts import UsageCharts
from console.parts.usage_heading import question_line, ranking_line
from console.places import Place
from console.screens.base import DeckScreen
from console.usage_words import change, share, totals, value
from db.errors import DatabaseError, Refused, TimedOut
from db.moments import span
from db.source import (
    USAGE_SPANS,
    RequestFilter,
    Source,
    Top,
    TopBy,
    TopRow,
    Usage,
    UsageQuestion,
    parse_usage_question,
)
from widgets.keyset_table import Column, KeysetTable
from widgets.line_plot import HEAD
from widgets.prompt import Prompt, typed
from widgets.tone import Tone

_PADDING = 2
_SPANS = tuple(USAGE_SPANS.values())
_TOP = 50


@dataclass(frozen=True, slots=True)
class Shown:
    """One load. `trouble` says why there is no top; the charts are worth showing without it."""

    usage: Usage
    top: Top | None
    trouble: str


class UsageScreen(DeckScreen[Shown]):
    """Charts over a window, and the biggest customers, keys, servers or paths of it."""

    period: ClassVar[float | None] = 10.0
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus,equals_sign", "span(-1)", "Closer", key_display="+", id="usage.closer",
                tooltip="A shorter window: 7 d, 24 h, 1 h"),
        Binding("minus", "span(1)", "Wider", id="usage.wider", tooltip="A longer window: 24 h, 7 d, 30 d"),
        Binding("less_than_sign", "shift(-1)", "Older", show=False, key_display="<", id="usage.older",
                tooltip="Half a window back"),
        Binding("greater_than_sign", "shift(1)", "Newer", show=False, key_display=">", id="usage.newer",
                tooltip="Half a window on, at last up to now"),
        Binding("v", "view", "View", id="usage.view", tooltip="All charts, or one: traffic, latency, bytes"),
        Binding("t", "top", "Top …", id="usage.top", tooltip="The biggest customers, keys, servers, paths"),
        Binding("u", "only", "Only this", show=False, id="usage.only",
                tooltip="Chart this customer or server alone"),
        Binding("slash", "filter", "Filter", key_display="/", priority=True, id="usage.filter",
                tooltip="Window and filter: 7d customer:42, 2026-11-01..2026-11-08"),
        Binding("ctrl+l", "clear", "Clear filter", show=False, id="usage.clear", tooltip="Chart all requests again"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    UsageScreen #question, UsageScreen #by { height: 1; padding: 0 1; }
    UsageScreen #question { color: $text-muted; }
    UsageScreen #totals { height: 2; padding: 0 1; }
    UsageScreen KeysetTable { height: 5; }
    UsageScreen.-tall KeysetTable { height: 9; }
    UsageScreen.-short UsageCharts.-all LineChart { display: none; }
    UsageScreen.-short HeatStrips { height: 2; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        self.question = parse_usage_question(place.subject)
        super().__init__(source, Place(place.kind, self.question.words))
        self.by = TopBy.CUSTOMER
        self._columns = 0
        self.charts = UsageCharts()
        self.table: KeysetTable[TopRow] = KeysetTable(
            (
                Column("value", 16, lambda row: value(self.by, row), flex=True),
                Column("requests", 13, lambda row: f"{row.requests:,}", align="right"),
                Column("share", 7, lambda row: f"{100 * row.share:.1f} %", align="right"),
                Column("change", 9, lambda row: change(row.requests, row.before), align="right"),
                Column("errors", 8, _errors, align="right"),
            ),
            lambda row: (row.value,),  # never None, which tells the table of no row
            "No request in this window.",
            id="top",
        )

    def compose_body(self) -> ComposeResult:
        yield Static("", id="question", markup=False)
        yield Static("", id="totals", markup=False)
        yield self.charts
        yield Static("", id="by", markup=False)
        yield self.table

    def on_mount(self) -> None:
        self.charts.focus()
        self._tell_question()

    def on_resize(self, event: events.Resize) -> None:
        """As many steps as there are columns."""
        columns = max(10, event.size.width - HEAD - _PADDING)
        if columns != self._columns:
            self._columns = columns
            self.reload()

    async def load(self) -> Shown:
        while True:
            question, by, columns = self.question, self.by, self._columns or 72
            usage = await self.source.charts.usage(question, columns=columns)
            top, trouble = None, ""
            try:
                top = await self.source.ranking.top(question, by, limit=_TOP)
            except (TimedOut, Refused) as error:
                trouble = word(error).text
            if (question, by, columns) == (self.question, self.by, self._columns or 72):
                return Shown(usage, top, trouble)  # else another was asked meanwhile

    def paint(self, snapshot: Shown) -> None:
        self.charts.show(snapshot.usage)
        self.query_one("#totals", Static).update("\n".join(totals(snapshot.usage)))
        self.table.show(() if snapshot.top is None else snapshot.top.rows, complete=True)
        self._tell_question()

    def narrow(self, subject: str) -> None:
        """Another window, another filter. Raises ValueError with a sentence."""
        question = parse_usage_question(subject)
        if question != self.question:
            self._ask(question)

    def _ask(self, question: UsageQuestion) -> None:
        self.question = question
        self.place = Place(self.place.kind, question.words)
        self._forget()
        self.charts.show(None)
        self.query_one("#totals", Static).update("")
        self._tell_state()

    def _forget(self) -> None:
        self.snapshot = None
        self.table.show((), complete=False)
        self._tell_question()
        self.reload()

    # What is shown

    @property
    def heading(self) -> str:
        return "usage"

    def _tell_question(self) -> None:
        shown = self.snapshot
        usage, top = (None, None) if shown is None else (shown.usage, shown.top or shown.trouble)
        self.query_one("#question", Static).update(question_line(self.question, usage))
        self.query_one("#by", Static).update(ranking_line(self.by, top))

    # Keys

    def action_filter(self) -> None:
        if not typed(self, "/"):
            hint = "7d customer:42 service:seal · 2026-11-01..2026-11-08 server:r1-s03"
            self.query_one(Prompt).open("narrow", "/", text=self.question.words, hint=hint)

    def action_clear(self) -> None:
        self._ask(replace(self.question, wanted=RequestFilter()))

    def action_span(self, steps: int) -> None:
        span = self.question.span
        others = [other for other in _SPANS if (other > span if steps > 0 else other < span)]
        if others:
            self._ask(replace(self.question, span=others[0 if steps > 0 else -1]))

    def action_shift(self, steps: int) -> None:
        question = self.question
        now = self.snapshot.usage.window.now if self.snapshot is not None else datetime.now(UTC)
        end = (question.end or now) + steps * question.span / 2
        self._ask(replace(question, end=None if end >= now else end.replace(second=0, microsecond=0)))

    def action_view(self) -> None:
        self.charts.turn()

    def action_top(self) -> None:
        dimensions = list(TopBy)
        self.by = dimensions[(dimensions.index(self.by) + 1) % len(dimensions)]
        self._forget()

    def action_only(self) -> None:
        row = self.table.cursor_row
        if row is None or row.value is None or self.by not in (TopBy.CUSTOMER, TopBy.SERVER):
            self.notify(
                "Rollups have customers and servers: t ranks these.", severity="warning", markup=False, timeout=5
            )
            return
        self._ask(replace(self.question, wanted=self.question.wanted.only(self.by, row.value)))

    def on_usage_charts_opened(self, event: UsageCharts.Opened) -> None:
        event.stop()
        self.run_worker(partial(self._open_log, event.start, event.end), group="going")

    async def _open_log(self, start: datetime, end: datetime) -> None:
        """The log of these requests, in a window that has this step, where the step ends."""
        try:
            log = await self.source.requests.kept()
        except DatabaseError as error:
            self.failure = word(error)
            return
        if end <= log.since:
            text = f"The log is kept for {span(log.now - log.since)}: requests of {start:%m-%d %H:%M} are only counted."
            self.notify(text, severity="warning", markup=False, timeout=5)
            return
        words = (reaching(log.now - start).word, *self.question.wanted.chips())
        await self.deck.go(Place("requests", " ".join(words)))
        if end < log.now:
            await self.deck.go(Place("goto", f"{end:%Y-%m-%d %H:%M:%S}"))

    def on_keyset_table_picked(self, event: KeysetTable.Picked[Any]) -> None:
        event.stop()
        row = event.row
        if not isinstance(row, TopRow) or row.value is None or (self.by is not TopBy.SERVER and not row.value):
            return
        if self.by in (TopBy.CUSTOMER, TopBy.KEY):
            self.go(self.by, str(row.value))
        else:
            self.go("requests", " ".join(self.question.wanted.only(self.by, row.value).chips()))


def _errors(row: TopRow) -> tuple[str, Tone]:
    return share(row.errors, row.requests), Tone.WARN if 10 * row.errors >= row.requests else Tone.PLAIN

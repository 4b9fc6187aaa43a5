"""Is anything wrong right now?"""

from dataclasses import replace
from datetime import UTC
from time import monotonic
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from console.parts.class_tones import CLASS_TONES
from console.parts.subjects import subject_words
from console.places import Place
from console.screens.base import DeckScreen
from console.words import clock, moment, short
from db.source import Attention, Overview, Source, TopCustomer
from widgets.keyset_table import Column, KeysetTable
from widgets.stacked_bars import Bars, StackedBars
from widgets.tone import Tone

_SLOW_S = 15.0  # seconds between two looks at what changes by the hour: money, room
_SIGNS = {"bad": ("▲ bad", Tone.BAD), "warn": ("! warn", Tone.WARN)}


class OverviewScreen(DeckScreen[Overview]):
    """Traffic by class, errors, latency, the busiest customers, and a list of what needs a look."""

    topics: ClassVar[frozenset[str]] = frozenset({"customers", "keys", "control", "billing"})
    period: ClassVar[float | None] = 2.0
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    DEFAULT_CSS = """
    OverviewScreen #numbers { height: 2; padding: 0 1; }
    OverviewScreen #others { height: 1; padding: 0 1; color: $text-muted; display: none; }
    OverviewScreen StackedBars { height: 2fr; min-height: 6; }
    OverviewScreen #lists { height: 3fr; }
    OverviewScreen #lists > Vertical { width: 1fr; }
    OverviewScreen #lists > #busiest { width: 34; }
    OverviewScreen.-narrow #lists > #busiest { width: 26; }
    OverviewScreen #whole { height: auto; max-height: 3; padding: 0 1; color: $text-muted; }
    OverviewScreen #lists .title { padding: 0 1; text-style: bold; color: $text-accent; height: 1; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self._numbers = self._whole = ""
        self._slow: tuple[Attention, ...] = ()
        self._slow_until = 0.0
        self.attention: KeysetTable[Attention] = KeysetTable(
            (
                Column("", 6, lambda row: _SIGNS[row.severity]),
                Column("what", 20, lambda row: row.sentence, flex=True),
                Column("since", 5, self._since, hide_below=70),
            ),
            lambda row: (row.subject, row.severity, row.sentence.partition(":")[0]),  # counts stand behind it
            "Nothing needs a look.",
            id="attention",
        )
        self.top: KeysetTable[TopCustomer] = KeysetTable(
            (
                Column("customer", 10, lambda row: str(row.customer_id), align="right"),
                Column("requests", 9, lambda row: f"{row.requests:,}", align="right"),
                Column("errors", 8, _errors, align="right", hide_below=30),
            ),
            lambda row: row.customer_id,
            "No customer sent a request.",
            id="top",
        )

    def _since(self, row: Attention) -> str:
        """The time of today, the day of before: there is room for no more."""
        if row.since is None or self.snapshot is None:
            return ""
        since = row.since.astimezone(UTC)
        return f"{since:%H:%M}" if since.date() == self.snapshot.end.date() else f"{since:%m-%d}"

    def compose_body(self) -> ComposeResult:
        yield Static("", id="numbers", markup=False)
        yield Static("", id="others", markup=False)
        yield StackedBars(id="traffic")
        with Horizontal(id="lists"):
            with Vertical():
                yield Static("needs a look", classes="title")
                yield self.attention
            with Vertical(id="busiest"):
                yield Static("busiest customers, 1 min", classes="title")
                yield self.top
        yield Static("", id="whole", markup=False)

    def on_mount(self) -> None:
        self.top.focus()

    async def load(self) -> Overview:
        overview = await self.source.traffic.overview()
        if monotonic() >= self._slow_until:
            self._slow = await self.source.watched()
            self._slow_until = monotonic() + _SLOW_S
        return replace(overview, attention=(*overview.attention, *self._slow))

    def _hinted(self, topic: str) -> None:
        if topic == "billing":
            self._slow_until = 0.0
        super()._hinted(topic)

    def paint(self, snapshot: Overview) -> None:
        numbers = _numbers(snapshot)
        if numbers != self._numbers:
            self._numbers = numbers
            self.query_one("#numbers", Static).update(numbers)
        self._tell_others()
        self.query_one(StackedBars).bars = Bars(
            buckets=tuple(tuple(bucket.get(kind.value, 0) for kind in CLASS_TONES) for bucket in snapshot.series),
            labels=tuple(kind.value for kind in CLASS_TONES),
            start=clock(snapshot.start),
            end=f"{clock(snapshot.end)} UTC",
            unit="requests a minute",
            tones=tuple(CLASS_TONES.values()),
        )
        self.attention.show(snapshot.attention, complete=True)
        self._tell_whole()
        self.top.show(snapshot.top, complete=True)

    def _tell_whole(self) -> None:
        """What needs a look under the cursor, in all its words: the list has no room for them."""
        row = self.attention.cursor_row
        whole = "" if row is None else f"{row.sentence}, since {moment(row.since)}" if row.since else row.sentence
        if whole != self._whole:
            self._whole = whole
            self.query_one("#whole", Static).update(whole)

    def on_keyset_table_highlighted(self) -> None:
        self._tell_whole()

    def _tell_others(self) -> None:
        state = self.deck.deck_state
        others = ", ".join(f"{one.words} on {subject_words(one.subject)}" for one in state.others)
        told = [f"also here: {others}"] if others else []
        if state.pgbouncer:
            told.append(f"who {'else ' * bool(others)}is here through pgbouncer is not known")
        line = self.query_one("#others", Static)
        line.display = bool(told)
        line.update("; ".join(told))

    def on_keyset_table_picked(self, event: KeysetTable.Picked[Any]) -> None:
        event.stop()
        row = event.row
        if isinstance(row, TopCustomer):
            self.go("customer", str(row.customer_id))
        elif isinstance(row, Attention):
            kind, _, subject = row.subject.partition(":")
            self.go(kind, subject)


def _errors(row: TopCustomer) -> tuple[str, Tone]:
    share = 100 * row.errors / row.requests if row.requests else 0.0
    return f"{share:.1f} %", Tone.WARN if share >= 10 else Tone.PLAIN


def _numbers(overview: Overview) -> str:
    if not overview.requests:
        return "No request was logged in the last minute.\n"
    server = 100 * overview.server_errors / overview.requests
    client = 100 * overview.client_errors / overview.requests
    rate = overview.bytes / overview.recent_s
    latency = "latency unknown"
    if overview.latencies is not None:
        latency = "latency p50 {} p95 {} p99 {} ms".format(*overview.latencies)
    shares = f"5xx {server:.2f} %   4xx {client:.1f} %"
    return f"last minute: {short(overview.per_second)} requests/s   {shares}   {short(rate)}B/s\n{latency}"

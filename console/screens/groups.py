"""Requests by customer, key, event and so on: who or what is it?"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from console.parts.class_tones import CLASS_TONES
from console.parts.log_feed import WINDOWS
from console.places import Place
from console.saved_filters import read_filter
from console.screens.base import DeckScreen
from console.words import clock
from db.errors import TimedOut
from db.source import (
    Group,
    GroupBy,
    Groups,
    RequestFilter,
    Source,
    TrafficClass,
    event_name,
    format_fingerprint,
    parse_request_filter,
    server_label,
    service_word,
)
from widgets.keyset_table import Column, KeysetTable
from widgets.prompt import Prompt, typed
from widgets.tone import Tone

_WINDOWS = {window.word: window.length for window in WINDOWS} | {"live": timedelta(minutes=1)}
"""On the keys 0 to 6, as on the log; None as far as it is kept."""
_WINDOW_NAMES = {"live": "last minute", "all": "all that is kept"}
_LABELS: dict[GroupBy, Callable[[Any], str]] = {
    GroupBy.KEY: format_fingerprint,
    GroupBy.EVENT: lambda code: f"{code} {event_name(code)}",
    GroupBy.SERVER: server_label,
    GroupBy.SERVICE: service_word,
    GroupBy.PATH: lambda path: f"/{path}",
}
_ABSENT: dict[tuple[GroupBy, int | str | None], str] = {
    (GroupBy.CUSTOMER, 0): "no known customer",
    (GroupBy.KEY, 0): "no key",
    (GroupBy.PATH, None): "no path",
    (GroupBy.STATUS, -1): "no answer was sent",
}
_WINDOW_KEYS = Binding.Group("Windows", compact=True)
_PAGE, _MOST = 100, 1000
_IN_TIME = 1_500_000  # requests that two shared cores count by anything in five seconds, with some to spare
_MINUTE = timedelta(minutes=1)
_HALF_A_DAY = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Question:
    """What is counted: `customer 5m status:5xx`."""

    by: GroupBy = GroupBy.CUSTOMER
    window: str = "live"
    wanted: RequestFilter = field(default_factory=RequestFilter)

    @property
    def words(self) -> str:
        """As `narrowed` reads it."""
        window = () if self.window == "live" else (self.window,)
        return " ".join((self.by, *window, *self.wanted.chips()))

    def narrowed(self, text: str) -> "Question":
        """With the filter in `text`, and with the dimension and the window that stand in front of it, if any do.

        Raises ValueError with a sentence.
        """
        by, window, words = self.by, self.window, text.split()
        while words and words[0].lower() in {*GroupBy, *_WINDOWS}:
            word = words.pop(0).lower()
            by, window = (by, word) if word in _WINDOWS else (GroupBy(word), window)
        return Question(by, window, read_filter(" ".join(words)))


class GroupsScreen(DeckScreen[Groups]):
    """The biggest groups of the log with live counts; enter goes to their requests."""

    period: ClassVar[float | None] = 2.0
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab,right", "turn(1)", "By …", id="groups.next", tooltip="Count by the next: key, event …"),
        Binding("shift+tab,left", "turn(-1)", "By …", show=False, id="groups.before", tooltip="Count by the last one"),
        Binding("exclamation_mark", "exclude", "Leave out", key_display="!", id="groups.exclude",
                tooltip="Leave this group out, and stay"),
        Binding("slash", "filter", "Filter", key_display="/", priority=True, id="groups.filter",
                tooltip="Filter in the database"),
        Binding("ctrl+l", "clear", "Clear filter", show=False, id="groups.clear", tooltip="Count all requests again"),
        *(
            Binding(str(number), f"window('{word}')", "Window", group=_WINDOW_KEYS, id=f"groups.window{number}",
                    tooltip=f"Count {_WINDOW_NAMES.get(word, f'the last {word}')}")
            for number, word in enumerate(_WINDOWS)
        ),
    ]  # fmt: skip
    DEFAULT_CSS = """
    GroupsScreen #dimensions, GroupsScreen #chips { height: auto; max-height: 2; padding: 0 1; }
    GroupsScreen #chips { color: $text-muted; }
    GroupsScreen KeysetTable { height: 1fr; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, Place(place.kind, Question().narrowed(place.subject).words))
        self.question = Question().narrowed(place.subject)
        self._limit = _PAGE
        self.table: KeysetTable[Group] = KeysetTable(
            (
                Column("value", 16, self._value, flex=True),
                Column("requests", 10, lambda row: f"{row.requests:,}", align="right"),
                Column("share", 7, lambda row: f"{100 * row.share:.1f} %", align="right"),
                Column("errors", 9, lambda row: f"{row.errors:,}", align="right"),
                Column("", 7, _error_share, align="right"),
                Column("p95 ms", 8, lambda row: "-" if row.p95 is None else f"{row.p95:,}", align="right"),
                Column("newest", 11, self._newest),
            ),
            lambda row: (row.value,),  # never None, which tells the table of no row
            "No request in this window.",
            id="groups",
        )

    def compose_body(self) -> ComposeResult:
        yield Static("", id="dimensions", markup=False)
        yield Static("", id="chips", markup=False)
        yield self.table

    def on_mount(self) -> None:
        self.table.focus()
        self._tell_question()

    async def load(self) -> Groups:
        while True:
            question = self.question
            try:
                groups = await self.source.breakdown.recent(
                    question.wanted, question.by, _WINDOWS[question.window], self._limit
                )
            except TimedOut:
                raise TimedOut(f"{await self._too_much(question)}; a customer: in the filter is quick") from None
            if question is self.question:  # else another was asked meanwhile
                return groups

    async def _too_much(self, question: Question) -> str:
        """What could not be counted in time, and which window could, by the number of its requests."""
        text = f"{_WINDOW_NAMES.get(question.window, f'the last {question.window}')} by {question.by}"
        counted = await self.source.breakdown.per_minute()
        words = list(_WINDOWS)
        fitting = [
            f"{number} ({word})"
            for number, word in enumerate(words[: words.index(question.window)])
            if (length := _WINDOWS[word]) is not None and sum(counted[-(length // _MINUTE) :]) <= _IN_TIME
        ]
        return f"{text} is too much; press {fitting[-1]}" if fitting and any(counted) else f"{text} is too much"

    def paint(self, snapshot: Groups) -> None:
        self.table.show(snapshot.rows, complete=len(snapshot.rows) == snapshot.count or self._limit == _MOST)
        self._tell_question()

    def narrow(self, subject: str) -> None:
        """Another filter, and what stands in front of it. Raises ValueError with a sentence."""
        self._ask(self.question.narrowed(subject))

    def _ask(self, question: Question) -> None:
        self.question = question
        self.place = Place(self.place.kind, question.words)
        self._limit = _PAGE
        self.snapshot = None
        self.table.show((), complete=False)
        self._tell_question()
        self._tell_state()
        self.reload()

    # What is shown

    @property
    def heading(self) -> str:
        return f"requests by {self.question.by}"

    @property
    def filtered_by(self) -> RequestFilter:
        return self.question.wanted

    def _tell_question(self) -> None:
        dimensions = Text("by ", "dim")
        for by in GroupBy:
            dimensions.append(f" {by} ", "reverse" if by is self.question.by else "")
        self.query_one("#dimensions", Static).update(dimensions)
        chips = "  ".join(f"[{chip}]" for chip in self.question.wanted.chips())
        parts = [f"{chips}   ctrl+l shows all" if chips else "all requests"]
        parts.append(_WINDOW_NAMES.get(self.question.window, f"last {self.question.window}"))
        if self.snapshot is not None:
            parts.append(_sums(self.snapshot))
        self.query_one("#chips", Static).update("   ·   ".join(parts))

    def _value(self, row: Group) -> tuple[str, Tone]:
        return label(self.question.by, row.value)

    def _newest(self, row: Group) -> str:
        if self.snapshot is not None and self.snapshot.end - row.newest > _HALF_A_DAY:
            return f"{row.newest:%m-%d %H:%M}"
        return clock(row.newest)

    # Keys

    def action_turn(self, step: int) -> None:
        dimensions = list(GroupBy)
        at = (dimensions.index(self.question.by) + step) % len(dimensions)
        self._ask(replace(self.question, by=dimensions[at]))

    def action_window(self, word: str) -> None:
        self._ask(replace(self.question, window=word))

    def action_filter(self) -> None:
        if not typed(self, "/"):
            hint = "status:5xx !class:burst key:0x… customer:42 @saved"
            text = "".join(f"{chip} " for chip in self.question.wanted.chips())  # what is typed comes behind it
            self.query_one(Prompt).open("narrow", "/", text=text, hint=hint)

    def action_clear(self) -> None:
        self._ask(replace(self.question, wanted=RequestFilter()))

    def action_exclude(self) -> None:
        if (row := self.table.cursor_row) is not None and (wanted := self._narrowed(row, leave_out=True)):
            self._ask(replace(self.question, wanted=wanted))

    def on_keyset_table_picked(self, event: KeysetTable.Picked[Any]) -> None:
        event.stop()
        if wanted := self._narrowed(event.row, leave_out=False):
            self.go("requests", " ".join((self.question.window, *wanted.chips())))

    def on_keyset_table_more_wanted(self, event: KeysetTable.MoreWanted[Any]) -> None:
        event.stop()
        self._limit = _MOST
        self.reload()

    def _narrowed(self, row: Group, *, leave_out: bool) -> RequestFilter | None:
        """The filter with this group alone, or without it. None, and the operator is told, where no words say that."""
        by, wanted = self.question.by, self.question.wanted
        if row.value is None:
            self.notify(f"No filter asks for requests without a {by}.", severity="warning", markup=False, timeout=5)
            return None
        try:
            wanted = wanted.without(by, row.value) if leave_out else wanted.only(by, row.value)
            return parse_request_filter(" ".join(wanted.chips()))
        except ValueError as error:
            self.notify(str(error), severity="warning", markup=False, timeout=5)
            return None


def label(by: GroupBy, value: int | str | None) -> tuple[str, Tone]:
    """A value of that dimension in words."""
    if absent := _ABSENT.get((by, value)):
        return absent, Tone.DIM
    tone = CLASS_TONES[TrafficClass(str(value))] if by is GroupBy.CLASS else Tone.PLAIN
    return _LABELS.get(by, str)(value), tone


def _error_share(row: Group) -> tuple[str, Tone]:
    share = 100 * row.errors / row.requests
    return f"{share:.1f} %", Tone.WARN if share >= 10 else Tone.PLAIN


def _sums(groups: Groups) -> str:
    if not groups.requests:
        return "none"
    listed = f"the {_MOST:,} biggest of " if groups.count > len(groups.rows) == _MOST else ""
    share = 100 * groups.errors / groups.requests
    untimed = "" if groups.timed else ", p95 only of fewer requests"
    return f"{groups.requests:,} requests, {share:.1f} % errors, {listed}{groups.count:,} group(s){untimed}"

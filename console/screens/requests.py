"""The live request log."""

from datetime import UTC, datetime
from time import monotonic
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from console.moments import parse_past
from console.parts.log_account import AccountLine
from console.parts.log_feed import WINDOWS, LogFeed, LogWindow, split_window
from console.parts.log_view import LogView
from console.places import Place
from console.saved_filters import read_filter
from console.screens.base import DeckScreen
from db.source import Batch, RequestFilter, Source
from widgets.prompt import Prompt, typed
from widgets.ring_log import RingLog
from widgets.status_line import Item
from widgets.tone import Tone

_WINDOW_KEYS = Binding.Group("Windows", compact=True)
_LONG_AWAY_S = 30.0  # after that long nobody reads what went by: the tail starts again, and says so


class RequestsScreen(DeckScreen[Batch]):
    """Follows what the gateways write; scrolling up pauses, end follows again, the top loads older rows."""

    period: ClassVar[float | None] = 0.25
    breather: ClassVar[float] = 0.5
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", priority=True, id="requests.filter",
                tooltip="Filter in the database"),
        Binding("ctrl+l", "clear", "Clear filter", show=False, id="requests.clear", tooltip="Show all requests again"),
        *(
            Binding(
                str(number), f"window({number})", "Window", group=_WINDOW_KEYS, id=f"requests.window{number}",
                tooltip=f"Show {window.name}" if window.length is None else f"Show the last {window.name}",
            )
            for number, window in enumerate(WINDOWS)
        ),
        Binding("a", "every_row", "Every row", show=False, id="requests.every_row", tooltip="Sample a busy log or not"),
        Binding("c", "customer", "Customer", show=False, id="requests.customer", tooltip="The customer of this row"),
        Binding("b", "groups", "Group by", show=False, id="requests.groups", tooltip="Count by customer, key, event …"),
        Binding("y", "key", "Key", show=False, id="requests.key", tooltip="The key of this row"),
        Binding("ctrl+o", "export", "Export", show=False, id="requests.export",
                tooltip="Write these rows to a file, or stop it"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    RequestsScreen #chips { height: 1; padding: 0 1; color: $text-muted; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        window, text = split_window(place.subject)
        self.feed = LogFeed(source, read_filter(text))
        self.feed.window = window or WINDOWS[0]
        self.place = self._whereabouts
        self.view = LogView(source, self.feed)
        self.pane = self.view.pane
        self.account = AccountLine()
        self._first = False
        self._left: float | None = None

    def compose_body(self) -> ComposeResult:
        yield Static("", id="chips", markup=False)
        yield self.view
        yield self.account

    def on_mount(self) -> None:
        self.pane.focus()
        self._tell_chips()

    # Following

    async def load(self) -> Batch:
        batch, self._first = await self.feed.poll()
        return batch

    def paint(self, snapshot: Batch) -> None:
        """Adds what came; while the past is shown it is only counted."""
        self.feed.took(snapshot, first=self._first)
        self.account.add(snapshot, first=self._first)
        if self._first and not snapshot.rows:
            self.pane.note(f"── {self.feed.nothing_yet(snapshot.cursor.at)} ──")
        if not self.pane.detached:
            self.pane.extend(snapshot.rows)
        if snapshot.more:
            self.reload()

    def on_screen_suspend(self) -> None:
        self._left = monotonic()

    def on_screen_resume(self) -> None:
        """Who reads finds the log as it was left, with its marks; who followed it, the newest rows."""
        if self._left is not None and self.pane.following and monotonic() - self._left > _LONG_AWAY_S:
            minutes = (monotonic() - self._left) / 60
            self._restart(note=f"── away for {minutes:.0f} min: the log starts again here; older rows are above ──")
        self._left = None

    def narrow(self, subject: str) -> None:
        """Filters, in the window that stands in front of the filter, else in the same. Raises ValueError with a
        sentence when the filter cannot be read."""
        window, text = split_window(subject)
        wanted = read_filter(text)
        if (wanted, window or self.feed.window) != (self.feed.wanted, self.feed.window):
            self._restart(wanted, window)

    def _restart(self, wanted: RequestFilter | None = None, window: LogWindow | None = None, *, note: str = "") -> None:
        self.feed.window = window or self.feed.window
        self.feed.restart(wanted)
        self.place = self._whereabouts
        self.account.begin_anew()
        self.view.clear()
        if note:
            self.pane.note(note)
        self.pane.count_anew()
        self._tell_chips()
        self.reload()

    @property
    def _whereabouts(self) -> Place:
        """In the one spelling that the history knows: another would be another place."""
        return Place(self.place.kind, " ".join((self.feed.window.word, *self.feed.wanted.chips())))

    # What is always on screen

    @property
    def filtered_by(self) -> RequestFilter:
        return self.feed.wanted

    @property
    def heading(self) -> str:
        return "requests"

    def _tell_chips(self) -> None:
        chips = "  ".join(f"[{chip}]" for chip in self.feed.wanted.chips())
        parts = [f"{chips}   ctrl+l shows all" if chips else "all requests"]
        if self.feed.window is not WINDOWS[0]:
            parts.append(f"window: {self.feed.window.name}")
        if self.pane.detached:
            parts.append("the past; end follows")
        if self.feed.every_row:
            parts.append("every row")
        if self.pane.search.words:
            parts.append(self.pane.search.words)
        if marked := len(self.pane.marked_rows):
            parts.append(f"{marked} marked, ctrl+\\ unmarks")
        if self.pane.slow:
            parts.append("reading …")
        self.query_one("#chips", Static).update("   ·   ".join(parts))

    def _age(self) -> tuple[Item, ...]:
        if self._loaded is None or self.failure is not None:
            return super()._age()
        following = self.pane.following
        return (Item("following" if following else "PAUSED", Tone.GOOD if following else Tone.WARN),)

    # Keys

    def action_filter(self) -> None:
        if typed(self, "/"):
            return
        hint = "status:5xx !class:burst key:0x… customer:42 slower-than:500ms"
        text = "".join(f"{chip} " for chip in self.filtered_by.chips())  # what is typed comes behind it
        self.query_one(Prompt).open("narrow", "/", text=text, hint=hint)

    def action_clear(self) -> None:
        self.narrow("")

    def action_window(self, number: int) -> None:
        self._restart(window=WINDOWS[number])

    def action_every_row(self) -> None:
        self.feed.every_row = not self.feed.every_row
        text = (
            "Every row is shown, however many." if self.feed.every_row else "A busy log is sampled; errors never are."
        )
        self.notify(text, markup=False, timeout=4)
        self._tell_chips()

    def action_groups(self) -> None:
        self.go("groups", " ".join((self.feed.window.word, *self.filtered_by.chips())))

    def action_customer(self) -> None:
        row = self.pane.cursor_row
        if row is not None and row.customer_id is not None:
            self.go("customer", str(row.customer_id))

    def action_key(self) -> None:
        row = self.pane.cursor_row
        if row is not None and row.api_key_fp:
            self.go("key", str(row.api_key_fp))

    def action_export(self) -> None:
        span, window = self.pane.span, self.feed.window
        if span is None:
            self.notify("There is no row to export.", timeout=5)
            return
        start: datetime | None
        start, end = span
        if not self.pane.detached and window is not WINDOWS[0]:  # of a window the newest rows are read first
            start = None if window.length is None else min(start, end - window.length)
        self.deck.exporter.start(self.feed.wanted, start, end)

    def on_ring_log_opened(self, event: RingLog.Opened[Any]) -> None:
        event.stop()
        self.deck.explain(event.row)

    def on_ring_log_resumed(self, event: RingLog.Resumed) -> None:
        event.stop()
        if event.reload:
            self._restart()

    def on_ring_log_follow_changed(self) -> None:
        self._tell_state()

    def on_log_pane_told(self) -> None:
        self._tell_chips()

    def on_prompt_entered(self, event: Prompt.Entered) -> None:
        """What is looked for."""
        if event.kind == "search":
            event.stop()
            self.enter(self.pane.look_for, event.text)

    def go_to(self, text: str) -> None:
        """Shows the log around a moment. Raises ValueError with a sentence when it cannot be read."""
        self.pane.go_to(parse_past(text, datetime.now(UTC)))
        self._left = None  # a log that starts again now would end that

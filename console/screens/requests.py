"""The live request log."""

from collections import deque
from time import monotonic
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from console.failures import word
from console.parts.request_line import TITLE, WIDE, WIDE_TITLE, request_line
from console.places import Place
from console.screens.base import DeckScreen
from db.errors import DatabaseError
from db.source import Batch, Cursor, RequestFilter, RequestRow, Source, parse_request_filter
from widgets.prompt import Prompt
from widgets.ring_log import RingLog
from widgets.status_line import Item
from widgets.tone import Tone

_CAPACITY = 50_000
_PAGE = 500
_RATE_S = 5.0  # the rate shown is the mean of these seconds
_LONG_AWAY_S = 30.0  # after that long nobody reads what went by: the tail starts again, and says so


class RequestsScreen(DeckScreen[Batch]):
    """Follows what the gateways write; scrolling up pauses, end follows again, the top loads older rows."""

    period: ClassVar[float | None] = 0.25
    breather: ClassVar[float] = 0.5
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", id="requests.filter", tooltip="Filter in the database"),
        Binding("ctrl+l", "clear", "Clear filter", id="requests.clear", tooltip="Show all requests again"),
        Binding("c", "customer", "Customer", show=False, id="requests.customer", tooltip="The customer of this row"),
        Binding("y", "key", "Key", show=False, id="requests.key", tooltip="The key of this row"),
    ]
    DEFAULT_CSS = """
    RequestsScreen #columns { height: 1; text-style: bold; background: $panel; padding: 0 1; }
    RequestsScreen #chips { height: 1; padding: 0 1; color: $text-muted; }
    RequestsScreen RingLog { height: 1fr; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self.wanted: RequestFilter = parse_request_filter(place.subject)
        self.log_view: RingLog[RequestRow] = RingLog(request_line, _CAPACITY, id="log")
        self._cursor: Cursor | None = None
        self._begun: Batch | None = None
        self._received = 0
        self._arrivals: deque[tuple[float, int]] = deque()  # of the last seconds: when, how many
        self._following_since = monotonic()
        self._lag_s: float | None = None
        self._left: float | None = None
        self._paging = False

    def compose_body(self) -> ComposeResult:
        yield Static("", id="chips", markup=False)
        yield Static(TITLE, id="columns", markup=False)
        yield self.log_view

    def on_mount(self) -> None:
        self.log_view.focus()
        self._tell_chips()

    def on_resize(self) -> None:
        self.query_one("#columns", Static).update(WIDE_TITLE if self.size.width >= WIDE else TITLE)

    async def load(self) -> Batch:
        while True:
            wanted, cursor = self.wanted, self._cursor
            requests = self.source.requests
            batch = await (requests.begin(wanted) if cursor is None else requests.since(cursor))
            if wanted is self.wanted and cursor is self._cursor:  # else it was started again meanwhile
                return batch

    def paint(self, snapshot: Batch) -> None:
        """Adds what came."""
        if self._cursor is None:
            self._begun = snapshot
            self._following_since = monotonic()
        else:
            self._received += len(snapshot.rows)
            self._arrivals.append((monotonic(), len(snapshot.rows)))
        self._cursor = snapshot.cursor
        if snapshot.rows:
            self._lag_s = (snapshot.cursor.at - snapshot.rows[-1].timestamp).total_seconds()
        self.log_view.extend(snapshot.rows)

    def on_screen_suspend(self) -> None:
        self._left = monotonic()

    def on_screen_resume(self) -> None:
        if self._left is not None and monotonic() - self._left > _LONG_AWAY_S:
            minutes = (monotonic() - self._left) / 60
            self._restart(f"── away for {minutes:.0f} min: the log starts again here; older rows are above ──")
        self._left = None

    def narrow(self, subject: str) -> None:
        """Filters. Raises ValueError with a sentence when the filter cannot be read."""
        wanted = parse_request_filter(subject)
        self.place = Place(self.place.kind, " ".join(wanted.chips()))
        self.wanted = wanted
        self._restart(None)
        self._tell_chips()
        self.reload()

    def _restart(self, note: str | None) -> None:
        self._cursor, self._begun, self._received, self._lag_s = None, None, 0, None
        self._arrivals.clear()
        self.log_view.clear()
        if note:
            self.log_view.note(note)

    def _tell_chips(self) -> None:
        chips = self.wanted.chips()
        text = "  ".join(f"[{chip}]" for chip in chips) + "   ctrl+l shows all" if chips else "all requests"
        self.query_one("#chips", Static).update(text)

    @property
    def heading(self) -> str:
        return "requests"

    def _age(self) -> tuple[Item, ...]:
        if self._loaded is None or self.failure is not None:
            return super()._age()
        now = monotonic()
        while self._arrivals and now - self._arrivals[0][0] > _RATE_S:
            self._arrivals.popleft()
        items = [
            Item(
                "following" if self.log_view.following else "PAUSED",
                Tone.GOOD if self.log_view.following else Tone.WARN,
            )
        ]
        if now - self._following_since >= _RATE_S:
            rate = sum(count for _, count in self._arrivals) / _RATE_S
            items.append(Item(f"{rate:,.0f} rows/s", Tone.PLAIN))
        if self._lag_s is not None:
            items.append(Item(f"lag {max(0.0, self._lag_s):.1f} s", Tone.DIM, 2))
        items.append(Item(f"{self._received:,} received", Tone.DIM, 5))
        return tuple(items)

    # Keys

    def action_filter(self) -> None:
        hint = "status:5xx !class:burst key:0x… customer:42 slower-than:500ms"
        self.query_one(Prompt).open("narrow", "/", text=self.place.subject, hint=hint)

    def action_clear(self) -> None:
        self.narrow("")

    def action_customer(self) -> None:
        row = self.log_view.cursor_row
        if row is not None and row.customer_id is not None:
            self.go("customer", str(row.customer_id))

    def action_key(self) -> None:
        row = self.log_view.cursor_row
        if row is not None and row.api_key_fp:
            self.go("key", str(row.api_key_fp))

    def on_ring_log_opened(self, event: RingLog.Opened[Any]) -> None:
        event.stop()
        self.deck.explain(event.row)

    def on_ring_log_resumed(self, event: RingLog.Resumed) -> None:
        event.stop()
        if event.reload:
            self._restart(None)
            self.reload()

    def on_ring_log_follow_changed(self) -> None:
        self._tell_state()

    def on_ring_log_top_reached(self, event: RingLog.TopReached) -> None:
        event.stop()
        if self._begun is not None and not self._paging:
            self._paging = True
            self.run_worker(self._page_back(self._begun), group="back")

    async def _page_back(self, begun: Batch) -> None:
        """Older rows above what is there. Rows that the tail delivered are left out, unless the ring forgot them."""
        held = self.log_view.rows
        forgotten = bool(self.log_view.forgotten) and bool(held)
        try:
            history = await self.source.requests.before(
                self.wanted,
                held[0].timestamp if forgotten else begun.reached,
                cursor=None if forgotten else begun.cursor,
                limit=_PAGE,
            )
        except DatabaseError as error:
            self.failure = word(error)
            return
        finally:
            self._paging = False
        if self._begun is not begun:
            return
        self._begun = Batch(begun.rows, begun.cursor, history.reached)
        self.log_view.prepend(history.rows[::-1])
        if history.complete:
            self.log_view.prepend_note("── no older rows are kept ──")

"""The live request log."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from console.failures import word
from console.moments import parse_past
from console.parts.account import Account
from console.parts.log_chart import LogChart
from console.parts.log_feed import WINDOWS, LogFeed, after
from console.parts.log_search import ERRORS, SLOW, LogSearch
from console.parts.request_line import TITLE, WIDE, WIDE_TITLE, request_line, request_text
from console.places import Place
from console.saved_filters import read_filter
from console.screens.base import DeckScreen
from db.errors import DatabaseError
from db.source import RETENTION, Batch, RequestFilter, RequestRow, Source
from widgets.prompt import Prompt, typed
from widgets.ring_log import RingLog
from widgets.status_line import Item
from widgets.tone import Tone

_Work = Callable[[], Awaitable[None]]
_WINDOW_KEYS = Binding.Group("Windows", compact=True)
_CAPACITY = 50_000
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
        Binding("s", "search", "Search", priority=True, id="requests.search",
                tooltip="Look for rows without hiding the others"),
        Binding("n", "next(1)", "Next hit", show=False, id="requests.next", tooltip="The next hit, on screen or not"),
        Binding("N", "next(-1)", "Hit before", show=False, id="requests.before", tooltip="The hit before"),
        Binding("e", "error(1)", "Next error", show=False, id="requests.error", tooltip="The next 5xx, or no answer"),
        Binding("E", "error(-1)", "Error before", show=False, id="requests.error_before", tooltip="The error before"),
        Binding("w", "slow(1)", "Next slow", show=False, id="requests.slow", tooltip="The next one slower than 1 s"),
        Binding("W", "slow(-1)", "Slow before", show=False, id="requests.slow_before", tooltip="The slow one before"),
        Binding("h", "chart", "Chart", show=False, id="requests.chart", tooltip="Bars over time, or none"),
        Binding("plus,equals_sign", "zoom(-1)", "Closer", show=False, key_display="+", id="requests.closer",
                tooltip="Bars of a shorter time"),
        Binding("minus", "zoom(1)", "Wider", show=False, key_display="-", id="requests.wider",
                tooltip="Bars of a longer time"),
        Binding("less_than_sign", "chart_move(-1)", "Older", show=False, key_display="<", id="requests.older",
                tooltip="Bars of the time before"),
        Binding("greater_than_sign", "chart_move(1)", "Newer", show=False, key_display=">", id="requests.newer",
                tooltip="Bars of the time after"),
        Binding("escape", "calm", "Back", show=False, id="requests.calm", tooltip="End the search, leave the past"),
        Binding("a", "every_row", "Every row", show=False, id="requests.every_row", tooltip="Sample a busy log or not"),
        Binding("c", "customer", "Customer", show=False, id="requests.customer", tooltip="The customer of this row"),
        Binding("b", "groups", "Group by", show=False, id="requests.groups", tooltip="Count by customer, key, event …"),
        Binding("y", "key", "Key", show=False, id="requests.key", tooltip="The key of this row"),
        Binding("o", "copy", "Copy", show=False, id="requests.copy", tooltip="Copy the marked rows, or this one"),
        Binding("ctrl+d", "plain", "Plain lines", show=False, id="requests.plain",
                tooltip="These lines on the normal screen"),
        Binding("ctrl+o", "export", "Export", show=False, id="requests.export",
                tooltip="Write these rows to a file, or stop it"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    RequestsScreen #columns { height: 1; text-style: bold; background: $panel; padding: 0 1; }
    RequestsScreen #chips, RequestsScreen #account { height: 1; padding: 0 1; color: $text-muted; }
    RequestsScreen RingLog { height: 1fr; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self.feed = LogFeed(source, read_filter(place.subject))
        self.log_view: RingLog[RequestRow] = RingLog(request_line, _CAPACITY, id="log")
        self.account = Account()
        self.search = LogSearch(source, self.feed)
        self.chart = LogChart(source, self.feed, self.log_view)
        self._first = False
        self._left: float | None = None
        self._paging = False
        self._past: datetime | None = None  # what is shown of the past reaches to here
        self._told = ""

    def compose_body(self) -> ComposeResult:
        yield Static("", id="chips", markup=False)
        yield self.chart
        yield Static(TITLE, id="columns", markup=False)
        yield self.log_view
        yield Static("", id="account", markup=False)

    def on_mount(self) -> None:
        self.log_view.focus()
        self._tell_chips()
        self.set_interval(1.0, self._tell_account)

    def on_resize(self) -> None:
        self.query_one("#columns", Static).update(WIDE_TITLE if self.size.width >= WIDE else TITLE)

    # Following

    async def load(self) -> Batch:
        batch, self._first = await self.feed.poll()
        return batch

    def paint(self, snapshot: Batch) -> None:
        """Adds what came; while the past is shown it is only counted."""
        self.feed.took(snapshot, first=self._first)
        if self._first:
            self._tell_account()
        else:
            self.account.add(snapshot)
        if self._past is None:
            self.log_view.extend(snapshot.rows)

    def on_screen_suspend(self) -> None:
        self._left = monotonic()

    def on_screen_resume(self) -> None:
        if self._left is not None and monotonic() - self._left > _LONG_AWAY_S:
            minutes = (monotonic() - self._left) / 60
            self._restart(note=f"── away for {minutes:.0f} min: the log starts again here; older rows are above ──")
        self._left = None

    def narrow(self, subject: str) -> None:
        """Filters. Raises ValueError with a sentence when the filter cannot be read."""
        wanted = read_filter(subject)
        self.place = Place(self.place.kind, " ".join(wanted.chips()))
        self._restart(wanted)

    def _restart(self, wanted: RequestFilter | None = None, *, note: str = "") -> None:
        self.feed.restart(wanted)
        self.account = Account()
        self._past = None
        self.log_view.clear()
        self.chart.forget()
        if note:
            self.log_view.note(note)
        self._tell_chips()
        self._tell_account()
        self.reload()

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
        if self._past is not None:
            parts.append("the past; end follows")
        if self.search.words:
            parts.append(self.search.words)
        self.query_one("#chips", Static).update("   ·   ".join(parts))

    def _tell_account(self) -> None:
        text = self.account.line(self.size.width) if self.feed.begun else ""
        if text != self._told:
            self._told = text
            self.query_one("#account", Static).update(text, layout=False)

    def _age(self) -> tuple[Item, ...]:
        if self._loaded is None or self.failure is not None:
            return super()._age()
        following = self.log_view.following
        return (Item("following" if following else "PAUSED", Tone.GOOD if following else Tone.WARN),)

    # Keys

    def action_filter(self) -> None:
        if typed(self, "/"):
            return
        hint = "status:5xx !class:burst key:0x… customer:42 slower-than:500ms"
        self.query_one(Prompt).open("narrow", "/", text=self.place.subject, hint=hint)

    def action_clear(self) -> None:
        self.narrow("")

    def action_window(self, number: int) -> None:
        self.feed.window = WINDOWS[number]
        self._restart()

    def action_chart(self) -> None:
        self.chart.toggle()

    def action_zoom(self, steps: int) -> None:
        self.chart.zoom(steps)

    def action_chart_move(self, steps: int) -> None:
        self.chart.move(steps)

    def action_every_row(self) -> None:
        self.feed.every_row = not self.feed.every_row
        text = (
            "Every row is shown, however many." if self.feed.every_row else "A busy log is sampled; errors never are."
        )
        self.notify(text, markup=False, timeout=4)

    def action_groups(self) -> None:
        window = self.feed.window.name.split()[0]
        self.go("groups", f"{window} {self.place.subject}")

    def action_customer(self) -> None:
        row = self.log_view.cursor_row
        if row is not None and row.customer_id is not None:
            self.go("customer", str(row.customer_id))

    def action_key(self) -> None:
        row = self.log_view.cursor_row
        if row is not None and row.api_key_fp:
            self.go("key", str(row.api_key_fp))

    def action_copy(self) -> None:
        row = self.log_view.cursor_row
        self.deck.taking.copy(self._as_text(self.log_view.marked_rows or ([] if row is None else [row])))

    def action_plain(self) -> None:
        title = WIDE_TITLE if self.size.width >= WIDE else TITLE
        self.deck.taking.show([title, *self._as_text(self.log_view.visible_rows)])

    def action_export(self) -> None:
        times = [row.timestamp for row in self.log_view.rows]
        if not times:
            self.notify("There is no row to export.", timeout=5)
            return
        start, end, window = min(times), max(times) + timedelta(microseconds=1), self.feed.window
        if self._past is None and window is not WINDOWS[0]:  # of a window the newest rows are read first
            start = min(start, end - (window.length or RETENTION))
        self.deck.exporter.start(self.feed.wanted, start, end)

    def _as_text(self, rows: Iterable[RequestRow]) -> list[str]:
        return [request_text(row, self.log_view.view.width - 1) for row in rows]

    def on_ring_log_opened(self, event: RingLog.Opened[Any]) -> None:
        event.stop()
        self.deck.explain(event.row)

    def on_ring_log_resumed(self, event: RingLog.Resumed) -> None:
        event.stop()
        if event.reload:
            self._restart()

    def on_ring_log_follow_changed(self) -> None:
        self._tell_state()

    # Pages

    def on_ring_log_top_reached(self, event: RingLog.TopReached) -> None:
        event.stop()
        if not self._paging:
            self._page(self._page_back)

    def on_ring_log_end_reached(self, event: RingLog.EndReached) -> None:
        event.stop()
        if self._past is not None and not self._paging:
            self._page(partial(self._page_on, self._past))

    def _page(self, work: _Work) -> None:
        self._paging = True
        self.run_worker(partial(self._paged, work), group="page")

    async def _paged(self, work: _Work) -> None:
        try:
            await self._read(work)
        finally:
            self._paging = False

    async def _read(self, work: _Work) -> None:
        try:
            await work()
        except DatabaseError as error:
            self.failure = word(error)

    def _jump(self, work: _Work) -> None:
        """Goes elsewhere in the log; a later jump takes the place of one under way."""
        self.run_worker(partial(self._read, work), group="jump", exclusive=True)

    async def _page_back(self) -> None:
        log = self.log_view
        history = await self.feed.page_back(log.rows, known=log.detached or bool(log.forgotten))
        if history is None:
            return
        log.prepend(history.rows[::-1])
        if history.complete:
            window = self.feed.window
            text = f"the window of {window.name} begins here; 6 shows all that is kept"
            log.prepend_note(f"── {text if window.length and not log.detached else 'no older rows are kept'} ──")

    async def _page_on(self, reached: datetime) -> None:
        rows = await self.feed.page_on(reached)
        if self._past != reached:  # followed again meanwhile
            return
        if rows:
            self._past = after(rows[-1])
            self.log_view.extend(rows)
        else:
            self._restart()

    def go_to(self, text: str) -> None:
        """Shows the log around a moment. Raises ValueError with a sentence when it cannot be read."""
        moment = parse_past(text, datetime.now(UTC))
        self._jump(partial(self._open_at, moment))

    async def _open_at(self, moment: datetime) -> None:
        past = await self.feed.around(moment)
        rows = (*past.older, *past.newer)
        if not rows:
            self.notify("No row that the filter lets through is kept.", markup=False, timeout=4)
            return
        self.log_view.open_at(past.older, past.newer)
        self._past = after(rows[-1])
        self._tell_chips()

    # Searching

    def action_search(self) -> None:
        if typed(self, "s"):
            return
        hint = "as a filter: status:5xx event:31 path:v1; n and N go from hit to hit, esc ends it"
        self.query_one(Prompt).open("search", "search", text=self.search.text, hint=hint)

    def on_prompt_entered(self, event: Prompt.Entered) -> None:
        """What was typed behind the search sign."""
        if event.kind != "search":
            return
        event.stop()
        try:
            sought = read_filter(event.text)
        except ValueError as error:
            self.query_one(Prompt).say(str(error))
            return
        self.query_one(Prompt).close()
        self.search.begin(sought)
        self._tell_chips()
        self.run_worker(self._count_hits, group="hits", exclusive=True)
        self._seek(sought, newer=False)

    def action_calm(self) -> None:
        """Ends the search, and comes back from the past."""
        self.search.end()
        if self._past is not None:
            self._restart()
        self._tell_chips()

    async def _count_hits(self) -> None:
        await self.search.count()
        self._tell_chips()

    def action_next(self, step: int) -> None:
        if self.search.sought is None:
            self.action_search()
        else:
            self._seek(self.search.sought, newer=step > 0)

    def action_error(self, step: int) -> None:
        self._seek(ERRORS, newer=step > 0)

    def action_slow(self, step: int) -> None:
        self._seek(SLOW, newer=step > 0)

    def _seek(self, sought: RequestFilter, *, newer: bool) -> None:
        log = self.log_view
        if not log.seek(sought.matches, forward=newer):
            row = log.cursor_row
            moment = datetime.now(UTC) if row is None else row.timestamp
            self._jump(partial(self._seek_beyond, sought, moment, newer))

    async def _seek_beyond(self, sought: RequestFilter, moment: datetime, newer: bool) -> None:
        row = await self.search.nearest(sought, moment, newer=newer)
        if row is None:
            self.notify(f"No {'newer' if newer else 'older'} hit is kept.", markup=False, timeout=4)
            return
        await self._open_at(row.timestamp)
        if self.log_view.cursor_row != row:
            self.log_view.seek(sought.matches, forward=True)

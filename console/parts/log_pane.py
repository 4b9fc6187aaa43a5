"""The rows of the log: pages of the past at either end, the way to a moment and to the next hit."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ClassVar

from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.message import Message

from console.failures import word
from console.parts.log_feed import LogFeed, after
from console.parts.log_search import ERRORS, SLOW, LogSearch
from console.parts.request_line import request_line
from console.saved_filters import read_filter
from console.words import moment as at
from db.errors import DatabaseError
from db.source import RequestFilter, RequestRow, Source
from widgets.prompt import Prompt
from widgets.ring_log import RingLog
from widgets.tone import Spans, Tone

_Work = Callable[[], Awaitable[None]]
_CAPACITY = 50_000
_PATIENCE_S = 0.4  # what takes longer to read is told of
_NEAR = timedelta(minutes=1)


class LogPane(RingLog[RequestRow]):
    """Asks a feed for what the reader scrolls or jumps to; what the tail brings is its owner's to `extend`.

    When the past that it shows has reached the present it posts `Resumed`, as when the reader had asked for that.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "search", "Search", priority=True, id="requests.search",
                tooltip="Look for rows without hiding the others"),
        Binding("n", "next(1)", "Next hit", show=False, id="requests.next", tooltip="The next hit, on screen or not"),
        Binding("N", "next(-1)", "Hit before", show=False, id="requests.before", tooltip="The hit before"),
        Binding("e", "error(1)", "Next error", show=False, id="requests.error", tooltip="The next 5xx, or no answer"),
        Binding("E", "error(-1)", "Error before", show=False, id="requests.error_before", tooltip="The error before"),
        Binding("w", "slow(1)", "Next slow", show=False, id="requests.slow", tooltip="The next one slower than 1 s"),
        Binding("W", "slow(-1)", "Slow before", show=False, id="requests.slow_before", tooltip="The slow one before"),
        Binding("escape", "calm", "Back", show=False, id="requests.calm", tooltip="End the search, leave the past"),
    ]  # fmt: skip

    class Told(Message):
        """It shows the past now, reads for longer than a moment, or knows more about what is looked for."""

    def __init__(self, source: Source, feed: LogFeed, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(self._format, _CAPACITY, id=id)
        self.search = LogSearch(source, feed)
        self._feed = feed
        self.slow = False  # it is being read, and that takes a while
        self._paging = False
        self._reached: datetime | None = None  # the past that is shown ends here

    def clear(self) -> None:
        super().clear()
        self._reached = None

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """From the oldest row held until just after the newest; None when there is none."""
        times = [row.timestamp for row in self.rows]
        return (min(times), max(times) + timedelta(microseconds=1)) if times else None

    def _format(self, row: RequestRow, width: int) -> Spans:
        """A hit is told by a sign behind its time."""
        (time, tone), *rest = request_line(row, width)
        sought = self.search.sought
        hit = sought is not None and sought.matches(row)
        return [(f"{time[:-1]}»", Tone.ACCENT) if hit else (time, tone), *rest]

    # Marks

    def action_mark(self) -> None:
        super().action_mark()
        self.post_message(self.Told())

    def action_mark_range(self) -> None:
        super().action_mark_range()
        self.post_message(self.Told())

    def action_unmark(self) -> None:
        super().action_unmark()
        self.post_message(self.Told())

    # Pages

    def on_ring_log_top_reached(self, event: RingLog.TopReached) -> None:
        event.stop()
        self._page(self._page_back)

    def on_ring_log_end_reached(self, event: RingLog.EndReached) -> None:
        event.stop()
        if self._reached is not None:
            self._page(partial(self._page_on, self._reached))

    def _page(self, work: _Work) -> None:
        if not self._paging:
            self._paging = True
            self.run_worker(partial(self._paged, work), group="page")

    async def _paged(self, work: _Work) -> None:
        try:
            await self._read(work)
        finally:
            self._paging = False

    async def _read(self, work: _Work) -> None:
        """A failure is told in passing, as the tail goes on; what was shown is still there."""
        patience = self.set_timer(_PATIENCE_S, partial(self._tell_slow, True))
        try:
            await work()
        except DatabaseError as error:
            self.ask_again()
            self.notify(word(error).text, title="Not read", severity="warning", markup=False, timeout=12)
        finally:
            patience.stop()
            if self.slow:
                self._tell_slow(False)

    def _tell_slow(self, slow: bool) -> None:
        self.slow = slow
        self.post_message(self.Told())

    async def _page_back(self) -> None:
        reached = self._reached
        history = await self._feed.page_back(self.rows, known=self.detached or bool(self.forgotten))
        if history is None or self._reached != reached:  # the log shows another time meanwhile
            return
        self.prepend(history.rows[::-1])
        if history.complete:
            window = self._feed.window
            text = f"the window of {window.name} begins here; 6 shows all that is kept"
            self.prepend_note(f"── {text if window.length and not self.detached else 'no older rows are kept'} ──")

    async def _page_on(self, reached: datetime) -> None:
        rows = await self._feed.page_on(reached)
        if self._reached != reached:  # followed again meanwhile
            return
        if rows:
            self._reached = after(rows[-1])
            self.extend(rows)
        else:
            self.post_message(self.Resumed(reload=True))

    # Jumps

    def go_to(self, moment: datetime) -> None:
        """Shows the log around a moment; from where nothing is kept, the rows nearest to it, and says so."""
        self._jump(partial(self._open_near, moment))

    def _jump(self, work: _Work) -> None:
        """Goes elsewhere in the log; a later jump takes the place of one under way, and one that comes back to a log
        that was started again does nothing."""
        self.run_worker(partial(self._read, work), group="jump", exclusive=True)

    async def _open_near(self, moment: datetime) -> None:
        await self._open_at(moment)
        row = self.cursor_row
        if self.detached and row is not None and abs(row.timestamp - moment) > _NEAR:
            kept = "kept that the filter lets through" if self._feed.wanted.chips() else "kept"
            text = f"No row from {at(moment)} is {kept}. The nearest one is from {at(row.timestamp)} UTC."
            self.notify(text, markup=False, timeout=8)

    async def _open_at(self, moment: datetime) -> None:
        flight = self._feed.flight
        past = await self._feed.around(moment)
        if flight is not self._feed.flight:
            return
        rows = (*past.older, *past.newer)
        if not rows:
            self.notify("No row that the filter lets through is kept.", markup=False, timeout=4)
            return
        self.open_at(past.older, past.newer)
        self._reached = after(rows[-1])
        self.post_message(self.Told())

    # Searching

    def look_for(self, text: str) -> None:
        """Goes to the newest row that this filter lets through, and hides none. Raises ValueError with a sentence."""
        sought = read_filter(text)
        self._search_for(sought)
        self._seek(sought, newer=False)

    def count_anew(self) -> None:
        """In another window or under another filter there are other hits."""
        if self.search.sought is not None:
            self._search_for(self.search.sought)

    def _search_for(self, sought: RequestFilter | None) -> None:
        self.search.begin(sought)
        self.format_anew()
        self.post_message(self.Told())
        self.run_worker(self._count_hits, group="hits", exclusive=True)

    async def _count_hits(self) -> None:
        await self.search.count()
        self.post_message(self.Told())

    def action_search(self) -> None:
        hint = "as a filter: status:5xx event:31 path:v1; n and N go from hit to hit, esc ends it"
        self.screen.query_one(Prompt).open("search", "search", text=self.search.text, hint=hint)

    def action_next(self, step: int) -> None:
        if self.search.sought is None:
            self.action_search()
        else:
            self._seek(self.search.sought, newer=step > 0)

    def action_error(self, step: int) -> None:
        self._seek(ERRORS, newer=step > 0)

    def action_slow(self, step: int) -> None:
        self._seek(SLOW, newer=step > 0)

    def action_calm(self) -> None:
        """Ends the search, calls a jump off, and comes back from the past; without any of these it is nobody's key."""
        jumping = any(worker.group == "jump" and worker.is_running for worker in self.workers)
        self.workers.cancel_group(self, "jump")  # pyright: ignore[reportUnknownMemberType]
        if not (jumping or self.detached or self.search.sought):
            raise SkipAction
        self._search_for(None)
        if self.detached:
            self.post_message(self.Resumed(reload=True))

    def _seek(self, sought: RequestFilter, *, newer: bool) -> None:
        """Goes to the next row that is sought, or to the one before, whether it is held or not."""
        if not self.seek(sought.matches, forward=newer):
            row = self.cursor_row
            moment = datetime.now(UTC) if row is None else row.timestamp
            self._jump(partial(self._seek_beyond, sought, moment, newer))

    async def _seek_beyond(self, sought: RequestFilter, moment: datetime, newer: bool) -> None:
        flight = self._feed.flight
        row = await self._feed.nearest(sought, moment, newer=newer)
        if flight is not self._feed.flight:
            return
        if row is None:
            what = "error" if sought is ERRORS else "slow request" if sought is SLOW else "hit"
            text = f"No newer {what} so far." if newer else f"No older {what} is kept."
            self.notify(text, markup=False, timeout=4)
            return
        await self._open_at(row.timestamp)
        if flight is self._feed.flight and self.cursor_row != row:
            self.seek(sought.matches, forward=True)

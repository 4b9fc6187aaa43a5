"""The strip of bars over the log, kept up to date while it is seen."""

from datetime import UTC, datetime
from functools import partial
from time import monotonic

from console.failures import word
from console.parts.histogram_strip import BUCKETS, HistogramStrip
from console.parts.log_feed import LogFeed
from db.errors import DatabaseError
from db.source import RequestRow, Source
from widgets.ring_log import RingLog

_PERIOD_S = 2.0
_REST = 4  # times as long as a count took: a busy log is not counted all the time
_Span = tuple[datetime, datetime]


class LogChart(HistogramStrip):
    """Follows the rows that the log shows, and asks the source for what it shows; hidden until it is asked for."""

    DEFAULT_CSS = "LogChart { display: none; margin: 0 1; } LogChart.open { display: block; }"

    def __init__(self, source: Source, feed: LogFeed, log: RingLog[RequestRow]) -> None:
        super().__init__(id="chart")
        self._source = source
        self._feed = feed
        self._log = log
        self._rests_until = 0.0
        self._counting: _Span | None = None
        self._not_counted: _Span | None = None

    def on_mount(self) -> None:
        self.set_interval(_PERIOD_S, self.refresh_chart)

    def toggle(self) -> None:
        """Shows or hides it."""
        self.toggle_class("open")
        self.refresh_chart()

    def refresh_chart(self) -> None:
        """Looks at the rows in view, and counts again what is still growing."""
        if not self.has_class("open") or not self.screen.is_current:
            return
        moments = [row.timestamp for row in self._log.visible_rows] or [datetime.now(UTC)]
        self.look(min(moments), max(moments))
        stretch = self.stretch
        if stretch is None or stretch.end <= datetime.now(UTC) - stretch.span / BUCKETS:
            return
        span = (stretch.start, stretch.end)
        if monotonic() >= self._rests_until and span not in (self._counting, self._not_counted):
            self._count(*span)

    def on_histogram_strip_zoomed(self, event: HistogramStrip.Zoomed) -> None:
        """Another stretch, by a key or because the log moved on."""
        event.stop()
        self._count(event.start, event.end)

    def forget(self) -> None:
        super().forget()
        self.workers.cancel_group(self, "chart")  # pyright: ignore[reportUnknownMemberType]
        self._counting = self._not_counted = None

    def _count(self, start: datetime, end: datetime) -> None:
        self._counting = (start, end)
        # Not the coroutine itself: taken over by the next before it began, it would be one nobody awaits.
        self.run_worker(partial(self._counted, start, end), group="chart", exclusive=True)

    async def _counted(self, start: datetime, end: datetime) -> None:
        begun = monotonic()
        try:
            histogram = await self._source.breakdown.histogram(self._feed.wanted, start, end, BUCKETS)
        except DatabaseError as error:
            self._not_counted = (start, end)
            text = f"{word(error).text}. A wider time (-) may be added up already."
            self.notify(text, title="The bars were not counted", severity="warning", markup=False, timeout=8)
        else:
            self.show(histogram)
            self._rests_until = monotonic() + _REST * (monotonic() - begun)
        finally:
            if self._counting == (start, end):
                self._counting = None

"""The log over time, above the log: a few lines of bars, with the rows in view marked on the axis."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from textual.message import Message

from console.parts.class_tones import CLASS_TONES
from db.source import Histogram
from widgets.stacked_bars import Bars, StackedBars

BUCKETS = 60
SPANS = (
    *(timedelta(seconds=seconds) for seconds in (30, 60, 120, 300, 600, 1800)),
    *(timedelta(hours=hours) for hours in (1, 2, 4, 8, 24, 48)),  # whole minutes a bucket: these are rolled up
)
"""The spans one zooms through, each about twice the one before."""
_FIRST_SPAN = SPANS.index(timedelta(minutes=5))
_LEEWAY = 12  # a stretch that moves with the log is ahead by this part of itself, so that it moves seldom
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time of one of the SPANS, beginning at a whole bucket."""

    start: datetime
    zoom: int = _FIRST_SPAN

    @property
    def span(self) -> timedelta:
        return SPANS[self.zoom]

    @property
    def end(self) -> datetime:
        return self.start + self.span

    @property
    def _bucket(self) -> timedelta:
        return self.span / BUCKETS

    def share(self, moment: datetime) -> float:
        """Where a moment lies: 0 at the start, 1 at the end."""
        return (moment - self.start) / self.span

    def at(self, start: datetime) -> "Stretch":
        """The same from the bucket on that `start` lies in."""
        return replace(self, start=_EPOCH + (start - _EPOCH) // self._bucket * self._bucket)

    def holding(self, first: datetime, last: datetime) -> "Stretch":
        """Moved no further than it takes to hold these rows; if they are too many, the newest of them."""
        leeway = self.span / _LEEWAY
        ahead = self.at(last + leeway - self.span)
        earliest, latest = self.at(last + self._bucket - self.span).start, self.at(first).start
        if latest < earliest:
            return ahead
        if last >= self.end:
            return replace(self, start=min(ahead.start, latest))
        return self if first >= self.start else replace(self, start=max(self.at(first - leeway).start, earliest))

    def zoomed(self, steps: int, first: datetime, last: datetime) -> "Stretch":
        """Longer, or shorter below zero, around these rows: they keep their place, or get the middle if out of it."""
        middle = first + (last - first) / 2
        place = self.share(middle)
        place = place if 0 <= place <= 1 else 0.5
        longer = replace(self, zoom=min(max(self.zoom + steps, 0), len(SPANS) - 1))
        return longer.at(middle - place * longer.span).holding(first, last)


class HistogramStrip(StackedBars):
    """Told what rows are in view (`look`) and what was counted (`show`); says what is to be counted (`Zoomed`).

    It moves with the log until somebody moves it away; the next zoom brings it back to the rows in view.
    """

    DEFAULT_CSS = "HistogramStrip { height: 5; }"

    @dataclass
    class Zoomed(Message):
        """Another stretch is shown, by a key or because the log moved on. To be answered with `show`."""

        start: datetime
        end: datetime

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._stretch: Stretch | None = None
        self._rows: tuple[datetime, datetime] | None = None
        self._newest: datetime | None = None
        self._away = False
        self._histogram: Histogram | None = None

    @property
    def stretch(self) -> Stretch | None:
        """What is shown, or waited for; None before the first rows."""
        return self._stretch

    def look(self, first: datetime, last: datetime) -> None:
        """The log shows rows from `first` to `last`."""
        self._rows = (first, last)
        self._newest = last if self._newest is None else max(self._newest, last)
        if not self._away:
            self._go((self._stretch or Stretch(_EPOCH)).holding(first, last))
        self._paint()

    def show(self, histogram: Histogram) -> None:
        """What was counted. An answer that comes late, of another stretch, is left out."""
        if self._stretch is not None and (histogram.start, histogram.end) == (self._stretch.start, self._stretch.end):
            self._histogram = histogram
            self._paint()

    def forget(self) -> None:
        """Another filter: what was counted is worth nothing."""
        self._histogram = None
        self.bars = None

    def zoom(self, steps: int) -> None:
        """Out by so many steps, or in below zero, around the rows in view."""
        if self._stretch is not None and self._rows is not None:
            self._away = False
            self._go(self._stretch.zoomed(steps, *self._rows))
            self._paint()

    def move(self, steps: int) -> None:
        """By half of itself to newer rows, or to older below zero; never beyond the newest row seen."""
        if self._stretch is not None and self._newest is not None:
            moved = self._stretch.at(self._stretch.start + steps * self._stretch.span / 2)
            if moved.start <= self._newest:
                self._away = True
                self._go(moved)

    def _go(self, stretch: Stretch) -> None:
        if stretch != self._stretch:
            self._stretch = stretch
            self.post_message(self.Zoomed(stretch.start, stretch.end))

    def _paint(self) -> None:
        if self._histogram is None or self._rows is None:
            return
        counted = self._histogram
        first, last = ((moment - counted.start) / (counted.end - counted.start) for moment in self._rows)
        self.bars = Bars(
            buckets=tuple(tuple(bucket.get(kind.value, 0) for kind in CLASS_TONES) for bucket in counted.series),
            labels=tuple(kind.value for kind in CLASS_TONES),
            start=_moment(counted.start, counted),
            end=f"{_moment(counted.end, counted)} UTC",
            unit=f"requests in {_words(counted.width)}",
            tones=tuple(CLASS_TONES.values()),
            mark=(first, last),
        )


def _moment(at: datetime, counted: Histogram) -> str:
    """With the date where the stretch is a day long or crosses midnight."""
    dated = counted.start.date() != counted.end.date()
    return f"{at.astimezone(UTC):{'%m-%d ' if dated else ''}%H:%M:%S}"


def _words(width: timedelta) -> str:
    seconds = width.total_seconds()
    return f"{seconds:g} s" if seconds < 60 else f"{seconds / 60:g} min"

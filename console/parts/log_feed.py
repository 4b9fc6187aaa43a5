"""What the log screen reads: the tail, pages of the past, the way to a moment and to the next hit."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from console.words import clock
from db.source import Batch, Cursor, History, RequestFilter, RequestRow, Source

_MINUTE = timedelta(minutes=1)
_FIRST_FILL = 15 * _MINUTE
_FIRST_ROWS = 200
_PAGE = 500
_AROUND = 200  # rows of the past above a moment one went to
_READABLE_A_SECOND = 1000  # what is shown of a busier log, far above what anybody reads
_STEP = 20_000  # rows that one poll goes through, whatever piled up meanwhile
_CATCH_UP_S = 10.0  # of a longer absence no more rows are shown than of this one


@dataclass(frozen=True, slots=True)
class LogWindow:
    """How far back the log is shown; None as far as it is kept."""

    name: str
    length: timedelta | None = None

    @property
    def word(self) -> str:
        """As it stands in front of a filter."""
        return self.name.split()[0]


WINDOWS = (
    LogWindow("live"),
    LogWindow("1m", timedelta(minutes=1)),
    LogWindow("5m", timedelta(minutes=5)),
    LogWindow("15m", timedelta(minutes=15)),
    LogWindow("30m", timedelta(minutes=30)),
    LogWindow("1h", timedelta(hours=1)),
    LogWindow("all kept"),
)
"""On the keys 0 to 6."""


def split_window(text: str) -> tuple[LogWindow | None, str]:
    """The window that stands in front of a filter, if one does, and the filter."""
    first, _, rest = text.strip().partition(" ")
    window = next((window for window in WINDOWS if window.word == first.lower()), None)
    return (window, rest) if window is not None else (None, text)


def reaching(age: timedelta) -> LogWindow:
    """The shortest window that holds what happened so long ago."""
    return next((window for window in WINDOWS if window.length is not None and window.length >= age), WINDOWS[-1])


@dataclass(frozen=True, slots=True)
class Past:
    """A stretch of the past around a moment."""

    older: Sequence[RequestRow]
    newer: Sequence[RequestRow]


class LogFeed:
    """One tail and where it stands. A restart makes what is under way worthless: it is told apart by its `flight`."""

    def __init__(self, source: Source, wanted: RequestFilter) -> None:
        self._source = source
        self.wanted = wanted
        self.window = WINDOWS[0]
        self.every_row = False  # never a sample
        self.flight = object()
        self._cursor: Cursor | None = None
        self._begun: Batch | None = None
        self._polled = monotonic()

    def restart(self, wanted: RequestFilter | None = None) -> None:
        """Begins anew at the next poll, with another filter if one is given."""
        self.wanted = self.wanted if wanted is None else wanted
        self._cursor, self._begun, self.flight = None, None, object()

    @property
    def begun(self) -> bool:
        """Whether the first rows are there."""
        return self._begun is not None

    async def poll(self) -> tuple[Batch, bool]:
        """The first rows (then True), or what came since the last poll: of a backlog a part, with more to come."""
        while True:
            flight, cursor = self.flight, self._cursor
            if cursor is None:
                within = self.window.length or _FIRST_FILL
                batch = await self._source.requests.begin(self.wanted, recent=_FIRST_ROWS, within=within)
            else:
                at_most = None if self.every_row else self._readable()
                batch = await self._source.requests.since(cursor, at_most=at_most, step=_STEP)
            if flight is self.flight and cursor is self._cursor:  # else it was started again meanwhile
                return batch, cursor is None

    def nothing_yet(self, moment: datetime) -> str:
        """What stands in a log whose first rows, looked for at that moment, are none."""
        window = self.window
        within = f"the window of {window.name}" if window.length else f"the {_FIRST_FILL // _MINUTE} min"
        further = "6 shows all that is kept" if window.length else "up looks further back"
        return f"no such request in {within} before {clock(moment)} UTC; {further}"

    def took(self, batch: Batch, *, first: bool) -> None:
        """What was polled is on screen: the next poll goes on behind it."""
        self._cursor, self._polled = batch.cursor, monotonic()
        if first:
            self._begun = batch

    def _readable(self) -> int:
        """Rows that the next poll may bring: in proportion to the time since the last one, which may be long."""
        waited = min(max(monotonic() - self._polled, 0.25), _CATCH_UP_S)
        return round(waited * _READABLE_A_SECOND)

    async def page_back(self, held: Sequence[RequestRow], *, known: bool) -> History | None:
        """Older rows than those held; None when the tail was started again meanwhile.

        What the tail delivered is left out by its cursor. With `known` (the log let rows go, or shows the past) that
        says nothing about what is held: then rows are compared.
        """
        begun, flight = self._begun, self.flight
        if begun is None:
            return None
        if known and held:
            moment = held[0].timestamp + timedelta(microseconds=1)
            history = await self._source.requests.before(self.wanted, moment, limit=_PAGE)
            history = History(_without(history.rows, held), history.reached, history.complete)
        else:
            bound = None if self.window.length is None else begun.cursor.at - self.window.length
            history = await self._source.requests.before(
                self.wanted, begun.reached, cursor=begun.cursor, limit=_PAGE, bound=bound
            )
        if flight is not self.flight:
            return None
        if not known:
            self._begun = Batch(begun.rows, begun.cursor, history.reached)
        return history

    async def around(self, moment: datetime) -> Past:
        """Rows before and after a moment."""
        older = await self._source.requests.before(self.wanted, moment, limit=_AROUND)
        newer = await self._source.requests.after(self.wanted, moment, limit=_PAGE)
        return Past(older.rows[::-1], newer.rows)

    async def page_on(self, reached: datetime) -> list[RequestRow]:
        """Rows of the past from `reached` on; none when that is the present."""
        return (await self._source.requests.after(self.wanted, reached, limit=_PAGE)).rows

    async def nearest(self, sought: RequestFilter, moment: datetime, *, newer: bool) -> RequestRow | None:
        """The next row that is sought before or after a moment."""
        return await self._source.requests.nearest(self.wanted, sought, moment, newer=newer)


def after(row: RequestRow) -> datetime:
    """Where the page behind this row begins; a page ends with all rows of its last instant."""
    return row.timestamp + timedelta(microseconds=1)


def _without(rows: Sequence[RequestRow], held: Sequence[RequestRow]) -> list[RequestRow]:
    """Those of `rows` (newest first) that are not held, one for one: two rows may be equal in everything."""
    if not rows:
        return []
    first, last = rows[-1].timestamp, rows[0].timestamp
    there = Counter(row for row in held if first <= row.timestamp <= last)
    left: list[RequestRow] = []
    for row in rows:
        if there[row] > 0:
            there[row] -= 1
        else:
            left.append(row)
    return left

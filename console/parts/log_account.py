"""What became of every row that was committed while one looked: the line below the log that adds up."""

from collections import deque
from collections.abc import Callable
from datetime import datetime
from time import monotonic

from textual.widgets import Static

from console.words import short
from db.source import Batch

_RATE_S = 5.0  # the rate is the mean of these seconds
_SUM = "{} = {} shown + {} filtered + {} sampled"
_LONG = (_SUM.replace(" =", " received ="), "   {} rows/s", "   lag {:.1f} s", "   cursor {:.0f} s old")
_SHORT = (_SUM, "  {}/s", "  lag {:.1f} s", "  cursor {:.0f} s")
_SHORTEST = (_SUM.replace("filtered", "filt.").replace("sampled", "sampl."), *_SHORT[1:])


class Account:
    """Counts since the tail began. received = shown + filtered + sampled, always."""

    def __init__(self) -> None:
        self.received = self.shown = self.filtered = self.sampled = 0
        self._polled = monotonic()
        self._lag_s: float | None = None
        # Of the last seconds: when, how many. The first one is where they begin: what it brought came before.
        self._arrivals = deque([(self._polled, 0)])
        self._more = False

    def add(self, batch: Batch) -> None:
        """Enters what one poll brought."""
        self._polled = monotonic()
        self.received += batch.committed
        self.shown += len(batch.rows)
        self.filtered += batch.committed - batch.passed
        self.sampled += batch.passed - len(batch.rows)
        # Parts of a backlog came in the time since the poll that began it.
        earlier = self._arrivals.pop()[1] if self._more else 0
        self._arrivals.append((self._polled, earlier + batch.committed))
        self._more = batch.more
        while self._arrivals[1][0] < self._polled - _RATE_S:
            self._arrivals.popleft()
        if batch.rows:
            newest: datetime = batch.rows[-1].timestamp
            self._lag_s = max(0.0, (batch.cursor.at - newest).total_seconds())

    def line(self, width: int) -> str:
        """The sum in words, the longest that leave nothing out at this width."""
        whole = "{:,}".format
        forms = ((_LONG, whole), (_LONG, short), (_SHORT, short), (_SHORTEST, _brief))
        lines = [self._line(words, number) for words, number in forms]
        return next((line for line in lines if len(line) <= width), lines[-1])

    def _line(self, words: tuple[str, str, str, str], number: Callable[[int], str]) -> str:
        the_sum, rate, lag, age = words
        text = the_sum.format(*map(number, (self.received, self.shown, self.filtered, self.sampled)))
        (begun, _), *arrivals = self._arrivals
        spent = self._polled - begun
        if spent >= 1:
            text += rate.format(number(round(sum(rows for _, rows in arrivals) / spent)))
        if self._lag_s is not None:
            text += lag.format(self._lag_s)
        return text + age.format(monotonic() - self._polled)


def _brief(number: int) -> str:
    """Three digits and a letter at the most."""
    head, _, tail = short(number).partition(".")
    return f"{head}{tail[1:]}" if len(head) > 2 else short(number)


class AccountLine(Static):
    """The account of a tail, told anew each second. Before its first rows came there is none."""

    DEFAULT_CSS = "AccountLine { height: 1; padding: 0 1; color: $text-muted; }"

    def __init__(self) -> None:
        super().__init__("", id="account", markup=False)
        self._account: Account | None = None
        self._told = ""

    def on_mount(self) -> None:
        self.set_interval(1.0, self._tell)

    def begin_anew(self) -> None:
        """The tail was started again."""
        self._account = None
        self._tell()

    def add(self, batch: Batch, *, first: bool) -> None:
        """Enters what a poll brought; the first rows were there before anybody looked."""
        if self._account is not None:
            self._account.add(batch)
        elif first:
            self._account = Account()
            self._tell()

    def _tell(self) -> None:
        text = "" if self._account is None else self._account.line(self.screen.size.width - 2)
        if text != self._told:
            self._told = text
            self.update(text, layout=False)

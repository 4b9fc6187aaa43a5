"""What became of every row that was committed while one looked: the line below the log that adds up."""

from collections import deque
from datetime import datetime
from time import monotonic

from textual.widgets import Static

from console.words import short
from db.source import Batch

_RATE_S = 5.0  # the rate is the mean of these seconds


class Account:
    """Counts since the tail began. received = shown + filtered + sampled, always."""

    def __init__(self) -> None:
        self.received = self.shown = self.filtered = self.sampled = 0
        self._since = self._polled = monotonic()
        self._lag_s: float | None = None
        self._arrivals: deque[tuple[float, int]] = deque()  # of the last seconds: when, how many

    def add(self, batch: Batch) -> None:
        """Enters what one poll brought."""
        self._polled = monotonic()
        self.received += batch.committed
        self.shown += len(batch.rows)
        self.filtered += batch.committed - batch.passed
        self.sampled += batch.passed - len(batch.rows)
        self._arrivals.append((self._polled, batch.committed))
        if batch.rows:
            newest: datetime = batch.rows[-1].timestamp
            self._lag_s = max(0.0, (batch.cursor.at - newest).total_seconds())

    def line(self, width: int) -> str:
        """The sum in words; with few columns in short numbers."""
        now = monotonic()
        while self._arrivals and now - self._arrivals[0][0] > _RATE_S:
            self._arrivals.popleft()
        wide = width >= 104
        number = "{:,}".format if wide else short
        text = f"{number(self.received)} received = {number(self.shown)} shown"
        text += f" + {number(self.filtered)} filtered + {number(self.sampled)} sampled"
        spent = now - self._since
        if spent >= 1:
            text += f"   {number(round(sum(n for _, n in self._arrivals) / min(spent, _RATE_S)))} rows/s"
        if self._lag_s is not None:
            text += f"   lag {self._lag_s:.1f} s"
        return text + f"   cursor {now - self._polled:.0f} s old"


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
        text = "" if self._account is None else self._account.line(self.screen.size.width)
        if text != self._told:
            self._told = text
            self.update(text, layout=False)

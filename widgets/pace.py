"""When a picture that changes all the time may be painted again: no faster than the eye reads and the link carries."""

from collections.abc import Callable
from time import monotonic

_AHEAD = 2  # frames that may be on their way: with one, a link of 150 ms would halve the rate for nothing
_PATIENCE_S = 3.0  # then a reply is taken as lost


class Pace:
    """Each painted line is paid for with time: one line is soon followed by the next, a whole screen of 36 lines
    after half a second. That is 2 frames a second of some 6 KB, however many rows come.

    Where the terminal is asked after each frame whether it has arrived, no more than two are on their way. A
    terminal that never replies is not asked any more.
    """

    def __init__(
        self,
        frames_per_second: float = 10,
        lines_per_second: float = 72,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._least_s = 1 / frames_per_second
        self._line_s = 1 / lines_per_second
        self._clock = clock
        self._free_at = float("-inf")
        self._silent_since = float("-inf")
        self._unanswered = 0
        self._heard = False
        self.asks = True
        """Whether a reply is to be asked for after the next frame."""

    @property
    def wait(self) -> float:
        """Seconds until the next frame may be painted."""
        until = self._free_at
        if self._unanswered >= _AHEAD:
            until = max(until, self._silent_since + _PATIENCE_S)
        return max(0.0, until - self._clock())

    def painted(self, lines: int) -> None:
        """A frame was painted, so many lines of it; maybe earlier than it might have been, for a key."""
        now = self._clock()
        self._free_at = max(self._free_at, now + max(self._least_s, lines * self._line_s))
        if self._unanswered >= _AHEAD and now >= self._silent_since + _PATIENCE_S:
            self._unanswered = 0
            self.asks = self._heard

    def asked(self) -> None:
        """The terminal was asked to reply when the frame has arrived."""
        if not self._unanswered:
            self._silent_since = self._clock()
        self._unanswered += 1

    def answered(self) -> None:
        """It replied; be it late, it is one that does."""
        self._silent_since = self._clock()
        self._unanswered = max(0, self._unanswered - 1)
        self._heard = self.asks = True

"""How often a node is asked, and when it is left alone for a while."""

import asyncio
import random
from collections.abc import Callable
from time import monotonic
from typing import Final

from db.chain.errors import RETRIED, ChainError, ErrorKind

_LONGEST_PAUSE_S: Final = 8.0


class Bucket:
    """Lets through `rate` requests a second, and a second's worth at once after a rest."""

    def __init__(self, rate: float, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._most = max(1.0, rate)
        self._tokens = self._most
        self._at = clock()

    async def take(self) -> None:
        """Waits for its turn; who came first goes first."""
        now = self._clock()
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate) - 1
        self._at = now
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._rate)


class Breaker:
    """Stops asking for `rest_s` after `failures` attempts in a row without an answer; then lets one through."""

    def __init__(self, failures: int, rest_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._allowed = failures
        self._rest_s = rest_s
        self._clock = clock
        self._failed = 0
        self._until: float | None = None
        self.error: ChainError | None = None  # the last one; None after an answer

    @property
    def opens_in_s(self) -> float | None:
        """Seconds until the node is asked again; None while it is asked."""
        return None if self._until is None else max(0.0, self._until - self._clock())

    def check(self) -> None:
        """Raises ChainError while the node is to be left alone."""
        if self._until is None or self.error is None:
            return
        left = self._until - self._clock()
        if left > 0:
            raise ChainError(
                ErrorKind.PAUSED, f"not asked for {left:.0f} s more, after {self._failed} failures: {self.error}"
            )
        self._until = self._clock() + self._rest_s  # this one tries; the others go on waiting

    def answered(self) -> None:
        """It answered, be it with a refusal."""
        self._failed, self._until, self.error = 0, None, None

    def failed(self, error: ChainError) -> None:
        """It did not answer."""
        self.error = error
        self._failed += 1
        if self._failed >= self._allowed:
            self._until = self._clock() + self._rest_s

    def note(self, error: ChainError) -> None:
        """Counts an error as what it says about the node."""
        if error.kind in RETRIED or error.kind in (ErrorKind.NOT_LET_IN, ErrorKind.WRONG_CHAIN):
            self.failed(error)
        else:
            self.answered()


def pause_s(attempt: int, first_s: float) -> float:
    """Seconds to wait behind that attempt (from 0): doubling, half to one and a half of it, so that consoles that
    failed together do not come back together."""
    return min(_LONGEST_PAUSE_S, first_s * 2**attempt) * random.uniform(0.5, 1.5)

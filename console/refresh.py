"""Loads again and again: when a time has passed, when something changed, when a failure may be over."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

from console.failures import Failure, word
from db.errors import DatabaseError, TimedOut

Snapshot = TypeVar("Snapshot")

_PAUSES_S = (1.0, 2.0, 3.0, 5.0, 8.0, 10.0)


class Refresh(Generic[Snapshot]):
    """One load at a time. Hints during a load count as one; a slow load makes the next one come later.

    `period` is seconds between loads, None for only on hints; the pause is at least `breather` times as long as
    the load took. `show` gets each snapshot, `fail` each failure.
    """

    def __init__(
        self,
        load: Callable[[], Awaitable[Snapshot]],
        show: Callable[[Snapshot], None],
        fail: Callable[[Failure], None],
        period: float | None,
        breather: float = 4.0,
    ) -> None:
        self._load = load
        self._show = show
        self._fail = fail
        self._period = period
        self._breather = breather
        self._woken = asyncio.Event()
        self._active = asyncio.Event()
        self._active.set()

    def wake(self) -> None:
        """Load as soon as possible."""
        self._woken.set()

    def pause(self) -> None:
        """No loads until resume(): nobody looks."""
        self._active.clear()

    def resume(self) -> None:
        """Loads at once, then as before."""
        self._active.set()
        self._woken.set()

    async def run(self) -> None:
        """Runs until cancelled."""
        failed = 0
        while True:
            await self._active.wait()
            self._woken.clear()
            started = monotonic()
            try:
                snapshot = await self._load()
            except DatabaseError as error:
                self._fail(word(error))
                pause: float | None = _PAUSES_S[min(failed, len(_PAUSES_S) - 1)]
                if isinstance(error, TimedOut):  # it kept the database busy all the while
                    pause = max(pause, self._breather * (monotonic() - started))
                failed += 1
            else:
                failed = 0
                self._show(snapshot)
                # A load that takes long must not keep the database busy.
                pause = self._period and max(self._period, self._breather * (monotonic() - started))
            try:
                await asyncio.wait_for(self._woken.wait(), pause)
            except TimeoutError:
                pass

"""Loading again and again: one at a time, later after failures, at once after a hint, never while nobody looks."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from console.failures import Failure
from console.refresh import Refresh
from db.errors import DatabaseError, TimedOut, Unavailable


class Loads:
    """Counts loads; each ends when it is let go, or fails while `down`."""

    def __init__(self) -> None:
        self.begun = 0
        self.began_at: list[float] = []
        self.at_once = 0
        self.most_at_once = 0
        self.shown: list[int] = []
        self.failed: list[tuple[float, str]] = []
        self.down = False
        self.reason: DatabaseError = Unavailable("nobody there")
        self.go = asyncio.Event()
        self.go.set()

    async def load(self) -> int:
        self.begun += 1
        self.began_at.append(monotonic())
        number = self.begun
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await self.go.wait()
            if self.down:
                raise self.reason
            return number
        finally:
            self.at_once -= 1

    def fail(self, failure: Failure) -> None:
        self.failed.append((monotonic(), failure.sentence))


@asynccontextmanager
async def running(loads: Loads, period: float | None, breather: float = 4.0) -> AsyncGenerator[Refresh[int]]:
    refresh = Refresh(loads.load, loads.shown.append, loads.fail, period, breather)
    task = asyncio.create_task(refresh.run())
    try:
        yield refresh
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object], wait_s: float = 5.0) -> None:
    deadline = monotonic() + wait_s
    while not condition():
        assert monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_it_loads_at_once_and_then_at_every_period() -> None:
    loads = Loads()
    async with running(loads, 0.02):
        await until(lambda: loads.shown[:3] == [1, 2, 3])


async def test_without_a_period_only_a_hint_makes_it_load_again() -> None:
    loads = Loads()
    async with running(loads, None) as refresh:
        await until(lambda: loads.shown == [1])
        await asyncio.sleep(0.1)
        assert loads.shown == [1]
        refresh.wake()
        await until(lambda: loads.shown == [1, 2])


async def test_hints_during_a_load_count_as_one_and_no_two_loads_run_at_a_time() -> None:
    loads = Loads()
    loads.go.clear()
    async with running(loads, None) as refresh:
        await until(lambda: loads.begun == 1)
        for _ in range(5):
            refresh.wake()
            await asyncio.sleep(0.005)
        assert loads.begun == 1
        loads.go.set()
        await until(lambda: loads.shown == [1, 2])
        await asyncio.sleep(0.1)
    assert loads.begun == 2
    assert loads.most_at_once == 1


async def test_a_slow_load_makes_the_next_one_wait_in_proportion() -> None:
    loads = Loads()
    loads.go.clear()
    async with running(loads, 0.001, breather=1.0):
        await until(lambda: loads.begun == 1)
        await asyncio.sleep(0.1)
        loads.go.set()
        await until(lambda: loads.begun >= 2)
    assert loads.began_at[1] - loads.began_at[0] >= 0.19


async def test_a_question_that_took_too_long_waits_in_proportion_before_it_is_asked_again() -> None:
    loads = Loads()
    loads.down, loads.reason = True, TimedOut("too long")
    loads.go.clear()
    async with running(loads, 0.001, breather=4.0):
        await until(lambda: loads.begun == 1)
        await asyncio.sleep(0.4)
        loads.go.set()
        await until(lambda: loads.begun >= 2)
    assert loads.began_at[1] - loads.began_at[0] >= 0.4 + 1.6


async def test_a_failure_is_told_and_tried_again_later_and_a_hint_shortens_the_wait() -> None:
    loads = Loads()
    loads.down = True
    async with running(loads, 0.01) as refresh:
        await until(lambda: len(loads.failed) == 2)
        (first, sentence), (second, _) = loads.failed
        assert sentence == "the database does not answer: nobody there"
        assert second - first >= 0.95  # a second, whatever the period
        assert loads.shown == []
        loads.down = False
        refresh.wake()
        await until(lambda: loads.shown, wait_s=0.5)


async def test_it_backs_off_further_with_every_failure_and_a_success_forgets_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads = Loads()
    loads.down = True
    pauses: list[float | None] = []

    async def no_pause(waiting: Coroutine[None, None, bool], timeout: float | None) -> None:  # noqa: ASYNC109
        waiting.close()
        pauses.append(timeout)
        loads.down = len(pauses) != 8
        await asyncio.sleep(0)

    monkeypatch.setattr("console.refresh.asyncio.wait_for", no_pause)
    async with running(loads, 0.5):
        await until(lambda: len(pauses) >= 11)
    assert pauses[:8] == [1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 10.0, 10.0]
    assert pauses[8:11] == [0.5, 1.0, 2.0]


async def test_while_nobody_looks_nothing_is_loaded_and_then_at_once() -> None:
    loads = Loads()
    async with running(loads, 0.01) as refresh:
        await until(lambda: loads.shown)
        refresh.pause()
        refresh.wake()
        await asyncio.sleep(0.05)
        before = loads.begun
        await asyncio.sleep(0.1)
        assert loads.begun == before
        refresh.resume()
        await until(lambda: loads.begun > before)

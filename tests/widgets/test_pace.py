"""The pace alone, on a clock of its own; then a log that keeps it, by what reaches the terminal."""

import re
from collections.abc import Iterable
from itertools import count
from time import monotonic
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from tests.recorder import recorder
from widgets.pace import Pace
from widgets.ring_log import RingLog
from widgets.ring_pane import RingPane
from widgets.tone import Spans, Tone

HEIGHT = 10
_LINE = re.compile(r"\x1b\[(\d+);(\d+)H([^\x1b\r\n]*)")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(frames_per_second=10, lines_per_second=80, clock=clock)


def send(pace: Pace, lines: int) -> None:
    pace.painted(lines)
    pace.asked()


def test_the_first_frame_and_one_after_a_quiet_time_come_at_once(pace: Pace, clock: Clock) -> None:
    assert pace.wait == 0
    pace.painted(36)
    clock.now += 60
    assert pace.wait == 0


@pytest.mark.parametrize(("lines", "seconds"), [(1, 0.1), (8, 0.1), (36, 0.45), (80, 1.0)])
def test_a_frame_is_paid_for_with_time(pace: Pace, clock: Clock, lines: int, seconds: float) -> None:
    pace.painted(lines)
    assert pace.wait == pytest.approx(seconds)
    clock.now += seconds / 2
    assert pace.wait == pytest.approx(seconds / 2)


def test_two_frames_may_be_on_their_way_and_the_third_waits_for_a_reply(pace: Pace, clock: Clock) -> None:
    send(pace, 36)
    clock.now += 0.5
    assert pace.wait == 0
    send(pace, 36)
    clock.now += 0.5
    assert pace.wait == pytest.approx(2.0)
    pace.answered()
    assert pace.wait == 0


def test_each_reply_gives_the_next_one_its_time(pace: Pace, clock: Clock) -> None:
    send(pace, 36)
    clock.now += 2.5
    send(pace, 36)
    pace.answered()
    send(pace, 36)
    assert pace.wait == pytest.approx(3.0)


def test_what_a_key_painted_is_paid_for_too_and_makes_nothing_come_sooner(pace: Pace, clock: Clock) -> None:
    pace.painted(36)
    clock.now += 0.1
    pace.painted(1)
    assert pace.wait == pytest.approx(0.35)
    pace.painted(36)
    assert pace.wait == pytest.approx(0.45)


def test_keys_of_a_terminal_that_does_not_reply_do_not_end_the_wait(pace: Pace, clock: Clock) -> None:
    send(pace, 36)
    send(pace, 36)
    clock.now += 1.0
    send(pace, 1)
    assert pace.asks
    assert pace.wait == pytest.approx(2.0)


def test_a_reply_does_not_make_frames_come_faster(pace: Pace) -> None:
    send(pace, 36)
    send(pace, 36)
    pace.answered()
    pace.answered()
    assert pace.wait == pytest.approx(0.45)


def test_a_terminal_that_never_replies_is_waited_for_once(pace: Pace, clock: Clock) -> None:
    send(pace, 36)
    send(pace, 36)
    clock.now += 3.0
    assert pace.wait == 0
    assert pace.asks
    pace.painted(36)
    assert not pace.asks
    for _ in range(5):
        assert pace.wait == pytest.approx(0.45)
        clock.now += 0.45
        pace.painted(36)


def test_a_terminal_that_replied_before_is_asked_again_after_a_silence(pace: Pace, clock: Clock) -> None:
    send(pace, 36)
    pace.answered()
    for _ in range(2):
        send(pace, 36)
        send(pace, 36)
        clock.now += 2.9
        assert pace.wait == pytest.approx(0.1)
        clock.now += 0.1
        assert pace.wait == 0
        pace.painted(36)
        assert pace.asks


def test_a_first_reply_that_comes_late_counts(pace: Pace, clock: Clock) -> None:
    send(pace, 36)
    send(pace, 36)
    clock.now += 3.0
    pace.painted(36)
    pace.answered()
    assert pace.asks
    send(pace, 36)
    send(pace, 36)
    assert pace.wait == pytest.approx(3.0)


class LogApp(App[None]):
    """Its rows are numbers from 100 on. Its terminal replies at once, or never."""

    def __init__(self, pace: Pace, *, replies: bool = True) -> None:
        driver = recorder()
        super().__init__(driver_class=driver)
        self.written = driver.written
        self.replies = replies
        self.log_view: RingLog[int] = RingLog(self.write, pace=pace)
        self.frames = 0
        self._numbers = count(100)

    def compose(self) -> ComposeResult:
        yield self.log_view

    def on_mount(self) -> None:
        self.log_view.focus()

    def on_ring_pane_painted(self, event: RingPane.Painted) -> None:
        self.frames += 1
        event.pane.asked()
        if self.replies:
            event.pane.answered()

    def write(self, row: int, _width: int) -> Spans:
        return [(f"row {row}", Tone.PLAIN)]

    def feed(self, rows: int) -> None:
        self.log_view.extend([next(self._numbers) for _ in range(rows)])


def running(app: LogApp) -> Any:
    return app.run_test(headless=False, size=(60, HEIGHT))


def lines(written: Iterable[str]) -> list[tuple[int, str]]:
    """The texts written to places of the screen, by line, without the scrollbar's column."""
    found = _LINE.findall(re.sub(r"\x1b\[[\d;]*m", "", "".join(written)))
    return [(int(line), text) for line, column, text in found if column == "1" and text]


async def feed_for(app: LogApp, pilot: Pilot[None], seconds: float, rows: int = 50) -> None:
    end = monotonic() + seconds
    while monotonic() < end:
        app.feed(rows)
        await pilot.pause(0.02)


async def test_whole_screens_are_painted_as_often_as_their_lines_allow() -> None:
    app = LogApp(Pace(lines_per_second=25))  # ten lines: every 0.4 s
    async with running(app) as pilot:
        await feed_for(app, pilot, 1.0)
        assert 2 <= app.frames <= 4


async def test_a_row_after_a_quiet_time_is_painted_at_once() -> None:
    app = LogApp(Pace(lines_per_second=20))
    async with running(app) as pilot:
        app.feed(30)
        await pilot.pause(0.6)
        app.written.clear()
        app.feed(1)
        await pilot.pause(0.1)
        assert (HEIGHT, "›row 130") in lines(app.written)


async def test_nothing_is_written_and_nothing_asked_while_nothing_changes() -> None:
    app = LogApp(Pace())
    async with running(app) as pilot:
        app.feed(30)
        await pilot.pause(0.4)
        app.written.clear()
        app.log_view.extend([])
        await pilot.pause(0.5)
        assert app.written == []


async def test_a_log_waits_for_the_terminal_and_goes_on_with_its_reply() -> None:
    app = LogApp(Pace(lines_per_second=1000), replies=False)
    async with running(app) as pilot:
        await feed_for(app, pilot, 0.8)
        assert app.frames == 2
        app.written.clear()
        await feed_for(app, pilot, 0.3)
        assert lines(app.written) == []
        app.log_view.answered()
        await pilot.pause(0.15)
        assert app.frames == 3
        assert "".join(app.written).count("row ") == HEIGHT


@pytest.mark.parametrize(("key", "sign"), [("up", "end follows"), ("pageup", "end follows"), ("home", "›row 100")])
async def test_a_key_shows_at_once_while_the_log_waits_for_the_terminal(key: str, sign: str) -> None:
    app = LogApp(Pace(lines_per_second=1000), replies=False)
    async with running(app) as pilot:
        await feed_for(app, pilot, 0.5)
        app.written.clear()
        await pilot.press(key)
        await pilot.pause(0.1)
        assert sign in "".join(app.written)
        app.written.clear()
        await pilot.press("end")
        await pilot.pause(0.1)
        assert "".join(app.written).count("row ") >= HEIGHT - 1


async def test_only_lines_that_changed_are_written_and_no_blank_ends() -> None:
    app = LogApp(Pace(lines_per_second=1000))
    async with running(app) as pilot:
        app.feed(30)
        await pilot.pause(0.3)
        app.written.clear()
        await pilot.press("up", "up")
        await pilot.pause(0.1)
        assert {line for line, _ in lines(app.written)} == {HEIGHT - 2, HEIGHT - 1, HEIGHT}
        app.written.clear()
        await pilot.press("end")
        app.feed(1)
        await pilot.pause(0.3)
        last = dict(lines(app.written))
        assert last[1] == " row 121"
        assert last[HEIGHT] == "›row 130"


class LongAndShortApp(LogApp):
    def write(self, row: int, _width: int) -> Spans:
        return [("long " * (row % 2 + 1), Tone.PLAIN)]


async def test_a_shorter_line_leaves_nothing_of_a_longer_one() -> None:
    app = LongAndShortApp(Pace(lines_per_second=1000))
    async with running(app) as pilot:
        app.log_view.extend([1])
        await pilot.pause(0.2)
        app.written.clear()
        app.log_view.clear()
        app.log_view.extend([2])
        await pilot.pause(0.3)
        assert lines(app.written)[-1] == (1, "›long" + " " * len(" long"))

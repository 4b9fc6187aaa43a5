"""Rows are numbers, shown as "row 7"; what the log says and shows is read from its messages and painted lines."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot
from textual.strip import Strip

from widgets.pace import Pace
from widgets.ring_log import RingLog
from widgets.tone import Spans, Tone

HEIGHT = 10


class CountedLog(RingLog[int]):
    """Counts the lines that were really painted."""

    painted = 0

    def render_line(self, y: int) -> Strip:
        self.painted += 1
        return super().render_line(y)


class LogApp(App[None]):
    def __init__(self, capacity: int = 1000, frames_per_second: float = 200) -> None:
        super().__init__()
        self.heard: list[Message] = []
        self.formatted: list[int] = []
        self.log_view = CountedLog(self.write, capacity, Pace(frames_per_second, lines_per_second=1e9))

    def write(self, row: int, width: int) -> Spans:
        self.formatted.append(row)
        return [(f"row {row}", Tone.PLAIN)]

    def compose(self) -> ComposeResult:
        yield self.log_view

    def on_mount(self) -> None:
        self.log_view.focus()

    def on_ring_log_opened(self, message: RingLog.Opened[int]) -> None:
        self.heard.append(message)

    def on_ring_log_resumed(self, message: RingLog.Resumed) -> None:
        self.heard.append(message)

    def on_ring_log_follow_changed(self, message: RingLog.FollowChanged) -> None:
        self.heard.append(message)

    def on_ring_log_top_reached(self, message: RingLog.TopReached) -> None:
        self.heard.append(message)

    def on_ring_log_end_reached(self, message: RingLog.EndReached) -> None:
        self.heard.append(message)

    def said(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]


def seen(log: RingLog[int]) -> list[str]:
    return [log.render_line(y).text.rstrip() for y in range(log.size.height)]


def names(first: int, end: int) -> list[str]:
    return [f" row {n}" for n in range(first, end)]


async def frame(pilot: Pilot[None]) -> None:
    await pilot.pause(0.03)


def running(app: LogApp, size: tuple[int, int] = (60, HEIGHT)) -> Any:
    return app.run_test(size=size)


async def test_follows_the_newest_rows() -> None:
    app = LogApp()
    async with running(app) as pilot:
        app.log_view.extend(range(30))
        await frame(pilot)
        assert seen(app.log_view)[:-1] == names(20, 29)
        assert seen(app.log_view)[-1] == "›row 29"
        app.log_view.extend(range(30, 100))
        await frame(pilot)
        assert seen(app.log_view)[:-1] == names(90, 99)
        assert app.log_view.visible_rows == tuple(range(90, 100))
        assert app.log_view.rows == tuple(range(100))


async def test_rows_given_before_the_mount_are_shown() -> None:
    app = LogApp()
    app.log_view.extend(range(3))
    async with running(app) as pilot:
        await frame(pilot)
        assert seen(app.log_view)[:3] == [" row 0", " row 1", "›row 2"]


@pytest.mark.parametrize("key", ["up", "k", "pageup", "home", "g"])
async def test_going_up_pauses_and_rows_that_arrive_move_nothing(key: str) -> None:
    app = LogApp(capacity=5000)
    async with running(app) as pilot:
        app.log_view.extend(range(100))
        await frame(pilot)
        await pilot.press(key)
        still = seen(app.log_view)
        assert not app.log_view.following
        assert "paused · end follows" in still[-1]
        app.log_view.extend(range(100, 1300))
        await frame(pilot)
        now = seen(app.log_view)
        assert app.log_view.behind == 1200
        assert now[-1].endswith("+1,200 new · end follows")
        assert now[:-1] == still[:-1]
        await pilot.press("end")
        await frame(pilot)
        assert seen(app.log_view)[-1] == "›row 1299"
        assert app.log_view.behind == 0
        assert [message.following for message in app.said(RingLog.FollowChanged)] == [False, True]
        assert [message.reload for message in app.said(RingLog.Resumed)] == [False]


async def test_rows_not_yet_painted_when_the_reader_pauses_count_as_new() -> None:
    app = LogApp(frames_per_second=0.2)
    async with running(app) as pilot:
        app.log_view.extend(range(50))
        await pilot.pause(0.1)
        app.log_view.extend(range(50, 57))
        await pilot.press("up")
        assert app.log_view.behind == 7
        assert app.log_view.cursor_row == 48
        assert seen(app.log_view)[-2] == "›row 48"


@pytest.mark.parametrize("key", ["end", "G"])
async def test_end_follows_again_and_says_nothing_when_it_already_follows(key: str) -> None:
    app = LogApp()
    async with running(app) as pilot:
        app.log_view.extend(range(100))
        await frame(pilot)
        await pilot.press(key)
        assert app.heard == []
        await pilot.press("pageup", key)
        await frame(pilot)
        assert app.log_view.following
        assert len(app.said(RingLog.Resumed)) == 1


@pytest.mark.parametrize(
    "keys", [["up", "down"], ["k", "k", "j", "j"], ["pageup", "pagedown"], ["up"] * 15 + ["down"] * 15]
)
async def test_coming_down_to_the_newest_row_follows_again(keys: list[str]) -> None:
    app = LogApp()
    async with running(app) as pilot:
        app.log_view.extend(range(100))
        await frame(pilot)
        await pilot.press(*keys[:-1])
        assert not app.log_view.following
        await pilot.press(keys[-1])
        await frame(pilot)
        assert app.log_view.following
        assert seen(app.log_view)[-1] == "›row 99"


async def test_the_cursor_walks_and_opens_its_row() -> None:
    app = LogApp()
    async with running(app) as pilot:
        app.log_view.extend(range(100))
        await frame(pilot)
        await pilot.press("enter", "up", "up", "up", "down", "enter")
        assert [message.row for message in app.said(RingLog.Opened)] == [99, 97]
        assert seen(app.log_view)[7] == "›row 97"
        assert app.log_view.cursor_row == 97
        await pilot.press(*["up"] * 10)
        assert seen(app.log_view)[0] == "›row 87"


async def test_the_row_under_the_cursor_is_highlighted_only_while_paused() -> None:
    app = LogApp()
    async with running(app) as pilot:
        app.log_view.extend(range(100))
        await frame(pilot)
        plain = next(iter(app.log_view.render_line(0))).style
        assert next(iter(app.log_view.render_line(9))).style == plain
        await pilot.press("up")
        cursor = list(app.log_view.render_line(8))
        assert len(cursor) == 1
        assert cursor[0].style != plain


async def test_wheel_up_pauses_wheel_down_to_the_bottom_follows() -> None:
    app = LogApp()
    async with running(app) as pilot:
        log = app.log_view
        log.extend(range(100))
        await frame(pilot)
        await turn_wheel(pilot, events.MouseScrollUp)
        assert not log.following
        assert seen(log)[0] == " row 87"
        assert seen(log)[-1].startswith("›row 96")  # the cursor comes along, so that enter opens what is in view
        await turn_wheel(pilot, events.MouseScrollDown)
        await frame(pilot)
        assert log.following
        assert seen(log)[-1] == "›row 99"


async def test_the_scrollbar_pauses_and_follows_too() -> None:
    app = LogApp()
    async with running(app) as pilot:
        app.log_view.extend(range(100))
        await frame(pilot)
        await pilot.click(offset=(59, 0))  # on the bar, above its thumb
        assert not app.log_view.following
        assert seen(app.log_view)[0] == " row 80"
        await pilot.mouse_down(offset=(59, 8))
        await pilot.hover(offset=(59, 9))
        await pilot.mouse_up(offset=(59, 9))
        await frame(pilot)
        assert app.log_view.following


async def turn_wheel(pilot: Pilot[None], event: type[events.MouseScrollUp | events.MouseScrollDown]) -> None:
    make: Callable[..., events.MouseEvent] = event
    log = pilot.app.query_one(RingLog)
    log.post_message(
        make(
            widget=log,
            x=3,
            y=3,
            delta_x=0,
            delta_y=0,
            button=0,
            shift=False,
            meta=False,
            ctrl=False,
            screen_x=3,
            screen_y=3,
            style=None,
        )
    )
    await pilot.pause()


async def test_click_puts_the_cursor_there_and_a_double_click_opens() -> None:
    app = LogApp()
    async with running(app) as pilot:
        app.log_view.extend(range(100))
        await frame(pilot)
        await pilot.click(RingLog, offset=(5, 4))
        assert app.log_view.cursor_row == 94
        assert not app.log_view.following
        await pilot.click(RingLog, offset=(5, 2), times=2)
        assert [message.row for message in app.said(RingLog.Opened)] == [92]


async def test_paused_lines_stand_still_while_the_ring_forgets_old_rows() -> None:
    app = LogApp(capacity=100)
    async with running(app) as pilot:
        log = app.log_view
        log.extend(range(100))
        await frame(pilot)
        await pilot.press("pageup", "pageup")
        still = seen(log)
        assert still[0] == " row 72"
        log.extend(range(100, 150))
        await frame(pilot)
        assert seen(log)[:-1] == still[:-1]
        assert log.forgotten == 50
        assert log.rows[0] == 50
        log.extend(range(150, 200))  # now the lines in view go too
        await frame(pilot)
        assert seen(log)[0].startswith(" ── 100 older rows let go here; up reads them again ─")
        assert seen(log)[1] == "›row 100"
        assert log.cursor_row == 100


async def test_a_batch_larger_than_the_ring() -> None:
    app = LogApp(capacity=50)
    async with running(app) as pilot:
        app.log_view.extend(range(500))
        await frame(pilot)
        assert app.log_view.rows == tuple(range(450, 500))
        assert app.log_view.forgotten == 450
        assert seen(app.log_view)[0] == " row 490"


async def test_top_is_told_once_per_approach_and_older_rows_move_nothing() -> None:
    app = LogApp()
    async with running(app) as pilot:
        log = app.log_view
        log.extend(range(100, 130))
        await frame(pilot)
        await pilot.press("home", "up", "up")
        assert len(app.said(RingLog.TopReached)) == 1
        log.prepend(range(50, 100))
        await frame(pilot)
        assert seen(log)[0] == "›row 100"
        await pilot.press("up")
        assert seen(log)[0] == "›row 99"
        assert len(app.said(RingLog.TopReached)) == 1
        await pilot.press("home")
        assert len(app.said(RingLog.TopReached)) == 2
        await pilot.press("pagedown", "pageup")
        assert len(app.said(RingLog.TopReached)) == 3


async def test_history_beyond_capacity_forgets_the_newest_and_end_asks_for_a_reload() -> None:
    app = LogApp(capacity=100)
    async with running(app) as pilot:
        log = app.log_view
        log.extend(range(1000, 1100))
        await frame(pilot)
        await pilot.press("home")
        log.prepend(range(970, 1000))
        await frame(pilot)
        assert seen(log)[0] == "›row 1000"
        assert (log.rows[0], log.rows[-1], log.forgotten_newest) == (970, 1069, 30)
        log.extend(range(1100, 1105))  # must not follow row 1069 as if nothing were missing
        assert (log.rows[-1], log.forgotten_newest, log.behind) == (1069, 35, 5)
        await pilot.press("end")
        assert [message.reload for message in app.said(RingLog.Resumed)] == [True]
        assert not log.following
        assert seen(log)[0] == "›row 1000"
        log.clear()
        log.extend(range(1095, 1105))
        await frame(pilot)
        assert log.following
        assert (log.forgotten, log.forgotten_newest, log.behind) == (0, 0, 0)
        assert seen(log)[-1] == "›row 1104"
        assert [message.following for message in app.said(RingLog.FollowChanged)] == [False, True]


async def test_scrolling_against_a_forgotten_end_asks_for_one_reload() -> None:
    app = LogApp(capacity=20)
    async with running(app) as pilot:
        app.log_view.extend(range(100, 120))
        await frame(pilot)
        await pilot.press("home")
        app.log_view.prepend(range(95, 100))
        await frame(pilot)
        await pilot.press(*["pagedown"] * 5)
        assert [message.reload for message in app.said(RingLog.Resumed)] == [True]
        await pilot.press("end")  # asked again in so many words, for a reload that failed
        assert len(app.said(RingLog.Resumed)) == 2


async def test_history_given_to_a_following_log_never_costs_it_the_newest_rows() -> None:
    app = LogApp(capacity=20)
    async with running(app) as pilot:
        app.log_view.extend(range(100, 115))
        app.log_view.prepend(range(80, 100))
        await frame(pilot)
        assert app.log_view.rows == tuple(range(95, 115))
        assert app.log_view.forgotten_newest == 0
        assert seen(app.log_view)[-1] == "›row 114"


async def test_notes_are_lines_but_not_rows() -> None:
    app = LogApp()
    async with running(app) as pilot:
        log = app.log_view
        log.extend([1])
        log.note("── 12 rows forgotten\x1b[2J ──")
        log.extend([2])
        log.prepend_note("── begins here ──")
        await frame(pilot)
        lines = seen(log)
        assert lines[0].startswith(" ── begins here ──")
        assert lines[1] == " row 1"
        assert lines[2].startswith(" ── 12 rows forgotten·[2J ───")
        assert lines[2].endswith("─")
        assert log.rows == (1, 2)
        await pilot.press("up", "enter")
        assert log.cursor_row is None
        assert app.said(RingLog.Opened) == []
        await pilot.press("up", "enter")
        assert [message.row for message in app.said(RingLog.Opened)] == [1]


async def test_only_rows_count_as_forgotten() -> None:
    app = LogApp(capacity=10)
    async with running(app) as pilot:
        app.log_view.note("a")
        app.log_view.extend(range(5))
        app.log_view.note("b")
        app.log_view.extend(range(5, 10))
        await frame(pilot)
        assert app.log_view.forgotten == 1
        assert app.log_view.rows == tuple(range(1, 10))


async def test_nothing_is_painted_while_nothing_changes() -> None:
    app = LogApp()
    async with running(app) as pilot:
        app.log_view.extend(range(100))
        await frame(pilot)
        before = app.log_view.painted
        await pilot.pause(0.1)
        assert app.log_view.painted == before


async def test_at_most_one_repaint_per_frame() -> None:
    app = LogApp(frames_per_second=10)
    async with running(app) as pilot:
        app.log_view.extend(range(100))
        await pilot.pause(0.15)
        before = app.log_view.painted
        began = perf_counter()
        for n in range(20):
            app.log_view.extend(range(n * 100, n * 100 + 100))
            await pilot.pause(0.01)
        frames = (app.log_view.painted - before) / HEIGHT
        assert 1 <= frames <= (perf_counter() - began) * 10 + 1


async def test_while_paused_only_the_line_with_the_count_is_painted() -> None:
    app = LogApp()
    async with running(app) as pilot:
        app.log_view.extend(range(100))
        await frame(pilot)
        await pilot.press("up")
        await pilot.pause()
        before = app.log_view.painted
        app.log_view.extend(range(100))
        await frame(pilot)
        assert app.log_view.painted - before == 1


async def test_only_visible_rows_are_formatted_and_each_once() -> None:
    app = LogApp()
    async with running(app) as pilot:
        app.log_view.extend(range(1000))
        await frame(pilot)
        await pilot.press("up", "up", "up")
        await frame(pilot)
        assert sorted(app.formatted) == list(range(990, 1000))


class HostileApp(LogApp):
    def write(self, row: int, width: int) -> Spans:
        return [("\x1b[31m日本語" * 9, Tone.BAD)]


async def test_hostile_text_is_harmless_and_long_text_is_cropped() -> None:
    app = HostileApp()
    async with running(app, (20, 5)) as pilot:
        app.log_view.extend([1])
        await frame(pilot)
        strip = app.log_view.render_line(0)
        assert strip.cell_length == 19  # one for the scrollbar
        assert "\x1b" not in strip.text
        assert "·[31m日" in strip.text


@pytest.mark.parametrize("size", [(80, 24), (20, 3), (5, 2), (1, 1)])
async def test_every_size_works_paused_and_following(size: tuple[int, int]) -> None:
    app = LogApp()
    async with running(app) as pilot:
        app.log_view.extend(range(100))
        await frame(pilot)
        await pilot.resize_terminal(*size)
        assert seen(app.log_view)[-1][:1] == ("›" if size[0] > 1 else "")  # one cell is the scrollbar's
        assert len(seen(app.log_view)) == size[1]
        await pilot.press("up", "pageup", "down", "home")
        app.log_view.extend(range(100, 105))
        await frame(pilot)
        await pilot.resize_terminal(60, HEIGHT)
        assert seen(app.log_view)[0] == "›row 0"
        assert app.log_view.behind == 5


async def test_a_resize_keeps_a_paused_log_paused_and_its_cursor_in_view() -> None:
    app = LogApp()
    async with running(app) as pilot:
        app.log_view.extend(range(100))
        await frame(pilot)
        await pilot.press("up")
        await pilot.resize_terminal(60, 4)
        assert "›row 98" in [line[:7] for line in seen(app.log_view)]
        await pilot.resize_terminal(60, 40)
        assert "›row 98" in seen(app.log_view)
        assert not app.log_view.following


async def test_a_batch_costs_under_a_millisecond() -> None:
    app = LogApp(capacity=50_000)
    async with running(app, (120, 40)) as pilot:
        batch = list(range(2500))
        for _ in range(21):
            app.log_view.extend(batch)
        await frame(pilot)
        best = 1.0
        for _ in range(20):
            began = perf_counter()
            app.log_view.extend(batch)
            best = min(best, perf_counter() - began)
        assert app.log_view.forgotten > 50_000  # the ring was full, so forgetting is in the time
        assert best < 0.001


async def test_the_past_is_opened_at_a_row_and_following_again_asks_for_a_reload() -> None:
    app = LogApp(capacity=100)
    async with running(app) as pilot:
        log = app.log_view
        log.extend(range(1000, 1020))
        await frame(pilot)
        log.open_at(range(30), range(30, 60))
        await frame(pilot)
        assert log.cursor_row == 30
        assert "›row 30" in seen(log)
        assert (log.following, log.detached) == (False, True)
        await pilot.press("pagedown", "pagedown", "pagedown", "pagedown", "pagedown")
        assert len(app.said(RingLog.EndReached)) == 1
        log.extend(range(60, 70))
        await pilot.press("pagedown", "pagedown")
        assert log.cursor_row == 69
        assert (log.behind, len(app.said(RingLog.EndReached))) == (0, 2)
        await pilot.press("end")
        assert app.said(RingLog.Resumed)[-1].reload


async def test_seeking_goes_to_the_next_row_that_meets_the_question() -> None:
    app = LogApp(capacity=100)
    async with running(app) as pilot:
        log = app.log_view
        log.extend(range(50))
        await frame(pilot)
        assert log.seek(lambda row: row % 10 == 0, forward=False)
        assert (log.cursor_row, log.following) == (40, False)
        assert log.seek(lambda row: row % 10 == 0, forward=False)
        assert log.cursor_row == 30
        assert log.seek(lambda row: row % 7 == 0, forward=True)
        assert log.cursor_row == 35
        assert not log.seek(lambda row: row > 1000, forward=True)
        assert log.cursor_row == 35


async def test_marks_are_set_found_again_and_forgotten_with_their_rows() -> None:
    app = LogApp(capacity=30)
    async with running(app) as pilot:
        log = app.log_view
        log.extend(range(20))
        await frame(pilot)
        await pilot.press("up", "space", "up", "up", "up", "space", "up", "m")
        assert log.cursor_row == 15
        await pilot.press("m")
        assert (log.cursor_row, log.marked_rows) == (18, (15, 18))
        await pilot.press("m", "M")
        assert log.cursor_row == 15
        assert "●row 18" in seen(log)
        await pilot.press("space")
        assert log.marked_rows == (18,)
        log.extend(range(20, 60))
        await frame(pilot)
        assert log.marked_rows == ()

"""A log that follows thousands of rows a second, and stands still while somebody reads it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from textual.binding import Binding, BindingType
from textual.geometry import clamp
from textual.message import Message

from widgets.pace import Pace
from widgets.ring import Note, Ring
from widgets.ring_marks import RingMarks
from widgets.ring_pane import RingPane
from widgets.tone import Spans

Row = TypeVar("Row")
Item = TypeVar("Item")


class RingLog(RingPane[Row]):
    """The newest rows at the bottom, at most `capacity` of them, painted at a `pace`.

    `format_row(row, width)` is asked for visible rows only and answers with spans of text; what exceeds `width`
    cells is cropped and control characters become "·". All methods belong to the event loop's thread.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="log.up", tooltip="Pause and go to the row above"),
        Binding("down,j", "move(1)", "Down", show=False, id="log.down", tooltip="Go to the row below"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="log.page_up", tooltip="Pause and go back a page"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="log.page_down", tooltip="Go on a page"),
        Binding("home,g", "oldest", "Oldest", show=False, id="log.oldest", tooltip="Pause at the oldest row held"),
        Binding("end,G,shift+g", "follow", "Follow", id="log.follow", tooltip="Follow the newest rows again"),
        Binding("enter", "open", "Open", id="log.open", tooltip="Open the row under the cursor"),
        Binding("space", "mark", "Mark", show=False, id="log.mark", tooltip="Mark this row, or take the mark away"),
        Binding(
            "ctrl+at,ctrl+space",
            "mark_range",
            "Mark range",
            show=False,
            id="log.mark_range",
            tooltip="Mark all rows from the nearest mark to this one",
        ),
        Binding("ctrl+backslash", "unmark", "Unmark", show=False, id="log.unmark", tooltip="Take all marks off"),
        Binding("m", "to_mark(1)", "Next mark", show=False, id="log.next_mark", tooltip="Go to the next marked row"),
        Binding(
            "M,shift+m",
            "to_mark(-1)",
            "Mark before",
            show=False,
            id="log.mark_before",
            tooltip="Go to the marked row before",
        ),
    ]

    @dataclass
    class FollowChanged(Message):
        following: bool

    @dataclass
    class Resumed(Message):
        """Posted when the reader wants the newest rows. With `reload` they are no longer held and the log
        still stands where it was: the owner calls `clear()` and starts its tail again."""

        reload: bool

    @dataclass
    class Opened(Message, Generic[Item]):
        row: Item

    class EndReached(Message):
        """Posted once each time the reader of a detached log arrives at its newest line; answer with `extend`,
        or start the tail again when there is no more."""

    class TopReached(Message):
        """Posted once each time the reader arrives at the oldest line; answer with `prepend`, if there is more."""

    def __init__(
        self,
        format_row: Callable[[Row, int], Spans],
        capacity: int = 50_000,
        pace: Pace | None = None,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(format_row, capacity, pace or Pace(), id, classes)
        self._top_told = False
        self._end_told = False
        self._detached = False

    # What the owner says

    def extend(self, rows: Sequence[Row]) -> None:
        """Add newer rows, oldest first. Only stores them; the next frame paints."""
        if rows:
            self._behind += 0 if self.following or self._detached else len(rows)
            self._end_told = False
            self._ring.append(rows)
            self._wake()

    def open_at(self, older: Sequence[Row], newer: Sequence[Row]) -> None:
        """Show the past: forget everything, and stand still on the first of `newer`. The log is detached then: what
        comes by `extend` lies behind what is held, and following again asks the owner for a reload."""
        self.clear()
        self.pause()
        self._detached = True
        self._ring.append([*older, *newer])
        ring = self._ring
        self._cursor = clamp(ring.first + len(older), ring.first, max(ring.first, ring.end - 1))
        self._settle(self._cursor - self.view.height // 3)
        self._behind = 0
        self._repaint()

    def prepend(self, rows: Sequence[Row]) -> None:
        """Add older rows, oldest first; the lines in view stay. Beyond capacity a paused log forgets its newest
        rows, while a following log takes no more than fits."""
        self._prepend(rows)

    def note(self, text: str) -> None:
        """Add a marker line after the newest row."""
        self._ring.append([Note(text)])
        self._wake()

    def prepend_note(self, text: str) -> None:
        """Add a marker line before the oldest row, unless it stands there."""
        if self._ring.line(self._ring.first) != Note(text):
            self._prepend([Note(text)])

    def ask_again(self) -> None:
        """What was asked for at either end did not come: the reader's next step there asks once more."""
        self._top_told = self._end_told = False

    def clear(self) -> None:
        """Forget everything, the counters too, and follow."""
        self._ring = Ring(self._ring.capacity)
        self._strips.clear()
        self._marks = RingMarks(self._ring)
        self._behind = self._shown_end = 0
        self._top_told = self._end_told = self._detached = False
        self.following = True
        self._wake()

    def pause(self) -> None:
        """Stand still at what is on the screen."""
        self.following = False

    def resume(self) -> None:
        """Follow the newest rows again; posts `Resumed`. Does nothing while following."""
        if self.following:
            return
        gone = self._ring.forgotten_newest > 0 or self._detached
        if not gone:
            self.following = True
        self.post_message(self.Resumed(reload=gone))

    def seek(self, meets: Callable[[Row], bool], *, forward: bool) -> bool:
        """Go to the next row held, from the cursor on, that meets the question; False when there is none."""
        ring, number = self._ring, self._cursor_number
        numbers = range(number + 1, ring.end) if forward else range(number - 1, ring.first - 1, -1)
        found = next((n for n in numbers if not isinstance(line := ring.line(n), Note | None) and meets(line)), None)
        if found is not None:
            self.pause()
            self._aim(found, down=False)
        return found is not None

    # What the owner may ask

    @property
    def detached(self) -> bool:
        """Whether it shows the past, and not up to the present."""
        return self._detached

    # What the reader does

    def action_move(self, lines: int) -> None:
        self._aim(self._cursor_number + lines, down=lines > 0)

    def action_page(self, pages: int) -> None:
        step = pages * max(1, self.view.height - 1)
        self._go(self._top + step, self._cursor_number + step, down=pages > 0)

    def action_oldest(self) -> None:
        self._aim(self._ring.first, down=False)

    def action_follow(self) -> None:
        self.resume()

    def action_mark(self) -> None:
        if self.cursor_row is not None:
            number = self._cursor_number
            self.pause()
            self._marks.turn(number)
            self._repaint()

    def action_mark_range(self) -> None:
        at = self._cursor_number
        self.pause()
        self._marks.extend_to(at)
        self._repaint()

    def action_unmark(self) -> None:
        self._marks = RingMarks(self._ring)
        self._repaint()

    def action_to_mark(self, step: int) -> None:
        found = self._marks.next_to(self._cursor_number, newer=step > 0)
        if found is not None:
            self.pause()
            self._aim(found, down=False)

    def action_open(self) -> None:
        if (row := self.cursor_row) is not None:
            self.post_message(self.Opened(row))

    def scroll_asked(self, y: int) -> None:
        top, height = self._origin + y, self.view.height
        if y >= self.scroll_offset.y and top + height >= self._ring.end:
            self._go(top, self._ring.end, down=True)
        else:
            self._go(top, clamp(self._cursor_number, top, top + max(0, height - 1)), down=False)

    def line_clicked(self, y: int, twice: bool) -> None:
        if self._ring.line(self._top + y) is not None:
            self._go(self._top, self._top + y, down=False)
            if twice:
                self.action_open()

    def _aim(self, cursor: int, down: bool) -> None:
        self._go(clamp(self._top, cursor - max(0, self.view.height - 1), cursor), cursor, down)

    def _go(self, top: int, cursor: int, down: bool) -> None:
        """Every step of the reader: upwards it pauses, downwards to the newest line it resumes."""
        ring = self._ring
        if not ring.lines or (down and self.following):
            return
        self.pause()
        before = (self._top, self._cursor)
        self._cursor = clamp(cursor, ring.first, ring.end - 1)
        self._settle(top)
        stayed = before == (self._top, self._cursor)
        self._repaint()
        if down and self._cursor == ring.end - 1:
            # One wheel turn at the end must not ask the owner for a reload at each of its notches.
            if self._detached:
                self._tell_end()
            elif not (stayed and ring.forgotten_newest):
                self.resume()
        elif self._top > ring.first:
            self._top_told = False
        elif not down and not self._top_told:
            self._top_told = True
            self.post_message(self.TopReached())

    def _tell_end(self) -> None:
        if not self._end_told:
            self._end_told = True
            self.post_message(self.EndReached())

    def _prepend(self, lines: Sequence[Row | Note]) -> None:
        if lines:
            self._ring.prepend(lines, keep_newest=self.following)
            self._top_told = False
            self._wake()

    def watch_following(self, following: bool) -> None:
        self._behind = 0 if following else len(self._ring.rows(self._shown_end, self._ring.end))
        self._cursor = self._shown_end - 1
        self.post_message(self.FollowChanged(following))
        self._settle(self._top)
        self._repaint()

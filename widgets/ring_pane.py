"""The painting half of the log: a window over a ring, painted at a pace, and only the lines that changed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from rich.segment import Segment
from textual.cache import LRUCache
from textual.geometry import Region, clamp
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.timer import Timer

from widgets.line_view import LineView
from widgets.pace import Pace
from widgets.ring import Note, Ring
from widgets.ring_marks import RingMarks
from widgets.tone import Spans, Tone, inked

Row = TypeVar("Row")


class RingPane(LineView, Generic[Row]):
    """Shows the newest lines of a ring, or stands still at older ones."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"ring-pane--pill"}
    DEFAULT_CSS = "RingPane > .ring-pane--pill { text-style: bold reverse; }"

    following: reactive[bool] = reactive(True, init=False, repaint=False)
    """To watch. To change it call `pause()` or `resume()` of the log."""

    @dataclass
    class Painted(Message):
        """Posted behind each frame while the pane wants to know when the terminal has it. Who can ask the terminal
        calls `asked()` and, with the reply, `answered()`."""

        pane: "RingPane[Any]"

    def __init__(
        self,
        format_row: Callable[[Row, int], Spans],
        capacity: int,
        pace: Pace,
        id: str | None,  # noqa: A002
        classes: str | None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._format_row = format_row
        self._ring: Ring[Row] = Ring(capacity)
        self._pace = pace
        self._due: Timer | None = None
        self._origin = 0  # number of the line at the top of Textual's scroll space, as of the last frame
        self._shown_end = 0  # number after the last line of that scroll space
        self._cursor = 0
        self._behind = 0
        self._marks = RingMarks(self._ring)
        self._strips: LRUCache[int, Strip] = LRUCache(512)
        self._painted: dict[int, Strip] = {}  # by line of the view

    def asked(self) -> None:
        """The terminal was asked to reply when the frame has arrived there."""
        self._pace.asked()

    def answered(self) -> None:
        """The terminal replied."""
        self._pace.answered()
        if self._due is not None:
            self._due.stop()
            self._due = None
            self._wake()

    # What the owner may ask

    @property
    def marked_rows(self) -> tuple[Row, ...]:
        """The marked rows that are still held, oldest first."""
        return self._marks.rows

    @property
    def rows(self) -> tuple[Row, ...]:
        """A copy of all rows held, oldest first, without the notes."""
        return self._ring.rows(self._ring.first, self._ring.end)

    @property
    def visible_rows(self) -> tuple[Row, ...]:
        return self._ring.rows(self._top, self._top + self.view.height)

    @property
    def cursor_row(self) -> Row | None:
        """None on a note and in an empty log."""
        line = self._ring.line(self._cursor_number)
        return None if isinstance(line, Note) else line

    @property
    def behind(self) -> int:
        """Rows that arrived since the log was paused."""
        return self._behind

    @property
    def forgotten(self) -> int:
        """Rows dropped at the old end since the start or `clear()`; paging them in again does not lower it."""
        return self._ring.forgotten

    @property
    def forgotten_newest(self) -> int:
        """Rows missing at the new end: dropped for older ones, or arrived after that."""
        return self._ring.forgotten_newest

    # How it is painted

    def on_mount(self) -> None:
        self._wake()

    def on_resize(self) -> None:
        self._strips.clear()
        self._settle(clamp(self._top, self._cursor - max(0, self.view.height - 1), self._cursor))
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def format_anew(self) -> None:
        """`format_row` answers otherwise from now on."""
        self._strips.clear()
        self._repaint()

    @property
    def _top(self) -> int:
        """Number of the first line in view."""
        return self._origin + self.scroll_offset.y

    @property
    def _cursor_number(self) -> int:
        return self._shown_end - 1 if self.following else self._cursor

    @property
    def _pill(self) -> str:
        state = f"+{self._behind:,} new" if self._behind else "paused"
        return f" {state} · end follows "

    def _wake(self) -> None:
        if self._due is None and self.is_mounted:
            self._due = self.set_timer(max(0.001, self._pace.wait), self._frame)

    def _frame(self) -> None:
        self._due = None
        if self._pace.wait > 0:  # as when the terminal was asked after the timer had been set
            self._wake()
            return
        self._settle(self._top)
        self._repaint()

    def _repaint(self) -> None:
        """Have the lines painted that look different now, up to where they have text or had it.

        A blank end is a third of a line, and the scrollbar, which `refresh()` alone repaints, another sixth.
        """
        whole, height = self.view
        changed: list[Region] = []
        for y in range(height if whole else 0):
            line, before = self._line(y), self._painted.get(y)
            if line != before:
                width = max(self._text_width(line), whole if before is None else self._text_width(before))
                changed.append(Region(0, y, width, 1))
        if changed:
            self.refresh(*changed)
            self._pace.painted(len(changed))
            if self._pace.asks:
                self.call_after_refresh(self.post_message, self.Painted(self))

    def _text_width(self, line: Strip) -> int:
        *_, last = line
        blank = len(last.text) - len(last.text.rstrip(" ")) if last.style == self.palette.base else 0
        return line.cell_length - blank

    def _settle(self, top: int) -> None:
        """Fit Textual's scroll space to the ring, with line `top` first in view, or the newest last."""
        ring, size = self._ring, self.view
        last_top = max(ring.first, ring.end - size.height)
        y = (last_top if self.following else clamp(top, ring.first, last_top)) - ring.first
        self._origin, self._shown_end = ring.first, ring.end
        oldest = ring.first if self._cursor >= ring.first else ring.first_row
        self._cursor = clamp(self._cursor, oldest, max(oldest, ring.end - 1))
        self.fit_scroll(len(ring.lines), y)

    def render_line(self, y: int) -> Strip:
        line = self._painted[y] = self._line(y)
        return line

    def _line(self, y: int) -> Strip:
        width, number = self.view.width, self._top + y
        strip = self._strip(number, width)
        marked, pointed = number in self._marks.numbers, number == self._cursor_number and bool(self._ring.lines)
        if width and (marked or pointed):
            sign = "›" if not marked else "◆" if pointed else "●"
            strip = Strip([Segment(sign, self.palette.base), *strip.crop(1, width)], width)
            strip = self.on_cursor(strip) if pointed and not self.following else strip
        if not self.following and y == self.view.height - 1:
            pill = Segment(self._pill[:width], self.get_component_rich_style("ring-pane--pill"))
            strip = Strip([*strip.crop(0, width - len(pill.text)), pill], width)
        return strip

    def _strip(self, number: int, width: int) -> Strip:
        line = self._ring.line(number)
        if line is None:
            return Strip.blank(width, self.palette.base)
        if isinstance(line, Note):  # not kept: a note may take the number of a row that was forgotten
            text = (line.text.rstrip("─ ") + " ").ljust(max(0, width - 1), "─")
            return inked([(f" {text}", Tone.DIM)], width, self.palette).apply_style(self.palette.base)
        if (strip := self._strips.get(number)) is None:
            spans = self._format_row(line, max(0, width - 1))
            gutter = (" ", spans[0][1] if spans else Tone.PLAIN)
            strip = inked([gutter, *spans], width, self.palette).apply_style(self.palette.base)
            self._strips.set(number, strip)
        return strip

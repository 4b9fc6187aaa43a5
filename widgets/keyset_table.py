"""A table over a list of unknown length, loaded page by page from where the last page ended."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Region, clamp
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from widgets.columns import Column, row_spans, title_line
from widgets.line_view import LineView
from widgets.pages import Pages
from widgets.tone import Tone, fit, inked

Row = TypeVar("Row")
Item = TypeVar("Item")

__all__ = ["Column", "KeysetTable"]


class KeysetTable(LineView, Generic[Row]):
    """Shows rows by pages: the owner answers `MoreWanted` with `add`, and renews what is loaded with `show`.

    `key` tells rows apart over a renewal; of two rows with one key the first is kept. Cell text is cut to its
    column and cleaned of control characters. `empty` is the sentence for a complete list without rows.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="table.up", tooltip="Go to the row above"),
        Binding("down,j", "move(1)", "Down", show=False, id="table.down", tooltip="Go to the row below"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="table.page_up", tooltip="Go back a page"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="table.page_down", tooltip="Go on a page"),
        Binding("home,g", "first", "First", show=False, id="table.first", tooltip="Go to the first row"),
        Binding("end,G,shift+g", "last", "Last", show=False, id="table.last", tooltip="Go to the last row loaded"),
        Binding("enter", "pick", "Open", id="table.open", tooltip="Open the row under the cursor"),
        Binding("space", "mark", "Mark", show=False, id="table.mark", tooltip="Mark the row, or take the mark off"),
        Binding(
            "ctrl+at,ctrl+space",  # one key: without the kitty protocol a terminal sends NUL, which is ctrl+at
            "mark_range",
            "Mark range",
            show=False,
            id="table.mark_range",
            tooltip="Mark all rows from the last mark to the cursor",
        ),
        Binding("ctrl+backslash", "unmark", "Unmark", show=False, id="table.unmark", tooltip="Take all marks off"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"keyset-table--header"}
    DEFAULT_CSS = "KeysetTable > .keyset-table--header { text-style: bold; background: $panel; }"

    note: reactive[str] = reactive("")  # what the owner says of the rows, in the header

    @dataclass
    class Picked(Message, Generic[Item]):
        row: Item

    @dataclass
    class Highlighted(Message, Generic[Item]):
        """The cursor came to another row, or the row under it was renewed."""

        row: Item

    @dataclass
    class MoreWanted(Message, Generic[Item]):
        """Posted once until `add` is called; the page wanted begins after `last`. After a failed load call
        `add((), complete=False)`: the next step of the reader asks again."""

        last: Item

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        key: Callable[[Row], Hashable],
        empty: str,
        max_rows: int = 20_000,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._columns = tuple(columns)
        self._pages = Pages(key, empty, max_rows)
        self._cursor = 0
        self._marks: set[Hashable] = set()
        self._last_mark: Hashable = None
        self._strips: LRUCache[tuple[int, bool], Strip] = LRUCache(256)

    # What the owner says

    def show(self, rows: Sequence[Row], complete: bool) -> None:
        """Replace the rows. Cursor and marks stay with their keys; equal rows repaint nothing."""
        pages = self._pages.renewed(rows, complete)
        if pages.same(self._pages):
            return
        before, under = self._in_view(), self.cursor_row
        key, place, top = self._key_at_cursor, self._cursor, self._top
        self._pages = pages
        self._strips.clear()
        cursor = pages.places.get(key, place)
        # The row under the cursor stays at its height, but a reader at the top stays there to see what is new.
        self._place(cursor, top + cursor - place if top else 0)
        self._mark_only({mark for mark in self._marks if mark in pages.places})
        self._settled(before, under)

    def add(self, rows: Sequence[Row], complete: bool) -> None:
        """Append the page after the last row."""
        before, under = self._in_view(), self.cursor_row
        self._pages.asked = False
        new = self._pages.take(rows, complete)
        self._place(self._cursor, self._top)
        self._settled(before, under, ask=new > 0)

    # What the owner may ask

    @property
    def rows(self) -> tuple[Row, ...]:
        """A copy of all rows loaded."""
        return tuple(self._pages.rows)

    @property
    def cursor_row(self) -> Row | None:
        return self._pages.rows[self._cursor] if self._pages.rows else None

    @property
    def marked(self) -> tuple[Row, ...]:
        """The marked rows in the order of the table."""
        return self._pages.in_order(self._marks)

    # What the reader does

    def action_move(self, lines: int) -> None:
        self._aim(self._cursor + lines)

    def action_page(self, pages: int) -> None:
        step = pages * max(1, self._body - 1)
        self._go(self._cursor + step, self._top + step)

    def action_first(self) -> None:
        self._aim(0)

    def action_last(self) -> None:
        self._aim(len(self._pages.rows) - 1)

    def action_pick(self) -> None:
        if (row := self.cursor_row) is not None:
            self.post_message(self.Picked(row))

    def action_mark(self) -> None:
        if self._pages.rows:
            before, self._last_mark = self._in_view(), self._key_at_cursor
            self._mark_only(self._marks ^ {self._last_mark})
            self._repaint(before)

    def action_mark_range(self) -> None:
        if self._pages.rows:
            before, start = self._in_view(), self._pages.places.get(self._last_mark, self._cursor)
            low, high = sorted((start, self._cursor))
            self._last_mark = self._key_at_cursor
            self._mark_only(self._marks | {self._pages.key(row) for row in self._pages.rows[low : high + 1]})
            self._repaint(before)

    def action_unmark(self) -> None:
        before = self._in_view()
        self._mark_only(set())
        self._repaint(before)

    def scroll_asked(self, y: int) -> None:
        top = clamp(y, 0, self._last_top)
        self._go(clamp(self._cursor, top, top + max(0, self._body - 1)), top)

    def line_clicked(self, y: int, twice: bool) -> None:
        if y and self._top + y - 1 < len(self._pages.rows):
            self._aim(self._top + y - 1)
            if twice:
                self.action_pick()

    def _aim(self, cursor: int) -> None:
        """Put the cursor on a row and scroll no further than that needs, at the last row as far as the last line."""
        at_last = cursor >= len(self._pages.rows) - 1
        self._go(cursor, self._last_top if at_last else clamp(self._top, cursor - max(0, self._body - 1), cursor))

    def _go(self, cursor: int, top: int) -> None:
        before, under = self._in_view(), self.cursor_row
        self._place(cursor, top)
        self._settled(before, under)

    # How the rows are kept

    @property
    def _key_at_cursor(self) -> Hashable:
        return self._pages.key(self._pages.rows[self._cursor]) if self._pages.rows else None

    @property
    def _body(self) -> int:
        """Lines below the header."""
        return max(0, self.view.height - 1)

    @property
    def _top(self) -> int:
        return self.scroll_offset.y

    @property
    def _last_top(self) -> int:
        return max(0, len(self._pages.rows) + bool(self._pages.last_line) - self._body)

    def _mark_only(self, marks: set[Hashable]) -> None:
        if marks != self._marks:
            self._marks = marks
            self.refresh(Region(0, 0, self.view.width, 1))

    def _place(self, cursor: int, top: int) -> None:
        self._cursor = clamp(cursor, 0, max(0, len(self._pages.rows) - 1))
        top = clamp(top, self._cursor - max(0, self._body - 1), self._cursor + bool(self._pages.last_line))
        self.fit_scroll(1 + len(self._pages.rows) + bool(self._pages.last_line), clamp(top, 0, self._last_top))

    def _settled(self, before: list[object], under: Row | None, ask: bool = True) -> None:
        """Ask for more if the end is near, paint what differs from `before`, tell of another row at the cursor."""
        near = max(self._cursor, self._top + self._body - 1) >= len(self._pages.rows) - self._body
        if ask and near and self._body and self._pages.may_ask:
            self._pages.asked = True
            self.post_message(self.MoreWanted(self._pages.rows[-1]))
        self._repaint(before)
        row = self.cursor_row
        if row is not None and row != under:
            self.post_message(self.Highlighted(row))

    # How it is painted

    def on_resize(self) -> None:
        self._strips.clear()
        self._place(self._cursor, self._top)
        self._settled([], self.cursor_row)
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def _in_view(self) -> list[object]:
        """For each line below the header all that decides its look."""
        lines: list[object] = []
        for place in range(self._top, self._top + self._body):
            if place < len(self._pages.rows):
                row = self._pages.rows[place]
                lines.append((row, place == self._cursor, self._pages.key(row) in self._marks))
            else:
                lines.append(self._pages.last_line if place == len(self._pages.rows) else "")
        return lines

    def _repaint(self, before: list[object]) -> None:
        now = self._in_view()
        changed = [y for y, line in enumerate(now) if y >= len(before) or before[y] != line]
        if len(changed) == len(now):
            self.refresh()
        elif changed:
            self.refresh(*(Region(0, y + 1, self.view.width, 1) for y in changed))

    def render_line(self, y: int) -> Strip:
        width, place = self.view.width, self._top + y - 1
        if y == 0:
            return self._header(width)
        if place < len(self._pages.rows):
            marked = self._pages.key(self._pages.rows[place]) in self._marks
            strip = self._strip(place, marked, width)
            if place == self._cursor:
                strip = self.on_cursor(Strip([Segment(("›" + strip.text[1:])[:width])], width))
            return strip
        text = self._pages.last_line if place == len(self._pages.rows) else ""
        return inked([(f"  {text}", Tone.DIM)], width, self.palette).apply_style(self.palette.base)

    def _header(self, width: int) -> Strip:
        line = title_line(self._columns, width)
        # Marks may be scrolled out of sight, and they win over the cursor.
        marked = f"{len(self._marks)} marked, ctrl+\\ unmarks" if self._marks else ""
        if said := " · ".join(filter(None, (marked, self.note))):
            line = fit(f"{fit(line, max(0, width - len(said) - 2))} {said} ", width)
        style = self.get_component_rich_style("keyset-table--header")
        return inked([(line, Tone.PLAIN)], width, self.palette).apply_style(style)

    def _strip(self, place: int, marked: bool, width: int) -> Strip:
        if (strip := self._strips.get((place, marked))) is None:
            spans: list[tuple[str, Tone]] = [(" ", Tone.PLAIN), ("●" if marked else " ", Tone.ACCENT)]
            spans += row_spans(self._columns, self._pages.rows[place], width)
            strip = inked(spans, width, self.palette)
            strip = strip.apply_style(self.palette.base)
            self._strips.set((place, marked), strip)
        return strip

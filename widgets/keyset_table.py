"""A table over a list of unknown length, loaded page by page from where the last page ended."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from textual.binding import Binding, BindingType
from textual.geometry import clamp
from textual.message import Message

from widgets.columns import Column
from widgets.keyset_pane import KeysetPane
from widgets.pages import Pages

Row = TypeVar("Row")
Item = TypeVar("Item")

__all__ = ["Column", "KeysetTable"]


class KeysetTable(KeysetPane[Row]):
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
        super().__init__(columns, Pages(key, empty, max_rows), id, classes)
        self._last_mark: Hashable = None

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
        # On the first row of a table that nobody is in, nobody points at a row: it stays on the first.
        at_rest = not (place or top) and self.screen.focused is not self
        cursor = 0 if at_rest else pages.places.get(key, place)
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

    # What the table says

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

    def on_resize(self) -> None:
        self._strips.clear()
        self._place(self._cursor, self._top)
        self._settled([], self.cursor_row)
        self.refresh()

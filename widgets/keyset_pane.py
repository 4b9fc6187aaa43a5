"""The painting half of the keyset table: rows between a header and a last line, and only the lines that changed."""

from collections.abc import Hashable, Sequence
from typing import ClassVar, Generic, TypeVar

from rich.segment import Segment
from textual.cache import LRUCache
from textual.geometry import Region, clamp
from textual.reactive import reactive
from textual.strip import Strip

from widgets.columns import Column, row_spans, title_line
from widgets.line_view import LineView
from widgets.pages import Pages
from widgets.tone import Tone, fit, inked

Row = TypeVar("Row")


class KeysetPane(LineView, Generic[Row]):
    """Shows the rows of some pages with a cursor and marks."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"keyset-pane--header"}
    DEFAULT_CSS = "KeysetPane > .keyset-pane--header { text-style: bold; background: $panel; }"

    note: reactive[str] = reactive("")  # what the owner says of the rows, in the header

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        pages: Pages[Row],
        id: str | None,  # noqa: A002
        classes: str | None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._columns = tuple(columns)
        self._pages = pages
        self._cursor = 0
        self._marks: set[Hashable] = set()
        self._strips: LRUCache[tuple[int, bool], Strip] = LRUCache(256)

    @property
    def cursor_row(self) -> Row | None:
        return self._pages.rows[self._cursor] if self._pages.rows else None

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
        style = self.get_component_rich_style("keyset-pane--header")
        return inked([(line, Tone.PLAIN)], width, self.palette).apply_style(style)

    def _strip(self, place: int, marked: bool, width: int) -> Strip:
        if (strip := self._strips.get((place, marked))) is None:
            spans: list[tuple[str, Tone]] = [(" ", Tone.PLAIN), ("●" if marked else " ", Tone.ACCENT)]
            spans += row_spans(self._columns, self._pages.rows[place], width)
            strip = inked(spans, width, self.palette)
            strip = strip.apply_style(self.palette.base)
            self._strips.set((place, marked), strip)
        return strip

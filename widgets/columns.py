"""The columns of a table, fitted into the cells there are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from widgets.tone import Tone, fit

Row = TypeVar("Row")

GUTTER = 2  # cells before the first column: the cursor's and the mark's


# Not slotted: with slots Python 3.11 raises TypeError on `Column[Row](...)` of a frozen generic dataclass.
@dataclass(frozen=True)
class Column(Generic[Row]):
    """Widths are terminal cells. A `flex` column takes what the others leave, but no less than its width; below
    `hide_below` cells of table the column is left out."""

    title: str
    width: int
    cell: Callable[[Row], str | tuple[str, Tone]]
    align: Literal["left", "right"] = "left"
    flex: bool = False
    hide_below: int = 0


def arrange(columns: Sequence[Column[Row]], width: int) -> list[tuple[Column[Row], int]]:
    shown = [column for column in columns if width >= column.hide_below]
    spare = max(0, width - GUTTER - sum(column.width + 1 for column in shown) + 1)
    flexible = sum(column.flex for column in shown)
    arranged: list[tuple[Column[Row], int]] = []
    for column in shown:
        share = spare // flexible if column.flex else 0
        if column.flex:
            spare, flexible = spare - share, flexible - 1
        arranged.append((column, column.width + share))
    return arranged


def title_line(columns: Sequence[Column[Row]], width: int) -> str:
    return " " * GUTTER + " ".join(fit(column.title, cells, column.align) for column, cells in arrange(columns, width))


def row_spans(columns: Sequence[Column[Row]], row: Row, width: int) -> list[tuple[str, Tone]]:
    """The cells of a row, each with a space after it."""
    spans: list[tuple[str, Tone]] = []
    for column, cells in arrange(columns, width):
        cell = column.cell(row)
        text, tone = (cell, Tone.PLAIN) if isinstance(cell, str) else cell
        spans += [(fit(text, cells, column.align), tone), (" ", Tone.PLAIN)]
    return spans

"""Lists that are loaded page by page, and read again as a whole while they are short enough."""

from typing import Any, TypeVar

from db.source import Page
from widgets.keyset_table import KeysetTable

Row = TypeVar("Row")

PAGE = 100
_MOST = 1000  # a list paged further than this is not read again as a whole


def as_many(table: KeysetTable[Any]) -> int:
    """As many rows as are loaded: a reload does not pull the list together under the reader."""
    return max(PAGE, min(len(table.rows), _MOST))


def renew(table: KeysetTable[Row], page: Page[Row]) -> None:
    """Shows what was read again, unless there is more in the table by now: the cursor would come to another row."""
    if page.complete or len(page.rows) >= len(table.rows):
        table.show(page.rows, page.complete)
    table.note = f"not renewed beyond {_MOST:,} rows" if len(table.rows) > _MOST else ""

"""Lists read to their end as a screen does it."""

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from db.page import Page

Row = TypeVar("Row")


class ReadPage(Protocol[Row]):
    def __call__(self, *, after: Row | None, limit: int) -> Awaitable[Page[Row]]: ...


async def every_page(read: ReadPage[Row], limit: int) -> list[Row]:
    """All rows; each page but the last is full."""
    rows: list[Row] = []
    after: Row | None = None
    while True:
        page = await read(after=after, limit=limit)
        rows += page.rows
        if page.complete:
            return rows
        assert len(page.rows) == limit
        after = page.rows[-1]

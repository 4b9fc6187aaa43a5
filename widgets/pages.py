"""The rows that a keyset table has loaded so far."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, TypeVar

Row = TypeVar("Row")


class Pages(Generic[Row]):
    """Rows under keys, up to a cap. Of two rows with one key the first is kept: pages may overlap."""

    def __init__(self, key: Callable[[Row], Hashable], empty: str, cap: int) -> None:
        self.key = key
        self.empty = empty
        self.cap = cap
        self.rows: list[Row] = []
        self.places: dict[Hashable, int] = {}
        self.complete = False
        self.capped = False
        self.asked = False  # the next page is on its way

    def take(self, rows: Sequence[Row], complete: bool) -> int:
        """Append, and return how many rows were new."""
        before = len(self.rows)
        self.complete = complete
        self.capped = False
        for row in rows:
            key = self.key(row)
            if key in self.places:
                continue
            if len(self.rows) >= self.cap:
                self.capped = True
                break
            self.places[key] = len(self.rows)
            self.rows.append(row)
        self.capped = self.capped or (len(self.rows) >= self.cap and not complete)
        return len(self.rows) - before

    def renewed(self, rows: Sequence[Row], complete: bool) -> "Pages[Row]":
        """Other rows in place of these; a page on its way is no longer waited for."""
        pages = Pages(self.key, self.empty, self.cap)
        pages.take(rows, complete)
        return pages

    def same(self, other: "Pages[Row]") -> bool:
        return (self.complete, self.capped, self.rows) == (other.complete, other.capped, other.rows)

    def in_order(self, keys: Iterable[Hashable]) -> tuple[Row, ...]:
        return tuple(self.rows[place] for place in sorted(self.places[key] for key in keys))

    @property
    def may_ask(self) -> bool:
        return bool(self.rows) and not (self.complete or self.capped or self.asked)

    @property
    def last_line(self) -> str:
        """What to say below the last row, if anything."""
        if self.capped:
            return f"{self.cap:,} rows shown; narrow the search"
        if self.complete:
            return "" if self.rows else self.empty
        if not self.rows:
            return "loading…"
        return "loading more…" if self.asked else "more rows follow; go down to load them"

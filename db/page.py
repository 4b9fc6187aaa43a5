"""One page of a list read by keyset."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True)  # without slots: with them Page[Row](…) raises a TypeError in Python 3.11
class Page(Generic[Row]):
    """Rows in order; `complete` says that nothing follows."""

    rows: tuple[Row, ...]
    complete: bool


def page_of(rows: Sequence[Row], limit: int) -> Page[Row]:
    """From a query that asked for one row more than `limit`: the extra row only proves that there is more."""
    return Page(tuple(rows[:limit]), len(rows) <= limit)

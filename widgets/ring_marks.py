"""The marks on the rows of a ring."""

from typing import Generic, TypeVar

from widgets.ring import Note, Ring

Row = TypeVar("Row")


class RingMarks(Generic[Row]):
    """Marks keep to the numbers of their rows; of a row that is no longer held the mark counts no more."""

    def __init__(self, ring: Ring[Row]) -> None:
        self._ring = ring
        self.numbers: set[int] = set()  # also of rows that are gone

    @property
    def rows(self) -> tuple[Row, ...]:
        """The marked rows that are still held, oldest first."""
        lines = map(self._ring.line, sorted(self.numbers))
        return tuple(line for line in lines if line is not None and not isinstance(line, Note))

    def turn(self, number: int) -> None:
        """Mark the row, or take its mark away."""
        self.numbers ^= {number}

    def extend_to(self, number: int) -> None:
        """Mark all rows from the nearest mark to this one; without any this one alone."""
        nearest = min(self._held, key=lambda held: abs(held - number), default=number)
        low, high = sorted((number, nearest))
        self.numbers |= {n for n in range(low, high + 1) if not isinstance(self._ring.line(n), Note | None)}

    def next_to(self, number: int, *, newer: bool) -> int | None:
        """The nearest marked row on that side."""
        if newer:
            return min((held for held in self._held if held > number), default=None)
        return max((held for held in self._held if held < number), default=None)

    @property
    def _held(self) -> list[int]:
        return [number for number in self.numbers if self._ring.line(number) is not None]

"""The store below the log: a bounded run of lines that grows and forgets at both ends."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Note:
    """A line that is not a row: it counts as a line and as nothing else."""

    text: str


@dataclass(frozen=True, slots=True, init=False)
class Gap(Note):
    """The first line once older rows were forgotten."""

    def __init__(self, rows: int) -> None:
        object.__setattr__(self, "text", f"── {rows:,} older rows let go here; up reads them again ──")


class Ring(Generic[Row]):
    """Lines under numbers: a line keeps its number, whatever is forgotten or prepended before it."""

    def __init__(self, capacity: int) -> None:
        self.lines: deque[Row | Note] = deque()
        self.capacity = capacity
        self.first = 0
        self.forgotten = 0
        self.forgotten_newest = 0

    @property
    def end(self) -> int:
        return self.first + len(self.lines)

    @property
    def first_row(self) -> int:
        """Number of the first line behind the gap."""
        return self.first + (bool(self.lines) and isinstance(self.lines[0], Gap))

    def line(self, number: int) -> Row | Note | None:
        return self.lines[number - self.first] if self.first <= number < self.end else None

    def rows(self, first: int, end: int) -> tuple[Row, ...]:
        held = (self.lines[n - self.first] for n in range(max(first, self.first), min(end, self.end)))
        return tuple(line for line in held if not isinstance(line, Note))

    def append(self, lines: Sequence[Row | Note]) -> None:
        if self.forgotten_newest:  # behind a gap the rows would read as if nothing were missing
            self.forgotten_newest += _count_rows(lines)
            return
        self.lines.extend(lines)
        self._forget_oldest()

    def prepend(self, lines: Sequence[Row | Note], keep_newest: bool) -> None:
        if self.lines and isinstance(self.lines[0], Gap):  # what it told of is coming back
            self.lines.popleft()
            self.first += 1
        self.lines.extendleft(reversed(lines))
        self.first -= len(lines)
        if keep_newest:
            self._forget_oldest()
            return
        over = max(0, len(self.lines) - self.capacity)
        self.forgotten_newest += _count_rows(self.lines.pop() for _ in range(over))

    def _forget_oldest(self) -> None:
        gap = bool(self.lines) and isinstance(self.lines[0], Gap)
        over = len(self.lines) - gap - self.capacity
        if over <= 0:
            return
        self.forgotten += _count_rows(self.lines.popleft() for _ in range(over + gap))
        self.lines.appendleft(Gap(self.forgotten))
        self.first += over + gap - 1


def _count_rows(lines: Iterable[object]) -> int:
    return sum(not isinstance(line, Note) for line in lines)

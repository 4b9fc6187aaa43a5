"""What a job is, and what it is handed while it runs."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import ClassVar

from db.audit import Actor
from db.database import Connection, Database


class Cancelled(Exception):
    """Someone asked the run to stop; raised between two steps, never inside one."""


class PartlyFailed(Exception):
    """Some of the work is done and committed, some could not be; the text says what and why."""


class _Rollback(Exception):
    """Ends the transaction of a dry run."""


Explain = Callable[[str], None]
"""Hears each single thing a run does, in words; None where nobody asked."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How far a run is: `done` of `total` (None: nobody knows) after `spent_s` seconds, as it said `since_s` ago."""

    unit: str  # "rows"
    done: int
    total: int | None
    spent_s: float
    since_s: float = 0.0

    @property
    def per_s(self) -> float | None:
        """None until there is something to divide by."""
        return self.done / self.spent_s if self.done and self.spent_s >= 1 else None

    @property
    def left_s(self) -> float | None:
        """At the pace so far; None where that cannot be told, also when it takes longer than it told."""
        if self.total is None or self.per_s is None:
            return None
        left = (self.total - self.done) / self.per_s - self.since_s
        return left if left > 0 else None


class Stage:
    """What a run counts while it works: all of it, or one part after the other."""

    def __init__(self, unit: str, total: int | None) -> None:
        self.unit = unit
        self.total = total
        self.done = 0
        self._began = self._at = monotonic()

    def advance(self, by: int) -> None:
        self.done += by
        self._at = monotonic()

    @property
    def pace(self) -> Pace:
        return Pace(self.unit, self.done, self.total, self._at - self._began, monotonic() - self._at)


class Run:
    """One run of a job, as the job sees it."""

    def __init__(
        self,
        database: Database,
        *,
        actor: Actor,
        dry_run: bool,
        checkpoint: Callable[[str], Awaitable[None]],
        explain: Explain | None = None,
    ) -> None:
        self.database = database
        self.actor = actor
        self.dry_run = dry_run
        self.explain = explain
        self.counts: Counter[str] = Counter()
        self.stage: Stage | None = None
        self._checkpoint = checkpoint

    def begin(self, unit: str, total: int | None = None) -> Stage:
        """From here on these are counted; `total` is how many there will be, where that is known."""
        self.stage = Stage(unit, total)
        return self.stage

    async def report(self, progress: str, *, done: int = 0, **counts: int) -> None:
        """Adds to the counts and says what it does, and how many more of its stage are done.

        Call it between steps: raises Cancelled when asked to stop.
        """
        self.counts.update(counts)
        if self.stage is not None:
            self.stage.advance(done)
        await self._checkpoint(progress)

    @asynccontextmanager
    async def step(self, statement_s: float = 300.0) -> AsyncGenerator[Connection]:
        """One transaction that may write: committed at the end of the block, rolled back in a dry run."""
        try:
            async with self.database.writing(statement_s) as connection:
                yield connection
                if self.dry_run:
                    raise _Rollback
        except _Rollback:
            pass


class Job(ABC):
    """Work that can be run on demand from shell, console or a timer. Knows no user interface."""

    name: ClassVar[str]  # "aggregate-usage"
    title: ClassVar[str]  # what it does, in a sentence
    number: ClassVar[int]  # its advisory lock; never reused
    every_s: ClassVar[int]  # how often it is due
    lasting: ClassVar[str] = ""  # what of a run cannot be taken back, in a sentence: a screen asks before it

    @abstractmethod
    async def run(self, run: Run) -> str:
        """Does the work in steps that each leave the database whole. Returns a sentence of what was done.

        Raises Cancelled, PartlyFailed or the errors of db.errors.
        """

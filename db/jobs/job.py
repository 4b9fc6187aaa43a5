"""What a job is, and what it is handed while it runs."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
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


class Run:
    """One run of a job, as the job sees it."""

    def __init__(
        self,
        database: Database,
        *,
        actor: Actor,
        dry_run: bool,
        checkpoint: Callable[[str, Counter[str]], Awaitable[None]],
        explain: Explain | None = None,
    ) -> None:
        self.database = database
        self.actor = actor
        self.dry_run = dry_run
        self.explain = explain
        self.counts: Counter[str] = Counter()
        self._checkpoint = checkpoint

    async def report(self, progress: str, **counts: int) -> None:
        """Adds to the counts and says how far it is. Call it between steps: raises Cancelled when asked to stop."""
        self.counts.update(counts)
        await self._checkpoint(progress, self.counts)

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

    @abstractmethod
    async def run(self, run: Run) -> str:
        """Does the work in steps that each leave the database whole. Returns a sentence of what was done.

        Raises Cancelled, PartlyFailed or the errors of db.errors.
        """

"""Turns the database's change hints into one Textual Signal, and knows whether the database is there."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from textual.app import App
from textual.signal import Signal

from console.failures import word
from db.changes import listen
from db.errors import DatabaseError
from db.source import Source

_PAUSES_S = (1, 2, 3, 5, 8, 10)


@dataclass(frozen=True, slots=True)
class Link:
    """The connection as the header shows it. `retry_s` counts down while it is lost."""

    up: bool
    since: datetime
    retry_s: int = 0
    sentence: str = ""


class Live:
    """Keeps one LISTEN connection of its own. Every loss of it is a loss of the database."""

    def __init__(self, app: App[Any], source: Source, tell: Callable[[Link], None]) -> None:
        self.changed: Signal[str] = Signal(app, "changed")
        self._database = source.database
        self._presence = source.presence
        self._tell = tell

    async def run(self) -> None:
        """Listens for ever; a lost connection is tried again after 1, 2, 3, 5, 8, then 10 seconds."""
        failed = 0
        while True:
            try:
                async for topic in listen(self._database, self._presence):
                    if topic is None:
                        failed = 0
                        self._tell(Link(True, datetime.now(UTC)))
                    # What changed while nobody listened is not known: then everything is read again.
                    self.changed.publish(topic or "*")
                sentence = "the database closed the connection"
            except DatabaseError as error:
                sentence = word(error).sentence
            await self._wait(_PAUSES_S[min(failed, len(_PAUSES_S) - 1)], sentence)
            failed += 1

    async def _wait(self, seconds: int, sentence: str) -> None:
        lost = datetime.now(UTC)
        for left in range(seconds, 0, -1):
            self._tell(Link(False, lost, left, sentence))
            await asyncio.sleep(1)

"""Exports started from a screen: they belong to the app, one at a time, and go on when the screen is left."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from textual.app import App
from textual.screen import Screen
from textual.worker import Worker

from console.failures import word
from db.errors import DatabaseError
from db.source import Export, ExportFormat, ExportProgress, RequestFilter, Source


@dataclass(frozen=True, slots=True)
class Target:
    """What the operator chose."""

    path: Path
    format: ExportFormat
    anonymise: bool


Ask = Callable[[RequestFilter, datetime, datetime], Screen[Target | None]]


class Exporter:
    """Asks where to, writes in the background, tells how far it is and how it ended."""

    def __init__(self, app: App[Any], source: Source, ask: Ask, tell: Callable[[str], None]) -> None:
        self._app = app
        self._source = source
        self._ask = ask
        self._tell = tell
        self._running: Worker[None] | None = None

    def start(self, wanted: RequestFilter, start: datetime | None, end: datetime) -> None:
        """Asks, and writes the rows of the filter from `start` until before `end`. Once more stops what is written.

        Without `start` from the oldest row that is kept.
        """
        if self._running is not None:
            self._running.cancel()
        else:
            self._running = self._app.run_worker(self._run(wanted, start, end), group="export")

    async def _run(self, wanted: RequestFilter, start: datetime | None, end: datetime) -> None:
        try:
            start = start or (await self._source.requests.kept()).since
            target = await self._app.push_screen_wait(self._ask(wanted, start, end))
            if target is not None:
                await self._write(target, wanted, start, end)
        except asyncio.CancelledError:
            self._app.notify("The export was stopped; nothing is left of it.", timeout=6)
            raise
        except DatabaseError as error:
            text = word(error).text
            self._app.notify(text, title="Nothing was exported", severity="warning", timeout=12, markup=False)
        finally:
            self._running = None
            self._tell("")

    async def _write(self, target: Target, wanted: RequestFilter, start: datetime, end: datetime) -> None:
        self._tell("exporting …")
        cursor = (await self._source.requests.begin(wanted, recent=0)).cursor
        order = Export(cursor, target.path, target.format, start, end, target.anonymise)
        done = await self._source.export(order, self._told)
        self._app.notify(f"{done.sentence}.", title="Exported", timeout=12, markup=False)

    def _told(self, progress: ExportProgress) -> None:
        self._tell(f"exporting {progress.rows:,} rows, {progress.share:.0%}, ctrl+o stops")

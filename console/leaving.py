"""Leaving the console: never over a change that is being carried out, or over a question."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from textual.app import App
from textual.worker import Worker

from console.cli.output import narrate
from console.dialog import answer_first
from console.perform import Performer

_WAIT_S = 10.0


class Leaving:
    """Ends the app when the operator wishes to, and waits for changes however the app came to its end."""

    def __init__(self, app: App[int], performer: Performer, leave_jobs: Callable[[], Awaitable[bool]]) -> None:
        self._app = app
        self._performer = performer
        self._leave_jobs = leave_jobs
        self._worker: Worker[None] | None = None
        self._said: tuple[str, ...] = ()

    def ask(self) -> None:
        """Leaves once nothing is being carried out, but not over a job that runs here without asking."""
        if answer_first(self._app):
            return
        if self._worker is None or self._worker.is_finished:
            self._worker = self._app.run_worker(self._leave(), group="leaving", exclusive=False)

    async def _leave(self) -> None:
        if names := self._performer.under_way:
            self._tell(names, "Leaving waits for its end.")
            ended = await self._performer.ended(_WAIT_S)
            if not all(one.well for one in ended):
                self._tell(names, "The console stays open: see how it ends.")
                return
            self._said = tuple(one.sentence for one in ended)
        if await self._leave_jobs():
            self._app.exit(0)

    def _tell(self, names: str, text: str) -> None:
        self._app.notify(text, title=f"{names}: under way", severity="warning", timeout=_WAIT_S, markup=False)

    async def last_words(self) -> None:
        """On the normal screen, when the app is gone: how changes ended that were under way until then."""
        with suppress(OSError):  # the terminal may be gone as well
            if names := self._performer.under_way:
                narrate(f"{names}: under way, waiting for its end …")
        ended = await self._performer.ended(_WAIT_S)
        with suppress(OSError):
            for sentence in (*self._said, *(one.sentence for one in ended)):
                narrate(sentence)

"""The single path by which a screen changes anything: preview, confirm with a reason, perform, tell."""

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import SecretStr
from textual.app import App
from textual.screen import Screen

from console.failures import word
from db.errors import DatabaseError
from db.source import Operation, Outcome, Preview, Receipt, Source

BlastRadius = Callable[[], Awaitable[tuple[str, ...]]]
ShowIssued = Callable[[str, SecretStr], Screen[None]]
Confirm = Callable[[Preview, str, BlastRadius | None], Screen[str | None]]


class Performer:
    """Runs operations in workers of the app: leaving a screen must not half-cancel a revocation."""

    def __init__(
        self,
        app: App[Any],
        source: Source,
        confirm: Confirm,
        show_issued: ShowIssued,
        changed: Callable[[str], None],
    ) -> None:
        self._app = app
        self._source = source
        self._confirm = confirm
        self._show_issued = show_issued
        self._changed = changed

    def start(
        self,
        operation: Operation,
        blast_radius: BlastRadius | None = None,
        *,
        done: Callable[[], None] | None = None,
    ) -> None:
        """Asks the operator and carries the operation out; `done` is called once that was read back.

        `blast_radius` fills the dialog when it is known.
        """
        self._app.run_worker(self._run(operation, blast_radius, done), group="operations", exclusive=False)

    async def _run(
        self, operation: Operation, blast_radius: BlastRadius | None, done: Callable[[], None] | None
    ) -> None:
        try:
            preview = await self._source.propose(operation)
        except DatabaseError as error:
            self._app.notify(
                word(error).text, title="Nothing was changed", severity="warning", timeout=10, markup=False
            )
            return
        if isinstance(preview, Receipt):
            self._changed("audit")
            self._tell(operation.action, preview)
            return
        reason = await self._app.push_screen_wait(self._confirm(preview, operation.shell, blast_radius))
        if reason is None:
            self._app.notify("Nothing was changed.", timeout=3)
            return
        receipt = await self._source.perform(operation.at_version(preview.version), reason)
        self._changed(operation.topic)
        self._tell(preview.title, receipt)
        if receipt.issued is not None:
            await self._app.push_screen_wait(self._show_issued(receipt.message, receipt.issued))
        if receipt.done and done is not None:
            done()

    def _tell(self, title: str, receipt: Receipt) -> None:
        if receipt.outcome is Outcome.DONE:
            at = f" at {receipt.at:%H:%M:%S} UTC" if receipt.at else ""
            text = f"{receipt.message}{at}, on record as {str(receipt.operation_id)[:8]}."
            self._app.notify(text, title=title, timeout=8, markup=False)
        else:
            uncertain = receipt.outcome is Outcome.UNCERTAIN
            self._app.notify(
                receipt.message,
                title=f"{title}: {receipt.outcome}",
                severity="error" if uncertain else "warning",
                timeout=20,
                markup=False,
            )

"""The single path by which a screen changes anything: preview, confirm with a reason, perform, tell."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from textual.app import App
from textual.screen import Screen

from console.failures import word
from console.publishing import publish_change
from db.errors import DatabaseError
from db.source import VAULT_JOBS, Operation, Outcome, Preview, Receipt, Source

JOB_WORKERS = "jobs"  # the group of workers over which nobody leaves without being asked
BlastRadius = Callable[[], Awaitable[tuple[str, ...]]]
ShowIssued = Callable[[str, SecretStr], Screen[None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the operator said: go on, for this reason; and whether the gateways are to be told at once."""

    reason: str
    publish: bool = False


Confirm = Callable[[Preview, str, BlastRadius | None, bool], Screen[Answer | None]]


@dataclass(frozen=True, slots=True)
class Ended:
    """How an operation ended that was waited for; None: it did not, or nobody can say."""

    title: str
    receipt: Receipt | None

    @property
    def well(self) -> bool:
        """Whether it is done and nothing is left to show of it."""
        return self.receipt is not None and self.receipt.done and self.receipt.issued is None

    @property
    def sentence(self) -> str:
        """All of it, without a screen."""
        if self.receipt is None:
            return f"{self.title}: it may have happened. Look: opsdeck audit list"
        if self.receipt.outcome is not Outcome.DONE:
            return f"{self.title}: {self.receipt.outcome}. {self.receipt.message}"
        lost = " Its key was never shown: revoke it and make another one." if self.receipt.issued else ""
        return _done_words(self.receipt) + lost


class Performer:
    """Runs operations in workers of the app: leaving a screen must not half-cancel a revocation. What changes
    something is a task of its own beside the worker, so that the end of the app does not cut it either."""

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
        self._under_way: dict[asyncio.Task[Receipt], str] = {}

    @property
    def under_way(self) -> str:
        """The titles of what is being carried out."""
        return ", ".join(self._under_way.values())

    async def ended(self, within_s: float) -> tuple[Ended, ...]:
        """Waits for the end of what is being carried out."""
        doing = dict(self._under_way)
        if doing:
            await asyncio.wait(doing, timeout=within_s)
        return tuple(Ended(title, _receipt(task)) for task, title in doing.items())

    def start(
        self,
        operation: Operation,
        blast_radius: BlastRadius | None = None,
        *,
        done: Callable[[], None] | None = None,
        publish: str | None = None,
    ) -> None:
        """Asks the operator and carries the operation out; `done` is called once that was read back.

        `blast_radius` fills the dialog when it is known. `publish` names a vault that is published then; of what
        gateways have to learn the dialog offers it.
        """
        self._app.run_worker(self._run(operation, blast_radius, done, publish), group="operations", exclusive=False)

    async def _run(
        self,
        operation: Operation,
        blast_radius: BlastRadius | None,
        done: Callable[[], None] | None,
        publish: str | None,
    ) -> None:
        try:
            preview = await self._source.propose(operation)
            offered = operation.reaches_gateways and (await self._source.vaults.place()).directory is not None
        except DatabaseError as error:
            self._app.notify(
                word(error).text, title="Nothing was changed", severity="warning", timeout=10, markup=False
            )
            return
        if isinstance(preview, Receipt):
            self._changed("audit")
            self._tell(operation.action, preview)
            return
        answer = await self._app.push_screen_wait(self._confirm(preview, operation.shell, blast_radius, offered))
        if answer is None:
            self._app.notify("Nothing was changed.", timeout=3)
            return
        doing = asyncio.create_task(self._source.perform(operation.at_version(preview.version), answer.reason))
        self._under_way[doing] = preview.title
        receipt = await asyncio.shield(doing)
        del self._under_way[doing]
        self._changed(operation.topic)
        self._tell(preview.title, receipt)
        if receipt.issued is not None:
            await self._app.push_screen_wait(self._show_issued(receipt.message, receipt.issued))
        if not receipt.done:
            return
        if done is not None:
            done()
        if vault := publish or ("ma" if answer.publish else None):
            self._app.run_worker(
                self._publish(receipt, vault), name=VAULT_JOBS[vault].name, group=JOB_WORKERS, exclusive=False
            )

    async def _publish(self, receipt: Receipt, vault: str) -> None:
        version, sentence = await publish_change(self._source, receipt, vault)
        self._changed("vaults")
        severity = "information" if version is not None else "warning"
        self._app.notify(sentence, title=f"{vault} vault", severity=severity, timeout=10, markup=False)

    def _tell(self, title: str, receipt: Receipt) -> None:
        if receipt.outcome is Outcome.DONE:
            self._app.notify(_done_words(receipt), title=title, timeout=8, markup=False)
        else:
            uncertain = receipt.outcome is Outcome.UNCERTAIN
            self._app.notify(
                receipt.message,
                title=f"{title}: {receipt.outcome}",
                severity="error" if uncertain else "warning",
                timeout=20,
                markup=False,
            )


def _done_words(receipt: Receipt) -> str:
    at = f" at {receipt.at:%H:%M:%S} UTC" if receipt.at else ""
    return f"{receipt.message}{at}, on record as {str(receipt.operation_id)[:8]}."


def _receipt(task: asyncio.Task[Receipt]) -> Receipt | None:
    gone = not task.done() or task.cancelled() or task.exception() is not None
    return None if gone else task.result()

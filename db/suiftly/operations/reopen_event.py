"""Taking back that an escrow event was dismissed, or that the books were kept against it."""

from dataclasses import dataclass

from db.audit import Actor
from db.database import Connection
from db.operations import Change, Preview
from db.suiftly.operations.of_event import OfEvent, Waiting, version_of, words_of

_ALONE = "Once its account is a customer's, the next `opsdeck chain sync` puts it onto the books."
_BESIDE = "What the books have under its digest stands for no event again."
_TWICE = "If the books were adjusted to the chain meanwhile, it would count twice: `opsdeck chain reconcile` tells."


@dataclass(frozen=True, slots=True)
class ReopenEvent(OfEvent):
    """A dismissed event waits again, for whatever it waited for."""

    action = "reopen-event"
    writes = ("UPDATE console.chain_event",)
    source = "dismissed"
    verb = "Reopen"

    async def preview(self, connection: Connection) -> Preview:
        found = await self.waiting(connection, lock=False)
        return Preview(
            title=f"Reopen {words_of(found)}",
            verb=self.verb,
            changes=(f"dismissed → {_before(found)}",),
            consequences=(_ALONE if found.customer_id is None else _BESIDE, _TWICE),
            version=version_of(found),
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        found = await self.waiting(connection, lock=True)
        self.expect(version_of(found))
        outcome = _before(found)
        await self.settle(connection, outcome, (found.note, f"reopened: {reason}"))
        return Change(
            before={self.event.subject: {"outcome": found.outcome, "note": found.note}},
            after={self.event.subject: {"outcome": outcome}},
            message=f"The event {self.event} waits again: {outcome}",
        )


def _before(found: Waiting) -> str:
    """Only a conflict has a customer."""
    return "unmatched" if found.customer_id is None else "conflict"

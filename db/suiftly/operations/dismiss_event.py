"""Dismissing an escrow event of no known customer."""

from dataclasses import dataclass

from db.audit import Actor
from db.database import Connection
from db.operations import Change, Preview
from db.suiftly.operations.of_event import OfEvent, version_of, words_of


@dataclass(frozen=True, slots=True)
class DismissEvent(OfEvent):
    """Says that an event of no known customer belongs onto no books."""

    action = "dismiss-event"
    writes = ("UPDATE console.chain_event",)
    source = "unmatched"
    verb = "Dismiss"

    async def preview(self, connection: Connection) -> Preview:
        found = await self.waiting(connection, lock=False)
        return Preview(
            title=f"Dismiss {words_of(found)}",
            verb=self.verb,
            changes=("unmatched → dismissed",),
            consequences=("It comes onto no books, also when somebody becomes its customer later.",),
            version=version_of(found),
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        found = await self.waiting(connection, lock=True)
        self.expect(version_of(found))
        await self.settle(connection, "dismissed", (found.note, f"dismissed: {reason}"))
        return Change(
            before={self.event.subject: {"outcome": found.outcome}},
            after={self.event.subject: {"outcome": "dismissed"}},
            message=f"The event {self.event} is dismissed",
        )

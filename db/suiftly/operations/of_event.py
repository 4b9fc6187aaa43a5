"""What the operations share that settle an escrow event."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Final, LiteralString
from uuid import UUID

from psycopg.rows import class_row

from db.database import Connection
from db.errors import Refused, Stale
from db.operations import Operation
from db.suiftly.escrow.contract import Kind, amount_of
from db.suiftly.escrow.decision import OpenEvent
from db.suiftly.escrow.events import OPEN, EventId

CACHED: Final = "The cached balance stays as it is; `opsdeck chain reconcile` tells what it would have to be."

_SELECT: LiteralString = """
    SELECT tx_digest, event_index, at, account_id, kind, amount_usd, cents, rest_usdc, type, outcome, note,
           customer_id, xmin::text AS version
    FROM console.chain_event WHERE tx_digest = %(digest)s AND event_index = %(index)s
"""
# Whoever reads the chain or settles another event waits: what is checked about an account stays so.
_LOCK_INBOX: LiteralString = "SELECT FROM console.chain_cursor WHERE stream = 'escrow' FOR UPDATE"
_SETTLE: LiteralString = """
    UPDATE console.chain_event SET outcome = %(outcome)s, note = %(note)s, tx_id = %(tx_id)s, ledger_id = %(ledger_id)s
    WHERE tx_digest = %(digest)s AND event_index = %(index)s
"""
_INSTEAD: Final = {
    "unmatched": "assign it to a customer, or dismiss it",
    "conflict": "accept the chain's version, or keep that of the books",
    "dismissed": "reopen it first",
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event of the inbox as it is now."""

    tx_digest: bytes
    event_index: int
    at: datetime
    account_id: str | None
    kind: Kind | None
    amount_usd: Decimal | None
    cents: int | None
    rest_usdc: int
    type: str
    outcome: str
    note: str | None
    customer_id: int | None
    version: str

    @property
    def money(self) -> OpenEvent:
        """As what moves money. Raises Refused when it moves none."""
        if self.kind is None or self.account_id is None or self.amount_usd is None or self.cents is None:
            raise Refused("the event moves no money that opsdeck can read; it can only be dismissed")
        return OpenEvent(
            self.tx_digest,
            self.event_index,
            self.at,
            self.account_id,
            self.kind,
            self.amount_usd,
            self.cents,
            self.rest_usdc,
            self.type,
        )


@dataclass(frozen=True, slots=True)
class OfEvent(Operation):
    """Settles one event whose outcome is `source`; what it would do is its version, so that nothing else is done."""

    topic = "chain"
    source: ClassVar[str]
    verb: ClassVar[str]

    event: EventId
    version: str | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        return (self.event.subject,)

    @property
    def shell(self) -> str:
        return f"opsdeck chain {self.verb.lower()} {self.event}"

    async def waiting(self, connection: Connection, *, lock: bool) -> Waiting:
        """The event, if it is one of those. Raises Refused."""
        parameters = {"digest": self.event.digest.raw, "index": self.event.index}
        if lock:
            await connection.execute(_LOCK_INBOX)
        cursor = connection.cursor(row_factory=class_row(Waiting))
        await cursor.execute(_SELECT + (" FOR UPDATE" if lock else ""), parameters)
        found = await cursor.fetchone()
        if found is None:
            raise Refused(f"there is no event {self.event} in the inbox; look with `opsdeck chain events`")
        if found.outcome != self.source:
            instead = _INSTEAD.get(found.outcome)
            why = f": {found.note}" if found.note and found.outcome not in OPEN else ""
            more = f"; {instead}" if instead else ""
            raise Refused(f"the event is {_words(found.outcome)}, not {_words(self.source)}{more}{why}")
        return found

    def expect(self, version: str) -> None:
        """Raises Stale when something else was shown."""
        if self.version is not None and version != self.version:
            raise Stale("the event, or what the books have of it, has changed since it was shown; look at it again")

    async def settle(
        self,
        connection: Connection,
        outcome: str,
        notes: Sequence[str | None],
        tx_id: int | None = None,
        ledger_id: UUID | None = None,
    ) -> None:
        """Writes what became of it."""
        row = {
            "digest": self.event.digest.raw,
            "index": self.event.index,
            "outcome": outcome,
            "note": "; ".join(note for note in notes if note) or None,
            "tx_id": tx_id,
            "ledger_id": ledger_id,
        }
        await connection.execute(_SETTLE, row)


def _words(outcome: str) -> str:
    return "in conflict" if outcome == "conflict" else outcome.replace("_", " ")


def version_of(*parts: object) -> str:
    """Of what was looked at: another one when anything of it is different."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def words_of(found: Waiting) -> str:
    """An event in a few words."""
    amount = amount_of(found.kind, found.amount_usd)
    return found.type.rpartition("::")[2] + (f" of {amount}" if amount is not None else "")

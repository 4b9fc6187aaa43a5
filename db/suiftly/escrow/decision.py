"""What becomes of an escrow event, held against what the books have under its transaction's digest.

What the billing backend has put on the books already is recognised by customer, kind and amount; anything else under
the same digest is a conflict for a human.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from db.suiftly.escrow.contract import Kind
from db.suiftly.money import exact_dollars, in_dollars

Key = tuple[bytes, int]
"""Digest and index: an event within its transaction."""

LEDGER_TYPES: Final[dict[Kind, str]] = {
    "deposit": "deposit",
    "withdraw": "withdrawal",
    "charge": "charge",
    "credit": "credit",
}


@dataclass(frozen=True, slots=True)
class OpenEvent:
    """An event of the inbox that moves money and is on no books yet."""

    tx_digest: bytes
    event_index: int
    at: datetime
    account_id: str
    kind: Kind
    amount_usd: Decimal
    cents: int
    rest_usdc: int
    type: str

    @property
    def key(self) -> Key:
        return self.tx_digest, self.event_index

    @property
    def ledger_cents(self) -> int:
        """As the ledger signs it."""
        return self.cents if self.kind in ("deposit", "credit") else -self.cents


@dataclass(frozen=True, slots=True)
class EscrowRow:
    """A row of escrow_transactions under the same digest; `claimed`: another event stands for it."""

    id: int
    digest: str
    customer_id: int
    kind: str
    amount: Decimal
    in_usd: bool
    seq: int
    claimed: bool

    @property
    def words(self) -> str:
        amount = exact_dollars(self.amount) if self.in_usd else f"{self.amount.normalize():f} of another coin"
        return f"{self.kind} of {amount} for customer {self.customer_id}"


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A ledger entry under the same digest that stands for no event, and was not taken back."""

    id: UUID
    digest: str
    customer_id: int
    kind: str
    cents: int  # without sign

    @property
    def words(self) -> str:
        return f"{self.kind} of {in_dollars(self.cents)} for customer {self.customer_id}"


@dataclass(slots=True)
class Decision:
    """What becomes of one event."""

    event: OpenEvent
    customer: int | None = None
    outcome: str = "unmatched"
    notes: list[str] = field(default_factory=list[str])
    escrow: int | None = None  # rows that were there already
    ledger: UUID | None = None


def decide(together: Sequence[Decision], escrow: Sequence[EscrowRow], ledger: Sequence[LedgerRow]) -> None:
    """Holds the events of one transaction against what the books have under its digest.

    All of them at once: a row that no event of the transaction is equal to makes those without a row a conflict.
    """
    unclaimed = [row for row in escrow if not row.claimed]
    entries = list(ledger)
    for decision in together:
        event = decision.event
        wanted = (decision.customer, event.kind, event.amount_usd)
        row = next((row for row in unclaimed if row.in_usd and (row.customer_id, row.kind, row.amount) == wanted), None)
        if row is not None:
            unclaimed.remove(row)
            decision.escrow, decision.outcome = row.id, "already_recorded"
        entry_wanted = (decision.customer, LEDGER_TYPES[event.kind], event.cents)
        entry = next((entry for entry in entries if (entry.customer_id, entry.kind, entry.cents) == entry_wanted), None)
        if entry is not None:
            entries.remove(entry)
            decision.ledger = entry.id
    for decision in together:
        if decision.outcome == "already_recorded":
            if decision.ledger is None and decision.event.cents:
                decision.notes.append("the escrow mirror had it, the ledger has no such entry")
        elif unclaimed or (entries and decision.ledger is None):
            decision.outcome, decision.ledger = "conflict", None
            found = dict.fromkeys(row.words for row in (*unclaimed, *entries))  # mirror and ledger often say the same
            decision.notes += [f"the books have under this digest: {words}" for words in found]
        else:
            decision.outcome = "mirrored"
            if decision.ledger is not None:
                decision.notes.append("the ledger had it already")
        if decision.event.rest_usdc:
            decision.notes.append(f"{decision.event.rest_usdc} millionths of a dollar are below a cent")

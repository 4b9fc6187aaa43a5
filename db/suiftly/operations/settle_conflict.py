"""Settling a conflict between an escrow event and what the books have under its digest: for the chain, or for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString, TypeVar
from uuid import UUID, uuid4

from db.audit import Actor
from db.chain.values import Digest
from db.database import Connection
from db.errors import Refused
from db.operations import Change, Preview
from db.suiftly.escrow.contract import ASSET
from db.suiftly.escrow.decision import LEDGER_TYPES, EscrowRow, LedgerRow, OpenEvent
from db.suiftly.escrow.posting import LOCK_CUSTOMERS, OnBooks, add_escrow, add_ledger, on_books
from db.suiftly.money import exact_dollars, in_dollars
from db.suiftly.operations.of_event import CACHED, OfEvent, Waiting, version_of, words_of

Row = TypeVar("Row", EscrowRow, LedgerRow)

_OPPOSITE: Final = {"deposit": "withdrawal", "withdrawal": "deposit", "charge": "credit", "credit": "charge"}
_SET_RIGHT: LiteralString = """
    UPDATE escrow_transactions SET customer_id = %(customer)s, tx_type = %(kind)s, amount = %(amount)s,
                                   asset_type = %(asset)s, timestamp = %(at)s
    WHERE tx_id = %(id)s
"""
_TAKE_BACK: LiteralString = """
    INSERT INTO ledger_entries (id, customer_id, type, amount_usd_cents, tx_hash, description)
    SELECT %(id)s, customer_id, %(type)s, -amount_usd_cents, tx_hash, %(words)s
    FROM ledger_entries WHERE id = %(entry)s
"""


@dataclass(frozen=True, slots=True)
class Conflict:
    """An event in conflict, and the rows of the books that it is held against: those nearest to it."""

    event: Waiting
    money: OpenEvent
    customer: int
    row: EscrowRow | None
    entry: LedgerRow | None
    more: int  # rows under the same digest that stand for nothing and stay as they are
    taken: frozenset[int]  # sequence numbers under the digest

    @property
    def version(self) -> str:
        return version_of(self.event, self.row, self.entry, self.more, sorted(self.taken))

    @property
    def customers(self) -> frozenset[int]:
        """Whose books it touches."""
        rows = (self.row, self.entry)
        return frozenset({self.customer, *(row.customer_id for row in rows if row is not None)})

    @property
    def row_words(self) -> str:
        """What the mirror says once the chain is accepted."""
        return f"{self.money.kind} of {exact_dollars(self.money.amount_usd)} for customer {self.customer}"

    @property
    def entry_words(self) -> str:
        """What the ledger says then."""
        return f"{LEDGER_TYPES[self.money.kind]} of {in_dollars(self.money.cents)} for customer {self.customer}"

    @property
    def entry_is_right(self) -> bool:
        wanted = (self.customer, LEDGER_TYPES[self.money.kind], self.money.cents)
        return self.entry is not None and (self.entry.customer_id, self.entry.kind, self.entry.cents) == wanted

    @property
    def in_escrow(self) -> tuple[str, ...]:
        """What accepting the chain does to the mirror."""
        return (f"escrow: {'none' if self.row is None else self.row.words} → {self.row_words}",)

    @property
    def in_ledger(self) -> tuple[str, ...]:
        """What it does to the ledger."""
        if self.entry_is_right:
            return (f"ledger: has the {self.entry_words} already",)
        added = (f"ledger: + {self.entry_words}",) if self.money.cents else ()
        if self.entry is None:
            return added
        back = f"{_OPPOSITE[self.entry.kind]} of {in_dollars(self.entry.cents)} for customer {self.entry.customer_id}"
        return (f"ledger: + {back}, which takes back the {self.entry.kind}", *added)

    @property
    def others(self) -> tuple[str, ...]:
        """What is said of the rows that stay."""
        told = f"{self.more} other row(s) under this digest stand for no event, and stay as they are."
        return (told,) if self.more else ()


async def conflict_of(connection: Connection, found: Waiting) -> Conflict:
    """What a conflict is about. Raises Refused when the event says too little."""
    money = found.money
    if found.customer_id is None:
        raise Refused("the event is of no known customer")
    digest = Digest(found.tx_digest)
    books = (await on_books(connection, [digest])).get(digest) or OnBooks()
    unclaimed = [row for row in books.escrow if not row.claimed]
    return Conflict(
        found,
        money,
        found.customer_id,
        _nearest(unclaimed, found.customer_id, money.kind),
        _nearest(books.ledger, found.customer_id, LEDGER_TYPES[money.kind]),
        max(0, len(unclaimed) - 1) + max(0, len(books.ledger) - 1),
        frozenset(books.taken(digest)),
    )


def _nearest(rows: Sequence[Row], customer: int, kind: str) -> Row | None:
    return min(rows, key=lambda row: (row.customer_id != customer, row.kind != kind), default=None)


@dataclass(frozen=True, slots=True)
class KeepBooks(OfEvent):
    """Settles a conflict for the books: what they have under the digest stands for the event."""

    action = "keep-books"
    writes = ("UPDATE console.chain_event",)
    source = "conflict"
    verb = "Keep"

    async def preview(self, connection: Connection) -> Preview:
        found = await self._conflict(connection, lock=False)
        return Preview(
            title=f"Keep what the books have instead of {words_of(found.event)}",
            verb=self.verb,
            changes=("conflict → dismissed", *(f"stays: {line}" for line in _kept(found))),
            consequences=(
                "The books go on saying something else than the chain; reconciliation tells the difference.",
                *found.others,
            ),
            version=found.version,
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        found = await self._conflict(connection, lock=True)
        self.expect(found.version)
        kept = _kept(found)
        row, entry = found.row and found.row.id, found.entry and found.entry.id
        notes = (found.event.note, f"the books are kept: {reason}")
        await self.settle(connection, "dismissed", notes, row, entry)
        after: dict[str, Any] = {"outcome": "dismissed", "kept": list(kept)}
        return Change(
            before={self.event.subject: {"outcome": found.event.outcome}},
            after={self.event.subject: after},
            message=f"The event {self.event} is dismissed, and the books keep {' and '.join(kept)}",
            created=(f"customer:{found.customer}",),
        )

    async def _conflict(self, connection: Connection, *, lock: bool) -> Conflict:
        found = await conflict_of(connection, await self.waiting(connection, lock=lock))
        if found.row is None and found.entry is None:
            raise Refused("the books have nothing left under this digest to be kept; accept the chain's version")
        return found


def _kept(found: Conflict) -> tuple[str, ...]:
    row = () if found.row is None else (f"in the escrow mirror a {found.row.words}",)
    return row if found.entry is None else (*row, f"in the ledger a {found.entry.words}")


@dataclass(frozen=True, slots=True)
class AcceptChain(OfEvent):
    """Settles a conflict for the chain: the mirror is set right, and the ledger by entries that are added to it."""

    action = "accept-chain"
    writes = (
        "UPDATE console.chain_event",
        "INSERT public.escrow_transactions",
        "UPDATE public.escrow_transactions",
        "INSERT public.ledger_entries",
        "INSERT console.ledger_reversal",
    )
    source = "conflict"
    verb = "Accept"

    async def preview(self, connection: Connection) -> Preview:
        found = await conflict_of(connection, await self.waiting(connection, lock=False))
        return Preview(
            title=f"Accept {words_of(found.event)} as the chain has it",
            verb=self.verb,
            changes=("conflict → mirrored", *found.in_escrow, *found.in_ledger),
            consequences=(*found.others, CACHED),
            version=found.version,
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        found = await conflict_of(connection, await self.waiting(connection, lock=True))
        await connection.execute(LOCK_CUSTOMERS, (sorted(found.customers),))
        found = await conflict_of(connection, found.event)  # as it is under the lock
        self.expect(found.version)
        tx_id = await _escrow(connection, found)
        ledger_id = await _ledger(connection, found, reason)
        await self.settle(
            connection, "mirrored", (found.event.note, f"the chain is accepted: {reason}"), tx_id, ledger_id
        )
        told = [*found.in_escrow, *found.in_ledger]
        before = {"outcome": found.event.outcome, "escrow": found.row and found.row.words,
                  "ledger": found.entry and found.entry.words}  # fmt: skip
        after: dict[str, Any] = {"outcome": "mirrored", "escrow": found.row_words, "ledger": found.entry_words}
        return Change(
            before={self.event.subject: before},
            after={self.event.subject: after},
            message=f"The event {self.event} is mirrored; {'; '.join(told)}",
            created=tuple(f"customer:{customer}" for customer in sorted(found.customers)),
        )


async def _escrow(connection: Connection, found: Conflict) -> int:
    """The row of the mirror that stands for the event, set right or added."""
    if found.row is None:
        return await add_escrow(connection, found.money, found.customer, set(found.taken))
    row = {
        "customer": found.customer,
        "kind": found.money.kind,
        "amount": found.money.amount_usd,
        "asset": ASSET,
        "at": found.money.at,
        "id": found.row.id,
    }
    await connection.execute(_SET_RIGHT, row)
    return found.row.id


async def _ledger(connection: Connection, found: Conflict, reason: str) -> UUID | None:
    """The entry that stands for the event: the one that was right, or one that is added when the wrong one is taken
    back."""
    if found.entry is not None:
        if found.entry_is_right:
            return found.entry.id
        reversal = {
            "id": uuid4(),
            "type": _OPPOSITE[found.entry.kind],
            "words": f"takes back the entry {found.entry.id}: {reason}",
            "entry": found.entry.id,
        }
        await connection.execute(_TAKE_BACK, reversal)
        await connection.execute(
            "INSERT INTO console.ledger_reversal (entry_id, reversal_id) VALUES (%s, %s)",
            (found.entry.id, reversal["id"]),
        )
    return await add_ledger(connection, found.money, found.customer)

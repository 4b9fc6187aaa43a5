"""The events of the inbox: the list by outcome, and one of them beside what the books have under its transaction."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, LiteralString, Self

from psycopg.rows import class_row

from db.chain.units import Cents, Usdc
from db.chain.values import ChainValueError, Digest, parse_object_id
from db.database import Database
from db.page import Page, page_of
from db.suiftly.customer_id import read_customer_id
from db.suiftly.escrow.contract import Kind, amount_of

OPEN: Final = ("unmatched", "conflict")
OUTCOMES: Final = (*OPEN, "dismissed", "mirrored", "already_recorded", "noted")
HINT: Final = f"open | all | {' | '.join(OUTCOMES)}, customer:42, an account, a transaction"


@dataclass(frozen=True, slots=True)
class EventId:
    """An event: its transaction, and its index in there."""

    digest: Digest
    index: int

    def __str__(self) -> str:
        return f"{self.digest}:{self.index}"

    @property
    def subject(self) -> str:
        """As the record names it."""
        return f"event:{self}"

    @classmethod
    def parse(cls, text: str, field: str = "event") -> Self:
        """From DIGEST:INDEX, the digest in any of its forms. Raises ChainValueError."""
        digest, colon, index = text.strip().rpartition(":")
        if not colon:
            Digest.parse(index, field)  # which knows better what is the matter with it
        if not re.fullmatch(r"[0-9]{1,9}", index, re.ASCII) or not colon:
            raise ChainValueError(f"{field}: give DIGEST:INDEX, the transaction and the event's number in it from 0")
        return cls(Digest.parse(digest, field), int(index))


@dataclass(frozen=True, slots=True)
class InboxEvent:
    """An event as the inbox has it. `customer_id` is whose books it is on or in conflict with, if one is known."""

    tx_digest: bytes
    event_index: int
    checkpoint: int
    tx_index: int
    at: datetime
    type: str
    account_id: str | None
    owner: str | None
    kind: Kind | None
    amount_usd: Decimal | None
    cents: int | None
    rest_usdc: int
    customer_id: int | None
    outcome: str
    note: str | None

    @property
    def id(self) -> EventId:
        return EventId(Digest(self.tx_digest), self.event_index)

    @property
    def name(self) -> str:
        """Its type without package and module."""
        return self.type.rpartition("::")[2]

    @property
    def amount(self) -> Usdc | Cents | None:
        """In the unit in which the contract counts it."""
        return amount_of(self.kind, self.amount_usd)


@dataclass(frozen=True, slots=True)
class BookedRow:
    """What the books have under the same digest. `stands_for` is the index of the event that claims it."""

    book: str  # "escrow", "ledger"
    row: str
    customer_id: int
    kind: str
    amount: Decimal
    asset: str  # "USDC", "USD", or another coin
    at: datetime
    stands_for: int | None
    taken_back: bool  # by an opposite entry, or itself the one that does
    words: str | None

    def differences(self, event: InboxEvent) -> frozenset[str]:
        """Which of customer, kind and amount are not what the event says."""
        exact = event.amount_usd if self.book == "escrow" or event.cents is None else Decimal(event.cents) / 100
        same = {
            "customer": event.customer_id is None or self.customer_id == event.customer_id,
            "kind": self.kind == event.kind,
            "amount": self.amount == exact and self.asset in ("USD", "USDC"),
        }
        return frozenset(name for name, alike in same.items() if not alike)


@dataclass(frozen=True, slots=True)
class InboxEventDetail:
    """One event in full: its fields as the chain has them, and the rows of the books beside it."""

    event: InboxEvent
    fields: Mapping[str, Any]
    books: tuple[BookedRow, ...]


@dataclass(frozen=True, slots=True)
class EventSearch:
    """Which events are wanted; those that wait for somebody, unless something else is asked for."""

    outcomes: tuple[str, ...] = OPEN
    customer_id: int | None = None
    named: str | None = None  # the 64 hex digits of an account, or of a transaction


def parse_event_search(text: str) -> EventSearch:
    """Reads words like those of HINT. Raises ValueError with one sentence that repeats nothing of what was typed."""
    outcomes: tuple[str, ...] | None = None
    customer: int | None = None
    named: str | None = None
    for word in text.split():
        number = word.removeprefix("customer:")
        if word in ("open", "all", *OUTCOMES):
            known = {"open": OPEN, "all": OUTCOMES}
            outcomes = (outcomes or ()) + known.get(word, (word,))
        elif (typed := read_customer_id(number)) is not None:
            customer = typed
        elif word.lower().startswith("0x"):
            named = parse_object_id(word, "account").removeprefix("0x")
        else:
            try:
                named = Digest.parse(word).raw.hex()
            except ChainValueError:
                raise ValueError(f"search events by {HINT}") from None
    if outcomes is None:
        # Who names a customer, an account or a transaction wants what there is of it.
        outcomes = OPEN if customer is None and named is None else OUTCOMES
    return EventSearch(tuple(dict.fromkeys(outcomes)), customer, named)


_COLUMNS: LiteralString = """
    e.tx_digest, e.event_index, e.checkpoint, e.tx_index, e.at, e.type, e.account_id, e.owner, e.kind, e.amount_usd,
    e.cents, e.rest_usdc, e.customer_id, e.outcome, e.note
"""
_OF_CUSTOMER: LiteralString = """
    (e.customer_id = %(customer)s
     OR e.account_id = (SELECT escrow_contract_id FROM customers WHERE customer_id = %(customer)s))
"""
_BEHIND: LiteralString = """
    (e.checkpoint, e.tx_index, e.event_index) < (%(checkpoint)s::bigint, %(tx_index)s::bigint, %(index)s::integer)
"""
_FIND: LiteralString = f"""
    SELECT {_COLUMNS} FROM console.chain_event e WHERE e.tx_digest = %(digest)s AND e.event_index = %(index)s
"""
_FIELDS: LiteralString = """
    SELECT fields FROM console.chain_event WHERE tx_digest = %(digest)s AND event_index = %(index)s
"""
_LAST_RUN: LiteralString = """
    SELECT outcome, message FROM console.job_run
    WHERE job = 'sync-chain' AND NOT dry_run AND outcome IS NOT NULL AND outcome <> 'skipped'
    ORDER BY started_at DESC LIMIT 1
"""
_BOOKED: LiteralString = """
    SELECT 'escrow' AS book, x.tx_id::text AS row, x.customer_id, x.tx_type AS kind, x.amount,
           CASE WHEN x.asset_type IS NULL OR x.asset_type LIKE '%%::usdc::USDC' THEN 'USDC' ELSE x.asset_type END
               AS asset,
           x.timestamp AS at, e.event_index AS stands_for, false AS taken_back, NULL AS words
    FROM escrow_transactions x LEFT JOIN console.chain_event e USING (tx_id) WHERE x.tx_digest = ANY(%(spellings)s)
    UNION ALL
    SELECT 'ledger', l.id::text, l.customer_id, CASE l.type WHEN 'withdrawal' THEN 'withdraw' ELSE l.type END,
           abs(l.amount_usd_cents) / 100.0, 'USD', l.created_at, e.event_index,
           EXISTS (SELECT FROM console.ledger_reversal r WHERE l.id IN (r.entry_id, r.reversal_id)), l.description
    FROM ledger_entries l LEFT JOIN console.chain_event e ON e.ledger_id = l.id WHERE l.tx_hash = ANY(%(spellings)s)
    ORDER BY 1, 7, 2
"""


class EscrowEvents:
    """Questions about the inbox. None of them asks a node."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, search: EventSearch, *, after: InboxEvent | None = None, limit: int = 100) -> Page[InboxEvent]:
        """Events in the order of the chain, the newest first."""
        conditions: list[LiteralString] = ["true"]
        if set(search.outcomes) <= set(OPEN):
            conditions.append("e.outcome IN ('unmatched', 'conflict')")  # as its index has it
        if search.outcomes != OUTCOMES:
            conditions.append("e.outcome = ANY(%(outcomes)s)")
        if search.customer_id is not None:
            conditions.append(_OF_CUSTOMER)
        if search.named is not None:
            conditions.append("(e.account_id = '0x' || %(named)s OR e.tx_digest = decode(%(named)s, 'hex'))")
        if after is not None:
            conditions.append(_BEHIND)
        parameters = {
            "outcomes": list(search.outcomes),
            "customer": search.customer_id,
            "named": search.named,
            "checkpoint": after and after.checkpoint,
            "tx_index": after and after.tx_index,
            "index": after and after.event_index,
            "limit": limit + 1,
        }
        query: LiteralString = f"SELECT {_COLUMNS} FROM console.chain_event e WHERE " + " AND ".join(conditions)
        query += " ORDER BY e.checkpoint DESC, e.tx_index DESC, e.event_index DESC LIMIT %(limit)s"
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(InboxEvent))
            await cursor.execute(query, parameters)
            return page_of(await cursor.fetchall(), limit)

    async def find(self, event: EventId) -> InboxEventDetail | None:
        """One event with what the books have under its transaction, in one instant; None when it is not there."""
        parameters = {"digest": event.digest.raw, "index": event.index, "spellings": list(event.digest.spellings)}
        async with self._database.reading(one_snapshot=True) as connection:
            cursor = connection.cursor(row_factory=class_row(InboxEvent))
            found = await (await cursor.execute(_FIND, parameters)).fetchone()
            fields = await (await connection.execute(_FIELDS, parameters)).fetchone()
            if found is None or fields is None:
                return None
            booked = connection.cursor(row_factory=class_row(BookedRow))
            await booked.execute(_BOOKED, parameters)
            return InboxEventDetail(found, fields[0], tuple(await booked.fetchall()))

    async def stopped(self) -> str | None:
        """Why the last run of sync-chain did not come to the tip, such as an event that cannot be read; None if it
        did, or none has ended."""
        async with self._database.reading() as connection:
            row = await (await connection.execute(_LAST_RUN)).fetchone()
        return None if row is None or row[0] == "succeeded" else f"{row[0]}: {row[1]}"

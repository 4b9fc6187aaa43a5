"""A customer's money: the ledger with its running balance, and the mirror of the escrow on the chain."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import LiteralString, TypeVar
from uuid import UUID

from psycopg.rows import class_row

from db.database import Database
from db.page import Page, page_of
from db.suiftly.escrow.books import MIRRORED

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One entry and the balance after it. Deposits and credits are positive, charges and withdrawals negative.

    `breaks` says what is wrong with it, a sentence each: nothing here corrects anything.
    """

    id: UUID
    type: str
    cents: int
    balance_cents: int
    sui_mist: int | None
    sui_usd_rate_cents: int | None
    tx_hash: str | None
    description: str | None
    invoice_id: str | None
    created_at: datetime
    breaks: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "breaks", tuple(self.breaks))


@dataclass(frozen=True, slots=True)
class EscrowEntry:
    """One event of the escrow on the chain. `amount` is USD for USDC or no asset, else coins; `ledger_cents` is the
    entry with the same digest, None when the ledger has none.
    """

    tx_id: int
    tx_digest: str
    event_seq: int
    type: str
    amount: Decimal
    asset_type: str | None
    at: datetime
    ledger_cents: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """The same money counted three times. `escrow_usd` has other coins in it at the rate that the ledger recorded, and
    is None when it recorded none for one of them, or when nothing is mirrored."""

    ledger_cents: int
    balance_cents: int | None  # the cached one
    escrow_usd: Decimal | None


# The balance is summed over the whole ledger of the customer, whatever page is shown.
_LEDGER: LiteralString = """
    SELECT l.id, l.type, l.cents, l.balance_cents, l.sui_mist, l.sui_usd_rate_cents, l.tx_hash, l.description,
           l.invoice_id, l.created_at, array_remove(ARRAY[
               CASE WHEN l.balance_cents < 0 THEN 'the balance is below zero' END,
               CASE WHEN l.type = 'charge' AND l.invoice_id IS NULL THEN 'it names no bill'
                    WHEN l.invoice_id IS NOT NULL AND b.id IS NULL THEN 'its bill is not on record'
                    WHEN b.amount_usd_cents <> -l.cents THEN 'its bill has another amount'
                    WHEN b.status <> 'paid' THEN 'its bill is ' || b.status END,
               CASE WHEN l.tx_hash IS NOT NULL AND NOT EXISTS (
                        SELECT FROM escrow_transactions e WHERE e.tx_digest = l.tx_hash)
                    THEN 'its transaction is not in the escrow mirror' END], NULL) AS breaks
    FROM (SELECT id, type, amount_usd_cents AS cents, amount_sui_mist AS sui_mist, sui_usd_rate_cents, tx_hash,
                 description, invoice_id, created_at,
                 sum(amount_usd_cents) OVER (ORDER BY created_at, id)::bigint AS balance_cents
          FROM ledger_entries WHERE customer_id = %(customer)s) l
    LEFT JOIN billing_records b
           ON b.id = CASE WHEN l.invoice_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN l.invoice_id::uuid END
    WHERE %(at)s::timestamptz IS NULL OR (l.created_at, l.id) < (%(at)s::timestamptz, %(id)s::uuid)
    ORDER BY l.created_at DESC, l.id DESC LIMIT %(limit)s
"""
_ESCROW: LiteralString = """
    SELECT e.tx_id, e.tx_digest, e.event_seq, e.tx_type AS type, e.amount, e.asset_type, e.timestamp AS at,
           (SELECT sum(l.amount_usd_cents)::bigint FROM ledger_entries l
            WHERE l.tx_hash = e.tx_digest AND l.customer_id = e.customer_id) AS ledger_cents
    FROM escrow_transactions e
    WHERE e.customer_id = %(customer)s
      AND (%(at)s::timestamptz IS NULL OR (e.timestamp, e.tx_id) < (%(at)s::timestamptz, %(id)s::bigint))
    ORDER BY e.timestamp DESC, e.tx_id DESC LIMIT %(limit)s
"""
_STANDING: LiteralString = (
    """
    SELECT coalesce((SELECT sum(amount_usd_cents) FROM ledger_entries WHERE customer_id = c.customer_id), 0)::bigint
               AS ledger_cents,
           c.current_balance_usd_cents AS balance_cents,
           (SELECT CASE WHEN bool_and(usd IS NOT NULL) THEN sum(usd) END
            FROM ("""
    + MIRRORED
    + """ WHERE x.customer_id = c.customer_id) m) AS escrow_usd
    FROM customers c WHERE c.customer_id = %(customer)s
"""
)


class Ledger:
    """Questions about one customer's money."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, customer: int, *, after: tuple[datetime, UUID] | None = None, limit: int = 100
    ) -> Page[LedgerEntry]:
        """Entries with the balance after each, newest first, behind the one with that time and id."""
        return await self._page(_LEDGER, LedgerEntry, customer, after, limit)

    async def escrow(
        self, customer: int, *, after: tuple[datetime, int] | None = None, limit: int = 100
    ) -> Page[EscrowEntry]:
        """Events of the escrow as mirrored, newest first, behind the one with that time and id."""
        return await self._page(_ESCROW, EscrowEntry, customer, after, limit)

    async def _page(
        self,
        query: LiteralString,
        row: type[_Row],
        customer: int,
        after: tuple[datetime, UUID] | tuple[datetime, int] | None,
        limit: int,
    ) -> Page[_Row]:
        at, last = after or (None, None)
        parameters = {"customer": customer, "at": at, "id": last, "limit": limit + 1}
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(row))
            await cursor.execute(query, parameters)
            return page_of(await cursor.fetchall(), limit)

    async def entry_at(self, customer: int, entry: UUID) -> datetime | None:
        """When this entry of the customer's ledger was made; None when there is none."""
        return await self._time(
            "SELECT created_at FROM ledger_entries WHERE customer_id = %s AND id = %s", customer, entry
        )

    async def event_at(self, customer: int, event: int) -> datetime | None:
        """When this mirrored event of the customer's escrow was; None when there is none."""
        return await self._time(
            "SELECT timestamp FROM escrow_transactions WHERE customer_id = %s AND tx_id = %s", customer, event
        )

    async def _time(self, query: LiteralString, customer: int, row: UUID | int) -> datetime | None:
        async with self._database.reading() as connection:
            found = await (await connection.execute(query, (customer, row))).fetchone()
        return found[0] if found else None

    async def standing(self, customer: int) -> Standing | None:
        """Ledger, cached balance and mirror side by side; None when there is no such customer."""
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(Standing))
            await cursor.execute(_STANDING, {"customer": customer})
            return await cursor.fetchone()

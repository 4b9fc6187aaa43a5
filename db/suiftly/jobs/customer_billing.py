"""One customer's turn in calculate-bills: what is open is read under lock, and what is due put on bills."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from db.database import Connection
from db.suiftly.billing.rules import Draft, OpenItem, ServiceSpan, draft, midnight, month_of, monthly_fees, next_month
from db.suiftly.billing.spending import SPENT, UNPAID
from db.suiftly.pricing import PriceBook, units, usd

_ACCOUNT: LiteralString = (
    "SELECT c.status, c.max_monthly_usd_cents - " + SPENT + " - " + UNPAID + """ AS room_cents,
            (SELECT max(b.billing_period_end) FROM billing_records b
             WHERE b.customer_id = c.customer_id AND b.type = 'charge' AND b.status <> 'voided') AS last_end
       FROM customers c WHERE c.customer_id = %(customer)s"""
)  # fmt: skip
# In the order in which metering locks them, so that the two never wait for each other in a circle.
_OPEN_USAGE: LiteralString = """
    SELECT record_id, service_type, window_start, request_count, coalesce(bytes_transferred, 0)
    FROM usage_records WHERE customer_id = %(customer)s AND billing_record_id IS NULL AND window_start < %(end)s
      AND charged_amount IS NULL  -- charged by others, it is on no bill of ours
    ORDER BY service_type, window_start FOR UPDATE
"""
_OPEN_FEES: LiteralString = """
    SELECT fee_id, month, amount_usd FROM console.monthly_fee
    WHERE customer_id = %(customer)s AND billing_record_id IS NULL ORDER BY fee_id FOR UPDATE
"""
_SPANS: LiteralString = """
    SELECT service_type AS service, tier, since, until FROM console.service_span
    WHERE customer_id = %(customer)s AND since < %(end)s AND (until IS NULL OR until > %(month)s)
    ORDER BY service_type, since
"""
_LIVE_KEYS: LiteralString = """
    SELECT service_type, count(*) FROM api_keys
    WHERE customer_id = %(customer)s AND created_at < %(end)s AND (revoked_at IS NULL OR revoked_at >= %(end)s)
    GROUP BY service_type
"""
_SEAL_KEYS: LiteralString = """
    SELECT count(*) FROM seal_keys WHERE customer_id = %(customer)s AND is_active AND created_at < %(end)s
"""


@dataclass(frozen=True, slots=True)
class Closing:
    """How far the books can be written: `horizon` is the last midnight before which everything is counted."""

    horizon: datetime
    fees_from: date
    closed_before: date

    @property
    def month_ends(self) -> bool:
        """A month is over and not closed yet."""
        return self.closed_before < month_of(self.horizon).date()


@dataclass(slots=True)
class Made:
    """What came of one customer: the bills, and notes on what was not billed."""

    bills: list[UUID] = field(default_factory=list[UUID])
    notes: list[str] = field(default_factory=list[str])
    counts: Counter[str] = field(default_factory=Counter[str])


@dataclass(frozen=True, slots=True)
class _Account:
    """`room_cents` is what the spending limit leaves, None without one; `last_end` is of the last bill."""

    status: str
    room_cents: int | None
    last_end: datetime | None


class CustomerBilling:
    """One customer in the transaction of a step."""

    def __init__(self, connection: Connection, prices: PriceBook, closing: Closing, customer: int) -> None:
        self._connection = connection
        self._prices = prices
        self._closing = closing
        self._customer = customer
        self._made = Made()

    async def bill(self) -> Made:
        """Makes the bills that are due, one for each month."""
        account = await self._locked()
        suspended = account.status == "suspended"
        items = [*await self._open_usage(), *await self._open_fees()]
        begin = self._begin(account, items)
        room, left = 0 if suspended else account.room_cents, 0
        while begin < self._closing.horizon:
            month_end = next_month(begin)
            end = min(month_end, self._closing.horizon)
            if end == month_end and not suspended:
                items += await self._new_fees(month_of(begin))
            final = end == month_end or account.status == "closed"
            found = draft(self._prices, items, begin, end, final=final, room_cents=room)
            if found is not None:
                left = found.left_units
            if found is not None and found.items:
                await self._issue(found)
                billed = set(found.items)
                items = [item for item in items if item not in billed]
                room = None if room is None else room - found.cents
            begin = end
        await self._remember_blocked("suspended" if suspended else "limit", left)
        return self._made

    async def _locked(self) -> _Account:
        """Locks the customer, then reads: who waited for the lock must see what the other did."""
        parameters = {"customer": self._customer, "period_days": self._prices.limit_period_days}
        await self._connection.execute(
            "SELECT FROM customers WHERE customer_id = %(customer)s FOR NO KEY UPDATE", parameters
        )
        cursor = self._connection.cursor(row_factory=class_row(_Account))
        account = await (await cursor.execute(_ACCOUNT, parameters)).fetchone()
        assert account is not None  # noqa: S101 - customers are never deleted
        return account

    async def _open_usage(self) -> list[OpenItem]:
        """Open usage that has a price."""
        items: list[OpenItem] = []
        parameters = {"customer": self._customer, "end": self._closing.horizon}
        cursor = await self._connection.execute(_OPEN_USAGE, parameters)
        for row, service, hour, requests, size in await cursor.fetchall():
            worth = self._prices.usage_units(service, hour, requests, size)
            if worth is None:
                self._made.counts["unpriced"] += 1
            else:
                items.append(OpenItem("usage", row, hour, worth))
        return items

    async def _open_fees(self) -> list[OpenItem]:
        cursor = await self._connection.execute(_OPEN_FEES, {"customer": self._customer})
        return [_fee_item(fee, month, units(amount)) for fee, month, amount in await cursor.fetchall()]

    def _begin(self, account: _Account, items: Sequence[OpenItem]) -> datetime:
        """Where the next bill begins: behind the last one, never in a closed month."""
        oldest = min([midnight(self._closing.fees_from), *(month_of(item.at) for item in items)])
        return max(oldest, midnight(self._closing.closed_before), account.last_end or oldest)

    async def _new_fees(self, month: datetime) -> list[OpenItem]:
        """Writes down the fees of a month that ends, once."""
        prices = self._prices.at(month)
        if prices is None or month.date() < max(self._closing.fees_from, self._closing.closed_before):
            return []
        parameters = {"customer": self._customer, "month": month, "end": next_month(month)}
        cursor = self._connection.cursor(row_factory=class_row(ServiceSpan))
        spans = await (await cursor.execute(_SPANS, parameters)).fetchall()
        keys = dict(await (await self._connection.execute(_LIVE_KEYS, parameters)).fetchall())
        row = await (await self._connection.execute(_SEAL_KEYS, parameters)).fetchone()
        items: list[OpenItem] = []
        for fee in monthly_fees(prices, spans, keys, row[0] if row else 0, month):
            written = await self._connection.execute(
                """INSERT INTO console.monthly_fee (customer_id, month, service_type, item, detail, amount_usd)
                   VALUES (%s, %s, %s, %s, %s, %s)
                   ON CONFLICT (customer_id, month, service_type, item) DO NOTHING RETURNING fee_id""",
                (self._customer, month.date(), fee.service, fee.item, fee.detail, usd(fee.units)),
            )
            if new := await written.fetchone():
                items.append(_fee_item(new[0], month.date(), fee.units))
        return items

    async def _issue(self, found: Draft) -> None:
        """Writes the bill and puts its items on it."""
        cursor = await self._connection.execute(
            """INSERT INTO billing_records
                   (customer_id, billing_period_start, billing_period_end, amount_usd_cents, type)
               VALUES (%s, %s, %s, %s, 'charge') RETURNING id""",
            (self._customer, found.begin, found.end, found.cents),
        )
        row = await cursor.fetchone()
        assert row is not None  # noqa: S101 - INSERT RETURNING
        usage = [item for item in found.items if item.kind == "usage"]
        await self._connection.execute(
            """UPDATE usage_records u
               SET billing_record_id = %s, charged_amount = charged.units * 0.00000001
               FROM unnest(%s::bigint[], %s::numeric[]) AS charged(record_id, units)
               WHERE u.record_id = charged.record_id""",
            (row[0], [item.row for item in usage], [item.units for item in usage]),
        )
        await self._connection.execute(
            "UPDATE console.monthly_fee SET billing_record_id = %s WHERE fee_id = ANY(%s)",
            (row[0], [item.row for item in found.items if item.kind == "fee"]),
        )
        self._made.bills.append(row[0])
        self._made.counts.update(bills=1, cents=found.cents)

    async def _remember_blocked(self, reason: str, left: int) -> None:
        if not left:
            await self._connection.execute(
                "DELETE FROM console.billing_blocked WHERE customer_id = %s", (self._customer,)
            )
            return
        await self._connection.execute(
            """INSERT INTO console.billing_blocked AS b (customer_id, reason, open_usd) VALUES (%s, %s, %s)
               ON CONFLICT (customer_id) DO UPDATE SET reason = excluded.reason, open_usd = excluded.open_usd
               WHERE (b.reason, b.open_usd) <> (excluded.reason, excluded.open_usd)""",
            (self._customer, reason, usd(left)),
        )
        why = "it is suspended" if reason == "suspended" else "its spending limit leaves no more room"
        self._made.counts["blocked"] += 1
        self._made.notes.append(f"customer {self._customer}: {usd(left):,.8f} USD stay open: {why}")


def _fee_item(fee: int, month: date, worth: int) -> OpenItem:
    return OpenItem("fee", fee, next_month(midnight(month)) - timedelta(hours=1), worth)

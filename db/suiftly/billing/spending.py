"""What customers have spent of their limits, and where that will end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import LiteralString

from psycopg.rows import class_row

from db.database import Connection, Database
from db.suiftly.billing.rules import midnight
from db.suiftly.pricing import UNITS_PER_CENT, PriceBook

SPENT: LiteralString = """
    CASE WHEN c.current_month_start IS NULL
           OR c.current_month_start >= console.limit_period(c.current_month_start, %(period_days)s, current_date)
         THEN coalesce(c.current_month_charged_usd_cents, 0) ELSE 0 END
"""
"""Cents charged to customer `c` in the period of today; 0 when monthly-reset has still to begin it."""

UNPAID: LiteralString = """
    coalesce((SELECT sum(b.amount_usd_cents) FROM billing_records b
              WHERE b.customer_id = c.customer_id AND b.type = 'charge' AND b.status IN ('pending', 'failed')),
             0)::bigint
"""
"""Cents of customer `c` on bills that are still to be paid: they will be charged to this period."""


@dataclass(frozen=True, slots=True)
class Spending:
    """One customer against its limit, in cents. `open_cents` is metered and not billed yet, rounded down.

    `projected_cents` is what the period comes to if its rest is like its beginning; None in its first hours.
    """

    customer_id: int
    limit_cents: int | None
    charged_cents: int
    unpaid_cents: int
    open_cents: int
    begin: date
    end: date
    projected_cents: int | None

    @property
    def spent_cents(self) -> int:
        """Charged, or certain to be."""
        return self.charged_cents + self.unpaid_cents

    @property
    def percent(self) -> int | None:
        """Of the limit, rounded down; None without one."""
        return None if self.limit_cents is None else 100 * self.spent_cents // self.limit_cents


@dataclass(frozen=True, slots=True)
class _Row:
    customer_id: int
    limit_cents: int | None
    charged_cents: int
    unpaid_cents: int
    begin: date
    end: date
    now: datetime


_SELECT: LiteralString = (
    """SELECT s.*, now() AS now,
              CASE WHEN %(period_days)s = 0 THEN (s.begin + interval '1 month')::date
                   ELSE s.begin + %(period_days)s END AS end
       FROM (SELECT c.customer_id, c.max_monthly_usd_cents AS limit_cents, """ + SPENT + " AS charged_cents, "
    + UNPAID + """ AS unpaid_cents,
              console.limit_period(coalesce(c.current_month_start, (c.created_at AT TIME ZONE 'UTC')::date),
                                   %(period_days)s, current_date) AS begin
              FROM customers c WHERE """
)  # fmt: skip
# Whoever has spent that much has been charged it, which the index knows, or has bills to pay; the closed spend no more.
_NEAR: LiteralString = """
    c.max_monthly_usd_cents IS NOT NULL AND c.status <> 'closed' AND c.customer_id IN (
        SELECT customer_id FROM customers
        WHERE current_month_charged_usd_cents * 100 / max_monthly_usd_cents >= %(percent)s
          AND max_monthly_usd_cents IS NOT NULL
        UNION SELECT customer_id FROM billing_records WHERE status IN ('pending', 'failed') AND type = 'charge')) s
    WHERE (s.charged_cents + s.unpaid_cents) * 100 / s.limit_cents >= %(percent)s
    ORDER BY (s.charged_cents + s.unpaid_cents)::numeric / s.limit_cents DESC, s.customer_id LIMIT %(limit)s
"""
_OPEN: LiteralString = """
    SELECT customer_id, service_type, max(window_start), sum(request_count)::bigint,
           coalesce(sum(bytes_transferred), 0)::bigint
    FROM usage_records WHERE customer_id = ANY(%(customers)s) AND billing_record_id IS NULL AND charged_amount IS NULL
    GROUP BY customer_id, service_type, width_bucket(window_start, %(dates)s::timestamptz[])
"""


class SpendingLimits:
    """Questions about spending. `prices` values what is not billed yet."""

    def __init__(self, database: Database, prices: PriceBook) -> None:
        self._database = database
        self._prices = prices

    async def of(self, customer: int) -> Spending | None:
        """One customer; None when unknown."""
        query = _SELECT + "c.customer_id = %(customer)s) s"
        found = await self._read(query, {"customer": customer})
        return found[0] if found else None

    async def near(self, *, percent: int = 80, limit: int = 100) -> tuple[Spending, ...]:
        """Customers who have spent so much of their limit or more, the nearest to it first."""
        return await self._read(_SELECT + _NEAR, {"percent": percent, "limit": limit})

    async def _read(self, query: LiteralString, parameters: dict[str, object]) -> tuple[Spending, ...]:
        async with self._database.reading(one_snapshot=True) as connection:
            cursor = connection.cursor(row_factory=class_row(_Row))
            await cursor.execute(query, {"period_days": self._prices.limit_period_days, **parameters})
            rows = await cursor.fetchall()
            open_units = await self._open_units(connection, [row.customer_id for row in rows])
        return tuple(_spending(row, open_units.get(row.customer_id, 0) // UNITS_PER_CENT) for row in rows)

    async def _open_units(self, connection: Connection, customers: Sequence[int]) -> dict[int, int]:
        dates = [midnight(one.effective_from) for one in self._prices.prices]
        cursor = await connection.execute(_OPEN, {"customers": list(customers), "dates": dates})
        worth: dict[int, int] = {}
        for customer, service, hour, requests, size in await cursor.fetchall():
            units = self._prices.usage_units(service, hour, requests, size) or 0
            worth[customer] = worth.get(customer, 0) + units
        return worth


def _spending(row: _Row, open_cents: int) -> Spending:
    begin, end = midnight(row.begin), midnight(row.end)
    # Of six hours one cannot tell a month.
    hours, whole = int((row.now - begin).total_seconds() // 3600), int((end - begin).total_seconds() // 3600)
    so_far = row.charged_cents + row.unpaid_cents + open_cents
    projected = so_far * whole // hours if hours >= 6 else None
    return Spending(
        row.customer_id, row.limit_cents, row.charged_cents, row.unpaid_cents, open_cents, row.begin, row.end, projected
    )

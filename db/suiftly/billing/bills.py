"""Bills: a month of them, one with its lines, what could not be billed, and whether each is what it was made of."""

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from db.database import Database
from db.page import Page, page_of
from db.suiftly.billing.lines import BillLine, bill_lines, rounding
from db.suiftly.billing.rules import midnight, next_month

BILL_STATUSES = ("pending", "failed", "paid", "voided")
SIGNS = "On bills a charge is positive, credits and refunds negative; in the ledger it is the other way round."
_CHECKED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Bill:
    """One row of billing_records. `cents` of a charge is positive, of a credit or refund negative."""

    id: UUID
    customer_id: int
    begin: datetime
    end: datetime
    cents: int
    status: str
    type: str
    tx_digest: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BillDetail:
    """A bill with its lines. They add up to its amount, the rounding among them; none when made elsewhere."""

    bill: Bill
    lines: tuple[BillLine, ...]


@dataclass(frozen=True, slots=True)
class BillSearch:
    """What a list of bills is narrowed to. Fields combine; `month` is the first day of the one they begin in (UTC)."""

    month: date | None = None
    status: str | None = None
    customer_id: int | None = None


@dataclass(frozen=True, slots=True)
class MonthCount:
    """Bills of one month with one status and type, and their sum."""

    status: str
    type: str
    bills: int
    cents: int


@dataclass(frozen=True, slots=True)
class Blocked:
    """A customer whose open usage could not be billed. `reason`: limit or suspended."""

    customer_id: int
    reason: str
    open_usd: Decimal
    since: datetime


@dataclass(frozen=True, slots=True)
class BillDifference:
    """A charge that is not the sum of its records and fees, rounding aside."""

    bill: Bill
    records_usd: Decimal


@dataclass(frozen=True, slots=True)
class CheckedBills:
    """What checking some bills came to."""

    bills: int
    differences: tuple[BillDifference, ...]


_SELECT: LiteralString = """
    SELECT b.id, b.customer_id, b.billing_period_start AS begin, b.billing_period_end AS end,
           b.amount_usd_cents AS cents, b.status, b.type, b.tx_digest, b.created_at
    FROM billing_records b
"""


class Billing:
    """Questions about bills."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, search: BillSearch, *, after: Bill | None = None, limit: int = 100) -> Page[Bill]:
        """The next bills after `after`, the latest periods first."""
        conditions: list[LiteralString] = ["true"]
        if search.month is not None:
            conditions.append("b.billing_period_start >= %(begin)s AND b.billing_period_start < %(end)s")
        if search.status is not None:
            conditions.append("b.status = %(status)s")
        if search.customer_id is not None:
            conditions.append("b.customer_id = %(customer)s")
        if after is not None:
            conditions.append("(b.billing_period_start, b.created_at, b.id) < (%(after)s, %(created)s, %(id)s)")
        query = (
            _SELECT + " WHERE " + " AND ".join(conditions)
            + " ORDER BY b.billing_period_start DESC, b.created_at DESC, b.id DESC LIMIT %(limit)s"
        )  # fmt: skip
        month = None if search.month is None else midnight(search.month)
        parameters = {
            "begin": month,
            "end": month and next_month(month),
            "status": search.status,
            "customer": search.customer_id,
            "after": after and after.begin,
            "created": after and after.created_at,
            "id": after and after.id,
            "limit": limit + 1,
        }
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(Bill))
            await cursor.execute(query, parameters)
            return page_of(await cursor.fetchall(), limit)

    async def counts(self, month: date) -> tuple[MonthCount, ...]:
        """How many bills begin in a month, by status and type, and their sums."""
        begin = midnight(month)
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(MonthCount))
            await cursor.execute(
                """SELECT status, type, count(*) AS bills, sum(amount_usd_cents)::bigint AS cents FROM billing_records
                   WHERE billing_period_start >= %s AND billing_period_start < %s
                   GROUP BY 1, 2 ORDER BY array_position(%s, status), type""",
                (begin, next_month(begin), list(BILL_STATUSES)),
            )
            return tuple(await cursor.fetchall())

    async def closed_before(self) -> date | None:
        """Months that end by this day are closed; None before the first one was."""
        async with self._database.reading() as connection:
            row = await (await connection.execute("SELECT closed_before FROM console.billing")).fetchone()
        return row[0] if row and row[0].year > 1 else None

    async def find(self, bill: UUID) -> BillDetail | None:
        """One bill with its lines, or None."""
        async with self._database.reading(one_snapshot=True) as connection:
            cursor = connection.cursor(row_factory=class_row(Bill))
            found = await (await cursor.execute(_SELECT + " WHERE b.id = %s", (bill,))).fetchone()
            if found is None:
                return None
            lines = await bill_lines(connection, bill)
        last = rounding(lines, found.cents, found.begin, found.end)
        return BillDetail(found, (*lines, last) if last else lines)

    async def named(self, text: str) -> tuple[UUID, ...]:
        """Bills whose id begins so, two at the most: enough to know that it is not one. Raises ValueError."""
        digits = text.strip().lower().replace("-", "")
        if not re.fullmatch(r"[0-9a-f]{4,32}", digits):
            raise ValueError("a bill is named by its id, or by the first four characters of it or more")
        bounds = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
        async with self._database.reading() as connection:
            cursor = await connection.execute(
                "SELECT id FROM billing_records WHERE id BETWEEN %s AND %s ORDER BY id LIMIT 2", bounds
            )
            return tuple(row[0] for row in await cursor.fetchall())

    async def blocked(self, *, limit: int = 100) -> tuple[Blocked, ...]:
        """What calculate-bills could not bill, the most first."""
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(Blocked))
            await cursor.execute(
                """SELECT customer_id, reason, open_usd, since FROM console.billing_blocked
                   ORDER BY open_usd DESC, customer_id LIMIT %s""",
                (limit,),
            )
            return tuple(await cursor.fetchall())

    async def check(self, month: date) -> AsyncGenerator[CheckedBills]:
        """Holds every charge of a month against its records and fees, some hundred bills in each query."""
        after: Bill | None = None
        complete = False
        while not complete:
            page = await self.page(BillSearch(month=month), after=after, limit=_CHECKED_AT_ONCE)
            yield await self._checked(page.rows)
            after, complete = (page.rows[-1], page.complete) if page.rows else (None, True)

    async def _checked(self, bills: tuple[Bill, ...]) -> CheckedBills:
        charges = {bill.id: bill for bill in bills if bill.type == "charge" and bill.status != "voided"}
        async with self._database.reading(30.0, one_snapshot=True) as connection:
            cursor = await connection.execute(
                """SELECT b.id, coalesce((SELECT sum(u.charged_amount) FROM usage_records u
                                          WHERE u.billing_record_id = b.id), 0)
                              + coalesce((SELECT sum(f.amount_usd) FROM console.monthly_fee f
                                          WHERE f.billing_record_id = b.id), 0)
                   FROM unnest(%s::uuid[]) AS b(id)""",
                (list(charges),),
            )
            worth: dict[UUID, Decimal] = dict(await cursor.fetchall())
        differences = tuple(
            BillDifference(bill, worth[bill.id])
            for bill in charges.values()
            if abs(Decimal(bill.cents) / 100 - worth[bill.id]) >= Decimal("0.01")
        )
        return CheckedBills(len(charges), differences)


def this_month() -> date:
    """The first day of the month (UTC)."""
    return datetime.now(UTC).date().replace(day=1)


def last_two_months() -> tuple[date, date]:
    """This one and the one before: their bills are still held against what they are made of."""
    return this_month(), (this_month() - timedelta(days=1)).replace(day=1)

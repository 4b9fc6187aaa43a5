"""What a bill is made of: a line for each kind of usage, each fee, and the rounding."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from db.database import Connection


@dataclass(frozen=True, slots=True)
class BillLine:
    """One line. `kind`: usage, adjustment (late rows of hours that were billed before), carried over (hours of before
    that were not), fee or rounding. The span is that of its hours; a fee's is its month.
    """

    kind: str
    service: str | None
    detail: str | None  # of a fee: "tier: pro, 12 of 30 days"
    requests: int | None
    bytes: int | None
    usd: Decimal
    begin: datetime
    end: datetime


# An adjustment is younger than the record of its hour that was billed first.
_LINES: LiteralString = """
    SELECT * FROM (
        SELECT CASE WHEN EXISTS (SELECT FROM usage_records o
                                 WHERE o.customer_id = u.customer_id AND o.window_start = u.window_start
                                   AND o.service_type = u.service_type AND o.billing_record_id IS NOT NULL
                                   AND o.record_id < u.record_id) THEN 'adjustment'
                    WHEN u.window_start < b.billing_period_start THEN 'carried over'
                    ELSE 'usage' END AS kind,
               u.service_type AS service, NULL AS detail, sum(u.request_count)::bigint AS requests,
               sum(u.bytes_transferred)::bigint AS bytes, coalesce(sum(u.charged_amount), 0) AS usd,
               min(u.window_start) AS begin, max(u.window_end) AS end
        FROM billing_records b JOIN usage_records u ON u.billing_record_id = b.id WHERE b.id = %(bill)s GROUP BY 1, 2
        UNION ALL
        SELECT 'fee', service_type, item || ': ' || detail, NULL, NULL, amount_usd,
               month::timestamp AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC'
        FROM console.monthly_fee WHERE billing_record_id = %(bill)s
    ) lines
    ORDER BY array_position(ARRAY['usage', 'carried over', 'adjustment', 'fee'], kind), service NULLS LAST, detail
"""


async def bill_lines(connection: Connection, bill: UUID) -> tuple[BillLine, ...]:
    """The lines of a bill without the rounding; none for one whose usage is not on record here."""
    cursor = connection.cursor(row_factory=class_row(BillLine))
    await cursor.execute(_LINES, {"bill": bill})
    return tuple(await cursor.fetchall())


def rounding(lines: tuple[BillLine, ...], cents: int, begin: datetime, end: datetime) -> BillLine | None:
    """What rounding to cents added or took; None without lines, or when nothing had to be rounded."""
    off = Decimal(cents) / 100 - sum((line.usd for line in lines), Decimal(0))
    return BillLine("rounding", None, None, None, None, off, begin, end) if lines and off else None


async def bill_in_words(connection: Connection, bill: UUID) -> str:
    """A bill with its lines, down to the rounding, as text."""
    row = await (
        await connection.execute(
            """SELECT customer_id, billing_period_start, billing_period_end, amount_usd_cents
               FROM billing_records WHERE id = %s""",
            (bill,),
        )
    ).fetchone()
    if row is None:
        raise LookupError(f"no bill {bill}")
    customer, begin, end, cents = row
    lines = await bill_lines(connection, bill)
    if last := rounding(lines, cents, begin, end):
        lines += (last,)
    head = f"customer {customer}: {Decimal(cents) / 100:,.2f} USD for {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
    return "\n".join([head, *(f"  {_in_words(line)}" for line in lines)])


def _in_words(line: BillLine) -> str:
    what = line.detail or ""
    if line.requests is not None:
        what = f"{line.requests:,} requests"
        if line.kind != "usage":
            what += f" of {line.begin:%Y-%m-%d %H:%M} to {line.end:%Y-%m-%d %H:%M}"
    elif line.kind == "fee":
        what += f", {line.begin:%Y-%m}"
    return f"{line.kind:<12} {line.service or '':<8} {what:<48} {line.usd:>16,.8f}"

"""Bills: open usage of closed days, and the fees of closed months, become pending charges."""

from collections import Counter
from decimal import Decimal
from typing import ClassVar, LiteralString

from db.database import Connection
from db.errors import Refused
from db.jobs.job import Run
from db.suiftly.billing.lines import bill_in_words
from db.suiftly.billing.rules import midnight, month_of
from db.suiftly.jobs.customer_billing import Closing, CustomerBilling
from db.suiftly.jobs.priced_job import PricedJob
from db.suiftly.pricing import UNITS_PER_CENT

_CHUNK = 50  # customers in one transaction
_LOCK_S = 60  # metering holds the rows of a customer while it counts a backlog

# Closed is what metering has counted up to: an hour that may lack rows is not charged.
_HORIZON: LiteralString = """
    SELECT s.system_identifier = c.system_identifier AND s.recount_from IS NULL,
           CASE WHEN s.caught_up_at IS NOT NULL  -- least() would pass over it
                THEN date_trunc('day', least(s.caught_up_at, now()) - b.grace, 'UTC') END, b.fees_from, b.closed_before
    FROM console.capture_state s, pg_control_system() c, console.billing b WHERE s.name = 'usage'
"""

# Sums per customer, by service and price list: what they are worth is an upper bound, records being rounded down.
_OPEN_SUMS: LiteralString = """
    SELECT u.customer_id, c.status, u.service_type, max(u.window_start), sum(u.request_count)::bigint,
           coalesce(sum(u.bytes_transferred), 0)::bigint
    FROM usage_records u JOIN customers c USING (customer_id)
    WHERE u.billing_record_id IS NULL AND u.charged_amount IS NULL AND u.window_start < %(end)s
    GROUP BY u.customer_id, c.status, u.service_type, width_bucket(u.window_start, %(dates)s::timestamptz[])
"""
_OPEN_OTHERWISE: LiteralString = """
    SELECT customer_id FROM console.billing_blocked
    UNION SELECT customer_id FROM console.monthly_fee WHERE billing_record_id IS NULL
"""


class CalculateBills(PricedJob):
    """usage_records to billing_records."""

    name: ClassVar[str] = "calculate-bills"
    title: ClassVar[str] = "Bill: closed usage and monthly fees become pending charges"
    number: ClassVar[int] = 13
    every_s: ClassVar[int] = 3600
    lasting: ClassVar[str] = "A bill that was made is never changed; what comes later goes on the next one."

    async def run(self, run: Run) -> str:
        async with run.step() as connection:
            await self.agree(connection)
            closing = await _closing(connection)
            if closing is None:
                return "nothing is billed: metering never caught up with the log, so no hour is closed"
            customers = await self._candidates(connection, closing)
        run.begin("customers", len(customers))
        for first in range(0, len(customers), _CHUNK):
            chunk = customers[first : first + _CHUNK]
            counts: Counter[str] = Counter()
            words: list[str] = []
            async with run.step() as connection:
                await connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{_LOCK_S}s",))
                for customer in chunk:
                    made = await CustomerBilling(connection, self.prices, closing, customer).bill()
                    counts += made.counts
                    if run.explain is not None:
                        words += [await bill_in_words(connection, bill) for bill in made.bills] + made.notes
            if run.explain is not None and words:
                run.explain("\n".join(words))
            await run.report("billing", done=len(chunk), **counts)
        if closing.month_ends:
            async with run.step() as connection:
                await connection.execute(
                    "UPDATE console.billing SET closed_before = greatest(closed_before, %s)",
                    (month_of(closing.horizon).date(),),
                )
        return _sentence(run, closing)

    async def _candidates(self, connection: Connection, closing: Closing) -> list[int]:
        """Customers for whom a bill may be due, in the order in which everything locks customers."""
        if closing.month_ends:
            cursor = await connection.execute("SELECT customer_id FROM customers ORDER BY 1")
            return [row[0] for row in await cursor.fetchall()]
        found = {row[0] for row in await (await connection.execute(_OPEN_OTHERWISE)).fetchall()}
        dates = [midnight(one.effective_from) for one in self.prices.prices]
        cursor = await connection.execute(_OPEN_SUMS, {"end": closing.horizon, "dates": dates})
        worth: Counter[int] = Counter()
        for customer, status, service, hour, requests, size in await cursor.fetchall():
            worth[customer] += self.prices.usage_units(service, hour, requests, size) or 0
            if status == "closed":
                found.add(customer)
        threshold = self.prices.charge_threshold_cents
        if threshold is not None:
            found.update(customer for customer, open_ in worth.items() if open_ >= threshold * UNITS_PER_CENT)
        return sorted(found)


async def _closing(connection: Connection) -> Closing | None:
    """None while metering has never caught up."""
    row = await (await connection.execute(_HORIZON)).fetchone()
    if row is None:
        raise Refused("console.capture_state has no row 'usage'; run `opsdeck migrate`")
    counting, horizon, fees_from, closed_before = row
    if not counting:
        raise Refused("metering must be recounted first; run `opsdeck jobs run aggregate-usage --rebaseline`")
    return None if horizon is None else Closing(horizon, fees_from, closed_before)


def _sentence(run: Run, closing: Closing) -> str:
    counts = run.counts
    verb, closed = ("would make", "would close") if run.dry_run else ("made", "closed")
    worth = Decimal(counts["cents"]) / 100
    text = f"{verb} {counts['bills']:,} bills of {worth:,.2f} USD up to {closing.horizon:%Y-%m-%d}"
    if counts["blocked"]:
        text += f"; {counts['blocked']:,} customers have usage that stays open (spending limit, or suspended)"
    if counts["unpriced"]:
        text += f"; {counts['unpriced']:,} usage records have no price in the book"
    if closing.month_ends:
        text += f"; {closed} the months before {closing.horizon:%Y-%m}"
    return text

"""The begin of a period of spending limits: counters to zero, and back comes what the limit had suspended."""

from typing import ClassVar, LiteralString

from db.jobs.job import Run
from db.suiftly.jobs.priced_job import PricedJob

# The calendar month begins for all at once; rolling periods begin on any day.
_MARK: LiteralString = """
    SELECT mark, coalesce(last_monthly_reset >= mark, false)
    FROM system_control, LATERAL (SELECT CASE WHEN %(days)s = 0 THEN console.limit_period(NULL, 0, current_date)
                                              ELSE current_date END AS mark) m
    WHERE id = 1 FOR UPDATE OF system_control
"""

_BEGINS: LiteralString = """console.limit_period(
    coalesce(current_month_start, (created_at AT TIME ZONE 'UTC')::date), %(days)s, current_date)"""
_OVER: LiteralString = "(current_month_start IS NULL OR current_month_start < " + _BEGINS + ")"

# In the order in which everything locks customers. The update comes in a statement of its own: it must see what those
# did who were waited for.
_LOCK: LiteralString = (
    "SELECT count(*) FROM (SELECT FROM customers WHERE " + _OVER + " ORDER BY customer_id FOR NO KEY UPDATE) locked"
)
# The counter of a period that was not the one just before is nobody's last month. updated_at stays: nobody changed it.
_ROLL: LiteralString = (
    "WITH rolled AS (UPDATE customers SET last_month_charged_usd_cents ="
    " CASE WHEN current_month_start = console.limit_period(current_month_start, %(days)s, " + _BEGINS + " - 1)"
    " THEN current_month_charged_usd_cents ELSE 0 END,"
    " current_month_charged_usd_cents = 0, current_month_start = "
    + _BEGINS
    + " WHERE "
    + _OVER
    + """
    RETURNING customer_id, status), back AS (
        UPDATE service_instances i
        SET is_enabled = true, enabled_at = greatest(now(), i.disabled_at), config = i.config - 'suspended_for'
        FROM rolled r
        WHERE i.customer_id = r.customer_id AND r.status = 'active'
          AND NOT i.is_enabled AND i.config ->> 'suspended_for' = 'limit'
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM rolled), (SELECT count(*) FROM back)"""
)


class MonthlyReset(PricedJob):
    """customers.current_month_* to last_month_*, at the first chance after a period began."""

    name: ClassVar[str] = "monthly-reset"
    title: ClassVar[str] = "Begin the month: spending starts at zero, services the limit had suspended come back"
    number: ClassVar[int] = 14
    every_s: ClassVar[int] = 900
    lasting: ClassVar[str] = "What was spent before counts no more; what the limit had suspended is served again."

    async def run(self, run: Run) -> str:
        days = {"days": self.prices.limit_period_days}
        async with run.step() as connection:
            await self.agree(connection)
            row = await (await connection.execute(_MARK, days)).fetchone()
            assert row is not None  # noqa: S101 - the migration writes the only row
            mark, begun = row
            if begun:
                return f"nothing to do: the period of {mark} has begun"
            await connection.execute("SELECT set_config('lock_timeout', '60s', true)")
            await connection.execute(_LOCK, days)
            row = await (await connection.execute(_ROLL, days)).fetchone()
            assert row is not None  # noqa: S101 - a SELECT without FROM has one row
            customers, services = row
            await connection.execute(
                "UPDATE system_control SET last_monthly_reset = %s, updated_at = now() WHERE id = 1", (mark,)
            )
        await run.report("reset", customers=customers, services=services)
        verb = "would begin" if run.dry_run else "began"
        return f"{verb} the period of {mark} for {customers:,} customers; {services:,} suspended services are back"

"""What customers have spent in the period of their limit, and how that is counted."""

from typing import LiteralString

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

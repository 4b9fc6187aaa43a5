"""Writes what happened before a demo began: hourly usage, bills in every state, ledger, escrow and balances."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from db.suiftly.billing.rules import month_of
from db.suiftly.simulation.cast import busy_order, log_begin, simulation_seed
from db.suiftly.simulation.history_tables import (
    write_bills,
    write_closings,
    write_escrow,
    write_fees,
    write_ledger,
    write_usage,
)
from db.suiftly.simulation.invented_accounts import Person, closings, invent_accounts
from db.suiftly.simulation.spans import move_tiers, spans_of_services
from db.suiftly.simulation.usage import history_begin


@dataclass(frozen=True, slots=True)
class History:
    """What `write_history` wrote. Usage lies in [begin, end); the raw log begins at `end`."""

    begin: datetime
    end: datetime
    usage_records: int
    bills: int
    ledger_entries: int


async def write_history(
    connection: AsyncConnection[TupleRow], now: datetime, seed: int, *, log_minutes: int = 60
) -> History:
    """Writes it in one transaction; call it once, after `populate`. Raises Refused on a database not populated by us.

    Usage ends at `log_begin(now, log_minutes)`: give `backfill` the same `minutes` and `now`, and no hour is missing or
    counted twice. About 170,000 usage rows for 2,000 customers.
    """
    random = Random(seed)
    now = now.astimezone(UTC)
    end = log_begin(now, log_minutes)
    begin = history_begin(end)
    # Of last night's bills none is made yet: that is for calculate-bills to do, and to explain.
    billed = end.replace(hour=0) - timedelta(days=1)
    month = month_of(billed)
    async with connection.transaction():
        order = await simulation_seed(connection)
        await move_tiers(connection, month)
        people = sorted(await _people(connection, month), key=lambda person: busy_order(person.customer_id, order))
        accounts = invent_accounts(random, people, begin, end, billed)
        bills = await write_bills(connection, accounts)
        await write_fees(connection, accounts)
        await write_escrow(connection, accounts)
        ledger = await write_ledger(connection, accounts)
        usage = await write_usage(connection, accounts, begin)
        await write_closings(connection, closings(random, people, accounts, now), month_of(now).date())
        await connection.execute(
            "UPDATE console.billing SET fees_from = %(month)s, closed_before = %(month)s", {"month": month}
        )
    return History(begin, end, usage, bills, ledger)


async def _people(connection: AsyncConnection[TupleRow], month: datetime) -> list[Person]:
    """Who has an escrow, with the services and the keys as they were when `month` began."""
    spans = await spans_of_services(connection)
    cursor = await connection.execute(
        """
        SELECT customer_id, c.status, c.created_at, c.updated_at, c.max_monthly_usd_cents,
               array_agg(i.service_type ORDER BY i.service_type),
               json_object_agg(i.service_type, (
                   SELECT count(*) FROM public.api_keys k
                   WHERE k.customer_id = c.customer_id AND k.service_type = i.service_type
                     AND k.created_at < %(month)s AND (k.revoked_at IS NULL OR k.revoked_at >= %(month)s)))
        FROM public.customers c JOIN public.service_instances i USING (customer_id)
        WHERE c.escrow_contract_id IS NOT NULL GROUP BY customer_id
        """,
        {"month": month},
    )
    return [
        Person(*row[:5], services=tuple(row[5]), spans=spans[row[0]], live_keys=row[6])
        for row in await cursor.fetchall()
    ]

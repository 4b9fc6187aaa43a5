"""In which tier the services of invented customers were: most always in theirs, some in another one before."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from db.suiftly.billing.rules import ServiceSpan, month_of

_ONE_IN: Final = 8


async def move_tiers(connection: AsyncConnection[TupleRow], month: datetime) -> None:
    """Some who have pro had starter until a day of the month before `month`."""
    moved = month_of(month - timedelta(days=1)) + timedelta(days=10, hours=14)
    await connection.execute(
        """UPDATE console.service_span SET tier = 'starter', until = %(moved)s
           WHERE tier = 'pro' AND since < %(moved)s AND until IS NULL AND customer_id %% %(one_in)s = 0""",
        {"moved": moved, "one_in": _ONE_IN},
    )
    await connection.execute(
        """INSERT INTO console.service_span (customer_id, service_type, tier, since)
           SELECT customer_id, service_type, 'pro', until FROM console.service_span WHERE until = %s""",
        (moved,),
    )


async def spans_of_services(connection: AsyncConnection[TupleRow]) -> Mapping[int, tuple[ServiceSpan, ...]]:
    """When the services were on, by customer; none for who has none."""
    cursor = await connection.execute(
        """SELECT customer_id, service_type, tier, since, until FROM console.service_span
           ORDER BY customer_id, service_type, since"""
    )
    found: defaultdict[int, tuple[ServiceSpan, ...]] = defaultdict(tuple)
    for customer, *span in await cursor.fetchall():
        found[customer] += (ServiceSpan(*span),)
    return found

"""A whole invented business in one go, for a database that has none."""

from datetime import UTC, datetime

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from db.suiftly.simulation.backfill import backfill
from db.suiftly.simulation.charted import write_rollups
from db.suiftly.simulation.history import write_history
from db.suiftly.simulation.population import ExampleKey, populate

_LOG_MINUTES = 30


async def invent_business(dsn: str, *, customers: int, rate: float, seed: int) -> tuple[ExampleKey, ...]:
    """Customers, 30 days of history and the log of the last half hour at `rate` rows a second, all or nothing.

    Returns a few of the keys its customers hold; empty, and nothing is written, when there are customers already.
    """
    now = datetime.now(UTC)
    connection: AsyncConnection[TupleRow]
    async with await AsyncConnection.connect(dsn) as connection:
        row = await (await connection.execute("SELECT EXISTS (SELECT FROM public.customers)")).fetchone()
        if row is not None and row[0]:
            return ()
        # One transaction around the parts: a first start that is interrupted leaves an empty database, not half a one.
        population = await populate(connection, customers, seed, now)
        history = await write_history(connection, now, seed, log_minutes=_LOG_MINUTES)
        # What came before is usage without a log.
        await connection.execute("UPDATE console.metering SET log_complete_from = %s", (history.end,))
        await write_rollups(connection, history.end)
        await backfill(connection, _LOG_MINUTES, rate, seed, now)
    # The planner knows nothing of tables filled a moment ago.
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute("ANALYZE")
    return population.examples

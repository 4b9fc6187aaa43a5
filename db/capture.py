"""Which rows were committed since one looked last: exact, also for transactions that commit late or out of order.

A row committed between snapshot A and snapshot B is visible in B and not in A, which is
`xid >= xmax(A) OR xid = ANY(xip(A))`. B is the reading transaction's own snapshot, so a cursor is advanced inside
one REPEATABLE READ transaction: first read the snapshot, then the rows. On the primary only: a standby reports an
empty xip list, and rows would be lost.
"""

from typing import LiteralString

from db.database import Connection

# Two branches instead of OR: each is one index range on xid, whatever else stands in the condition.
SINCE: tuple[LiteralString, LiteralString] = (
    "xid >= pg_snapshot_xmax(%(since)s::pg_snapshot)",
    "xid = ANY(ARRAY(SELECT pg_snapshot_xip(%(since)s::pg_snapshot)))",
)


async def current_snapshot(connection: Connection) -> str:
    """The snapshot of this transaction as text: the next cursor."""
    row = await (await connection.execute("SELECT pg_current_snapshot()::text")).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return str(row[0])


def rows_since(columns: LiteralString, table: LiteralString, condition: LiteralString) -> LiteralString:
    """The query for rows committed since snapshot %(since)s that also meet `condition`."""
    first, second = SINCE
    head: LiteralString = "SELECT " + columns + " FROM " + table + " WHERE (" + condition + ") AND "
    return head + first + " UNION ALL " + head + second

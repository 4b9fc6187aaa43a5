"""Which rows were committed since one looked last: exact, also for transactions that commit late or out of order.

What a transaction sees of a log is a Mark, and what a later one sees beyond it is news. The later transaction has to
be REPEATABLE READ: it takes its own mark first, then reads the news since the earlier one, both of one snapshot.

A mark comes in two forms. On a primary the snapshot lists the transactions in progress, and everything else below its
xmax is settled. A standby keeps that list elsewhere and shows it empty, so that rows would be lost; its xmin is right
there, though: below it all is settled, and at or above it the mark remembers which transactions' rows were visible.
A transaction becomes visible as a whole, so their numbers are enough. The price is that a poll there reads every row
since the oldest open transaction again: 60 to 140 ms for 100,000 of them, where the primary takes 4.

The snapshot itself tells which: a reader on a primary, having no transaction number of its own, never sees xmin below
xmax with an empty list. Asking pg_is_in_recovery() would be a second question, and a standby may be promoted between
the two. Both forms hold on either side, so a mark survives the promotion.
"""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString, Self

from db.database import Connection

# Two branches instead of OR: each is one index range on xid, whatever else stands in the condition. What was seen may
# be many and meets every row of the range: a subquery is hashed in any plan, an array only where its value is planned.
SINCE: tuple[LiteralString, LiteralString] = (
    "xid >= %(mark_bound)s::xid8 AND xid NOT IN (SELECT unnest(%(mark_seen)s::xid8[]))",
    "xid = ANY(%(mark_open)s::xid8[])",
)
UNTIL: LiteralString = (
    "(xid < %(mark_bound)s::xid8 AND xid <> ALL(%(mark_open)s::xid8[]) OR xid = ANY(%(mark_seen)s::xid8[]))"
)
"""The condition for rows that a mark saw: the opposite of what rows_since() asks for."""
BELOW: LiteralString = "xid < %(until_bound)s::xid8"
"""Beside rows_since(), in a transaction that came later: the rows that a mark from step_beyond() saw."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What one transaction saw of a log: all below `bound` but `open`, and `seen` at or above it.

    It belongs to one server or its heir: of two standbys the one that is behind would show rows again.
    """

    bound: int
    open: tuple[int, ...] = ()  # on a primary: in progress below xmax
    seen: tuple[int, ...] = ()  # on a standby: visible at or above xmin

    @classmethod
    def stored(cls, snapshot: str) -> Self:
        """Of a snapshot taken on a primary and kept as text; it holds on a standby that has it from there too."""
        _, xmax, listed = snapshot.split(":")
        return cls(int(xmax), open=tuple(map(int, listed.split(","))) if listed else ())

    def parameters(self) -> dict[str, str]:
        """For SINCE, UNTIL and rows_since()."""
        return {"mark_bound": str(self.bound), "mark_open": _array(self.open), "mark_seen": _array(self.seen)}


def below(until: Mark | None) -> dict[str, str]:
    """For BELOW."""
    return {} if until is None else {"until_bound": str(until.bound)}


def _array(numbers: Iterable[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


async def present(connection: Connection, table: LiteralString) -> Mark:
    """The mark of this REPEATABLE READ transaction, which must be read-only."""
    row = await (await connection.execute("SELECT pg_current_snapshot()::text")).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    snapshot = str(row[0])
    xmin, xmax, listed = snapshot.split(":")
    if listed or xmin == xmax:
        return Mark.stored(snapshot)
    async with _planned_once(connection):
        cursor = await connection.execute(
            "SELECT xid::text FROM " + table + " WHERE xid >= %(xmin)s::xid8 GROUP BY xid", {"xmin": xmin}, prepare=True
        )
        return Mark(int(xmin), seen=tuple(sorted(int(xid) for (xid,) in await cursor.fetchall())))


def rows_since(columns: LiteralString, table: LiteralString, condition: LiteralString) -> LiteralString:
    """The query for rows beyond a mark, given by its parameters, that also meet `condition`."""
    first, second = SINCE
    head: LiteralString = "SELECT " + columns + " FROM " + table + " WHERE (" + condition + ") AND "
    return head + first + " UNION ALL " + head + second


@dataclass(frozen=True, slots=True)
class Span:
    """What rows beyond a mark have in common: first and last timestamp, and how many they are."""

    first: datetime
    last: datetime
    rows: int


async def step_beyond(
    connection: Connection, table: LiteralString, mark: Mark, present: Mark, rows: int
) -> Mark | None:
    """A mark on the way from one to the present one, with about so many rows between, of whole transactions.

    None where the present one is as near, and on a standby, whose marks cannot be divided.
    """
    if mark.seen or present.seen:
        return None
    cursor = await connection.execute(
        "SELECT xid::text FROM " + table + " WHERE xid >= %(mark_bound)s::xid8 ORDER BY xid OFFSET %(rows)s LIMIT 1",
        {**mark.parameters(), "rows": rows},
    )
    row = await cursor.fetchone()
    if row is None or int(row[0]) + 1 >= present.bound:
        return None
    bound = int(row[0]) + 1
    return Mark(bound, open=tuple(xid for xid in present.open if xid < bound))


async def span_since(
    connection: Connection, table: LiteralString, mark: Mark, until: Mark | None = None
) -> Span | None:
    """The span of the rows beyond the mark (with `until` of those that this one saw), or None when there are none.

    With it a poll touches the partitions that have news. On a log of 127 partitions an empty poll took 30 ms as one
    query, nearly all of it planning, and takes 1.7 ms so (TimescaleDB, 53 chunks: 12 and 4 ms). count(*) keeps the
    planner from answering min() by walking an index on timestamp.
    """
    bounds: LiteralString = "SELECT min(timestamp), max(timestamp), count(*) FROM ("
    async with _planned_once(connection):
        cursor = await connection.execute(
            bounds + rows_since("timestamp", table, BELOW if until else "true") + ") news",
            mark.parameters() | below(until),
            prepare=True,
        )
        row = await cursor.fetchone()
    return Span(*row) if row and row[2] else None


@asynccontextmanager
async def _planned_once(connection: Connection) -> AsyncGenerator[None]:
    """A query prepared here is planned once for each connection, without looking at the values.

    Such a plan expects a third of the table, and would read all of it (hence no sequential scans) with parallel
    workers (hence none: starting them took 40 ms). Where nothing is prepared, behind pgbouncer, it is planned again
    each time and costs what the planning costs.
    """
    await connection.execute(
        """SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
                  set_config('max_parallel_workers_per_gather', '0', true)"""
    )
    yield
    # NULL stands for the session's own setting. After an error the transaction is over, and the settings with it.
    await connection.execute(
        """SELECT set_config('plan_cache_mode', NULL, true), set_config('enable_seqscan', NULL, true),
                  set_config('max_parallel_workers_per_gather', NULL, true)"""
    )

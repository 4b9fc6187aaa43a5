"""What statements cost, where pg_stat_statements counts them."""

from dataclasses import dataclass, replace
from typing import LiteralString

from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier

from db.database import Connection
from db.server.query_text import LONG, masked

_WHERE: LiteralString = """
    SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = 'pg_stat_statements' AND c.relkind = 'v'
"""
_SELECT: LiteralString = """
    SELECT coalesce(r.rolname, '') AS owner, s.calls, s.total_exec_time AS total_ms, s.mean_exec_time AS mean_ms,
           s.rows, CASE WHEN s.queryid IS NULL THEN '' ELSE left(coalesce(s.query, ''), 4000) END AS statement
    FROM {view} s LEFT JOIN pg_roles r ON r.oid = s.userid
    WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY s.total_exec_time DESC LIMIT 100
"""


@dataclass(frozen=True, slots=True)
class StatementCost:
    """One statement of one owner, since the counters were reset; its text masked;  where the role may not see it."""

    owner: str
    calls: int
    total_ms: float
    mean_ms: float
    rows: int
    statement: str


async def statement_costs(connection: Connection) -> tuple[StatementCost, ...] | None:
    """The dearest in all first; None where nothing counts them."""
    place = await (await connection.execute(_WHERE)).fetchone()
    if place is None:
        return None
    cursor = connection.cursor(row_factory=class_row(StatementCost))
    await cursor.execute(SQL(_SELECT).format(view=Identifier(place[0], "pg_stat_statements")))
    return tuple(replace(row, statement=masked(row.statement, LONG)) for row in await cursor.fetchall())

"""Who is connected, what each does, and who waits for whom."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row

from db.database import Connection
from db.server.query_text import LONG, masked

_MOST = 500
# pg_blocking_pids stops the lock manager for a moment: it is asked for those alone that wait for a lock. A role without
# pg_read_all_stats is told of others little more than that they are there, and by pg_locks whether they wait; what
# belongs to nobody is the server's own.
_SELECT: LiteralString = """
    SELECT pid, backend_start AS started, coalesce(backend_type, 'hidden') AS kind, coalesce(usename, '') AS owner,
           coalesce(datname, '') AS database, coalesce(application_name, '') AS application,
           coalesce(state, '') AS state, coalesce(wait_event_type || ': ' || wait_event, '') AS waits_for,
           xact_start AS transaction_since, query_start AS statement_since, state_change AS state_since,
           CASE WHEN wait_event_type = 'Lock'
                     OR backend_type IS NULL AND pid IN (SELECT l.pid FROM pg_locks l WHERE NOT l.granted)
                THEN pg_blocking_pids(pid) ELSE '{}' END AS blocked_by,
           coalesce(age(backend_xid) = max(age(backend_xid)) OVER (), false) AS holds_capture,
           coalesce(greatest(age(backend_xmin), age(backend_xid))
                    = max(greatest(age(backend_xmin), age(backend_xid))) OVER (), false) AS holds_vacuum,
           CASE WHEN backend_type IS NULL THEN '' ELSE left(coalesce(query, ''), 4000) END AS statement
    FROM pg_stat_activity
    WHERE (backend_type IN ('client backend', 'walsender', 'autovacuum worker')
           OR backend_type IS NULL AND usesysid IS NOT NULL) AND pid <> pg_backend_pid()
    ORDER BY (wait_event_type = 'Lock') DESC NULLS LAST, xact_start NULLS LAST, pid
    LIMIT %(most)s
"""
_LIMITS: LiteralString = """
    SELECT current_setting('max_connections')::int, clock_timestamp(),
           (SELECT count(*) FROM pg_stat_activity
            WHERE backend_type = 'client backend' OR backend_type IS NULL AND usesysid IS NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class Session:
    """One connection to the server, of any of its databases; its statement masked."""

    pid: int
    started: datetime | None  # None where the role may not see it
    kind: str  # "client backend", "walsender", "autovacuum worker"; "hidden" from this role
    owner: str
    database: str
    application: str
    state: str  # "" where the role may not see it
    waits_for: str
    transaction_since: datetime | None
    statement_since: datetime | None
    state_since: datetime | None
    blocked_by: tuple[int, ...]
    holds_capture: bool  # the oldest transaction that wrote something: the log counts past it only once it ends
    holds_vacuum: bool  # nothing that was deleted since its snapshot can be cleared away
    statement: str  # under way, or the last one
    blocks: int = 0  # how many wait for it, also behind others who do

    @property
    def of_console(self) -> bool:
        """Whether it is a console's or a job's own."""
        return self.application.startswith("opsdeck ")


@dataclass(frozen=True, slots=True)
class Sessions:
    """All of them as of `now`: those that wait for a lock first, then by the age of their transaction."""

    rows: tuple[Session, ...]
    connections: int
    most_connections: int
    now: datetime

    @property
    def by_state(self) -> tuple[tuple[str, int], ...]:
        return tuple(Counter(row.state or "hidden" for row in self._clients).most_common())

    @property
    def by_owner(self) -> tuple[tuple[str, int], ...]:
        return tuple(Counter(row.owner for row in self._clients).most_common())

    @property
    def blocked(self) -> tuple[Session, ...]:
        return tuple(row for row in self.rows if row.blocked_by)

    @property
    def hidden(self) -> int:
        """How many this role is told nothing of: they may hold up anything."""
        return sum(row.kind == "hidden" for row in self.rows)

    @property
    def holds_capture(self) -> Session | None:
        return next((row for row in self.rows if row.holds_capture), None)

    @property
    def holds_vacuum(self) -> Session | None:
        return next((row for row in self.rows if row.holds_vacuum and row.transaction_since), None)

    @property
    def _clients(self) -> tuple[Session, ...]:
        return tuple(row for row in self.rows if row.kind in ("client backend", "hidden"))


async def sessions(connection: Connection) -> Sessions:
    """Who is connected now, but for the connection that asks."""
    cursor = connection.cursor(row_factory=class_row(Session))
    await cursor.execute(_SELECT, {"most": _MOST})
    found = await cursor.fetchall()
    limits = await (await connection.execute(_LIMITS)).fetchone()
    assert limits is not None  # noqa: S101 - a SELECT without FROM has one row
    waiting = _behind({row.pid: set(row.blocked_by) for row in found})
    rows = [
        replace(row, blocked_by=tuple(row.blocked_by), blocks=waiting[row.pid], statement=masked(row.statement, LONG))
        for row in found
    ]
    # Who is in the way of others comes first, the one with the most behind it before all; then those who wait.
    rows.sort(key=lambda row: (-row.blocks, not row.blocked_by))
    return Sessions(tuple(rows), limits[2], limits[0], limits[1])


def _behind(blocked_by: dict[int, set[int]]) -> Counter[int]:
    """How many wait for each, at once or behind others who wait for it; in a circle each waits for all."""
    waiting: Counter[int] = Counter()
    for pid, before in blocked_by.items():
        ahead, todo = set[int](), set(before)
        while todo:
            one = todo.pop()
            ahead.add(one)
            todo |= blocked_by.get(one, set()) - ahead
        waiting.update(ahead - {pid})
    return waiting

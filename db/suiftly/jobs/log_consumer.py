"""What counts the request log: a cursor of its own, moved by the very statement that counts.

Each step is one transaction of three statements, and their order is load-bearing:

1. `SELECT ... FOR UPDATE` of the cursor. Whoever waits here reads the log afterwards, in a new statement, with a new
   snapshot. In one statement the snapshot would be older than the cursor it waited for, and rows are counted twice.
2. The snapshot to count up to. A statement is planned before it takes its own snapshot: what is committed in between
   into a new chunk is in the snapshot but not in the plan. Counted up to its own snapshot, it would be lost.
3. Counting up to that snapshot, and moving the cursor there. Moved to a later one, what is committed in between is
   lost.

Another form, one statement with an upsert that nothing refers to, runs the upsert after the UPDATE, finds the cursor
row changed by its own command, and silently counts nothing. The wrong forms stand in the tests.
"""

from abc import abstractmethod
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, LiteralString

from db.database import Connection
from db.errors import Refused, TimedOut
from db.jobs.job import Job, Run
from db.suiftly.jobs.rebaseline import rebaseline
from db.suiftly.metering import no_cursor

CHUNK_ROWS = 2_000_000
"""Log rows a step reads at most, but always whole transactions: one writer's COPY is never split.

Some seconds of work: smaller steps write the same records again and again (500,000 took half as long again).
"""

# The settings are for a step that finds nothing new: _NEWS is planned once for each connection (to plan 127 partitions
# takes longer than to look), and its commit need not wait for the disk, since all a crash may take back is how late we
# looked.
_CURSOR: LiteralString = """
    SELECT s.snap::text, s.system_identifier = c.system_identifier, s.recount_from,
           set_config('plan_cache_mode', 'force_generic_plan', true), set_config('synchronous_commit', 'off', true)
    FROM console.capture_state s, pg_control_system() c
    WHERE s.name = %s FOR UPDATE OF s
"""
# NULL stands for the session's own setting. With the usual 4 MB of work_mem the groups of a step go to disk, which
# takes two to three times as long.
_SETTINGS: LiteralString = """
    SELECT set_config('plan_cache_mode', NULL, true), set_config('synchronous_commit', NULL, true),
           set_config('work_mem', '64MB', true)
"""

# Whether anything is new, where no transaction was open when the cursor was moved: a third of what _NEWS costs.
_ANYTHING: LiteralString = """
    SELECT (SELECT xid FROM haproxy_raw_logs WHERE xid >= pg_snapshot_xmax(%(since)s::pg_snapshot)
            ORDER BY xid LIMIT 1) IS NOT NULL, statement_timestamp()
"""
# The first new transaction, and the one in which row CHUNK_ROWS + 1 lies; an index-only walk, so it costs a fraction
# of reading the rows. Then whether one that was open when the cursor was moved has left rows, and the snapshot in which
# all this is so.
_NEWS: LiteralString = """
    SELECT (SELECT xid FROM haproxy_raw_logs WHERE xid >= pg_snapshot_xmax(%(since)s::pg_snapshot)
            ORDER BY xid LIMIT 1)::text,
           (SELECT xid FROM haproxy_raw_logs WHERE xid >= pg_snapshot_xmax(%(since)s::pg_snapshot)
            ORDER BY xid OFFSET %(rows)s LIMIT 1)::text,
           EXISTS (SELECT FROM haproxy_raw_logs WHERE xid = ANY(ARRAY(SELECT pg_snapshot_xip(%(since)s::pg_snapshot)))),
           pg_current_snapshot()::text, statement_timestamp()
"""
# Asked once in a backlog, for the time left. Of what was open when the cursor was moved it knows nothing.
_WAITING: LiteralString = """
    SELECT count(*) FROM haproxy_raw_logs
    WHERE xid >= (SELECT pg_snapshot_xmax(snap) FROM console.capture_state WHERE name = %(cursor)s)
"""
_NO_BOUND = 2**64 - 1  # the largest xid8

# Moves the cursor to what was counted. Stands at the end of the counting statement, which has a CTE `seen` of one row.
MOVE_CURSOR: LiteralString = """
    UPDATE console.capture_state s
    SET snap = console.snapshot_below(%(until)s::pg_snapshot, %(bound)s::xid8),
        rows = s.rows + seen.rows,
        caught_up_at = CASE WHEN %(last)s THEN %(now)s ELSE s.caught_up_at END,
        updated_at = clock_timestamp()
    FROM seen WHERE s.name = %(cursor)s
"""


def new_rows(columns: LiteralString) -> LiteralString:
    """The query for the log rows of one step."""
    head: LiteralString = (
        # Nearly all are below xmin, which is cheaper to see.
        "SELECT " + columns + " FROM haproxy_raw_logs WHERE (xid < pg_snapshot_xmin(%(until)s::pg_snapshot)"
        " OR pg_visible_in_snapshot(xid, %(until)s::pg_snapshot)) AND "
    )
    return (
        head
        + "xid >= pg_snapshot_xmax(%(since)s::pg_snapshot) AND xid < %(bound)s::xid8 UNION ALL "
        + head
        + "xid = ANY(ARRAY(SELECT pg_snapshot_xip(%(since)s::pg_snapshot)))"
    )


def counted_rows(columns: LiteralString) -> LiteralString:
    """The query for the log rows of the hour %(hour)s that lie before the cursor: what a recount looks at."""
    return (
        "SELECT "
        + columns
        + " FROM haproxy_raw_logs WHERE timestamp >= %(hour)s AND timestamp < %(hour)s + interval '1 hour'"
        " AND pg_visible_in_snapshot(xid, %(snap)s::pg_snapshot)"
    )


@dataclass(frozen=True, slots=True)
class Counted:
    """What one step did. `last` says that it reached the present."""

    rows: int
    last: bool
    counts: dict[str, int]


async def take_step(connection: Connection, consumer: "LogConsumer", *, chunk_rows: int = CHUNK_ROWS) -> Counted:
    """Counts what was committed since the cursor, at most about `chunk_rows` rows, and moves the cursor.

    Everything happens in the caller's READ COMMITTED transaction. Raises Refused on a database that was restored into
    another cluster, where the stored transaction ids mean nothing.
    """
    name = consumer.cursor
    row = await (await connection.execute(_CURSOR, (name,))).fetchone()
    if row is None:
        raise no_cursor(name)
    since, same_cluster, recount_from, *_ = row
    remedy = f"run `opsdeck jobs run {consumer.name} --rebaseline`"
    if not same_cluster:
        raise Refused(f"this database was restored into another cluster, where its cursor means nothing; {remedy}")
    if recount_from is not None:
        raise Refused(f"a re-baseline is half done, from {recount_from:%Y-%m-%d %H:%M} on; {remedy} to finish it")
    quiet_since = await _nothing_new(connection, since)
    if quiet_since is not None:
        await _still_caught_up(connection, name, quiet_since)
        return Counted(0, last=True, counts={})
    news = await (await connection.execute(_NEWS, {"since": since, "rows": chunk_rows}, prepare=True)).fetchone()
    assert news is not None  # noqa: S101 - a SELECT without FROM has one row
    first, beyond, left_behind, until, now = news
    if first is None and not left_behind:
        await _still_caught_up(connection, name, now)
        return Counted(0, last=True, counts={})
    await connection.execute(_SETTINGS)
    # A transaction larger than a chunk is counted whole: below itself there would be nothing to count, for ever.
    bound = _NO_BOUND if beyond is None else max(int(beyond), int(first or 0) + 1)
    step = {"since": since, "until": until, "now": now, "bound": str(bound), "last": beyond is None, "cursor": name}
    return await consumer.count(connection, step)


async def _nothing_new(connection: Connection, since: str) -> datetime | None:
    """When that was found; None when something may be new."""
    if not since.endswith(":"):
        return None
    row = await (await connection.execute(_ANYTHING, {"since": since}, prepare=True)).fetchone()
    return row[1] if row and not row[0] else None


async def _still_caught_up(connection: Connection, name: str, now: datetime) -> None:
    """The snapshot stays: taking a newer one now would skip what was committed since one looked."""
    await connection.execute(
        "UPDATE console.capture_state SET caught_up_at = %s, updated_at = clock_timestamp() WHERE name = %s",
        (now, name),
    )


class LogConsumer(Job):
    """A job that adds up the request log."""

    cursor: ClassVar[str]  # its row in console.capture_state
    chunk_rows: ClassVar[int] = CHUNK_ROWS
    look_s: ClassVar[float] = 2.0  # a day of a busy log is more than can be counted for the sake of a figure

    def __init__(self, *, rebaseline: bool = False) -> None:
        self._rebaseline = rebaseline

    @abstractmethod
    async def count(self, connection: Connection, step: dict[str, Any]) -> Counted:
        """Executes the counting statement for new_rows(), ending in MOVE_CURSOR. `step` holds the parameters of both.

        With prepare=False: a plan kept from before may not know of a chunk committed this very moment.
        """

    @abstractmethod
    async def recount(self, connection: Connection, hour: datetime, snap: str) -> Counter[str]:
        """Raises what is on record for one UTC hour to what counted_rows() prove, never lowers it."""

    @abstractmethod
    def sentence(self, counts: Counter[str], *, dry_run: bool) -> str:
        """What was counted, in words."""

    async def after_last(self, connection: Connection) -> None:
        """Called in the transaction of a step that reached the present."""

    async def run(self, run: Run) -> str:
        if self._rebaseline:
            return await rebaseline(run, self.cursor, self.recount)
        stage, first = run.begin("rows"), True
        while True:
            async with run.step() as connection:
                counted = await take_step(connection, self, chunk_rows=self.chunk_rows)
                if counted.last:
                    await self.after_last(connection)
            if first and not (counted.last or run.dry_run):
                waiting = await self._waiting(run)
                stage.total = None if waiting is None else counted.rows + waiting
            first = False
            await run.report("counting", done=counted.rows, rows=counted.rows, **counted.counts)
            sentence = self.sentence(run.counts, dry_run=run.dry_run)
            if counted.last:
                return sentence
            if run.dry_run:
                return f"{sentence}; more rows wait behind these"

    async def _waiting(self, run: Run) -> int | None:
        """How many rows were behind the cursor a moment ago; None where it takes too long to tell."""
        try:
            async with run.database.reading(self.look_s) as connection:
                row = await (await connection.execute(_WAITING, {"cursor": self.cursor})).fetchone()
        except TimedOut:
            return None
        return int(row[0]) if row else 0

"""Metering: what the request log says, added up by customer, service and UTC hour. What this counts is what is paid.

Each step is one transaction with two statements, and both halves of that are load-bearing:

1. `SELECT ... FOR UPDATE` of the cursor. Whoever waits here reads the log afterwards, in a new statement, with a new
   snapshot. In one statement the snapshot would be older than the cursor it waited for, and rows are counted twice.
2. Counting and moving the cursor in the same statement: `pg_current_snapshot()` is then the snapshot that was counted.
   As two statements, what is committed in between is lost.

A third form, one statement with an upsert that nothing refers to, runs the upsert after the UPDATE, finds the cursor
row changed by its own command, and silently counts nothing. All three stand in the tests.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, LiteralString

from db.database import Connection
from db.errors import Refused
from db.jobs.job import Job, Run

CHUNK_ROWS = 500_000
"""Log rows a step reads at most, but always whole transactions: one writer's COPY is never split."""

_CURSOR: LiteralString = """
    SELECT s.snap::text, s.system_identifier = c.system_identifier, m.billable
    FROM console.capture_state s, pg_control_system() c, console.metering m
    WHERE s.name = 'usage' FOR UPDATE OF s
"""

# The first new transaction, and the one in which row CHUNK_ROWS + 1 lies; an index-only walk, so it costs a fraction
# of reading the rows.
_BOUND: LiteralString = """
    SELECT (SELECT xid FROM haproxy_raw_logs WHERE xid >= pg_snapshot_xmax(%(since)s::pg_snapshot)
            ORDER BY xid LIMIT 1)::text,
           (SELECT xid FROM haproxy_raw_logs WHERE xid >= pg_snapshot_xmax(%(since)s::pg_snapshot)
            ORDER BY xid OFFSET %(rows)s LIMIT 1)::text
"""
_NO_BOUND = 2**64 - 1  # the largest xid8

BILLABLE: dict[str, LiteralString] = {
    "success": "traffic_type IN (1, 2) AND status_code >= 200 AND status_code < 400",
    "traffic": "traffic_type IN (1, 2)",
}

_STEP_HEAD: LiteralString = """
    WITH src AS (
        SELECT timestamp, customer_id, service_type, traffic_type, status_code, bytes_sent, repeat
        FROM haproxy_raw_logs WHERE xid >= pg_snapshot_xmax(%(since)s::pg_snapshot) AND xid < %(bound)s::xid8
        UNION ALL
        SELECT timestamp, customer_id, service_type, traffic_type, status_code, bytes_sent, repeat
        FROM haproxy_raw_logs WHERE xid = ANY(ARRAY(SELECT pg_snapshot_xip(%(since)s::pg_snapshot)))
    ), grouped AS (
        SELECT customer_id, service_type, date_trunc('hour', timestamp, 'UTC') AS hour, count(*) AS rows,
"""
# Bytes of a stream arrive in rows of their own (traffic type 7), beside the request that opened it.
_STEP_TAIL: LiteralString = """
        FROM src GROUP BY 1, 2, 3
    ), counted AS (
        SELECT g.customer_id, c.customer_id IS NOT NULL AS known, g.hour,
               coalesce(m.service_names ->> g.service_type::text, 'code:' || g.service_type) AS service,
               sum(g.rows)::bigint AS rows, sum(g.requests)::bigint AS requests, sum(g.bytes)::bigint AS bytes
        FROM grouped g CROSS JOIN console.metering m LEFT JOIN customers c USING (customer_id)
        GROUP BY 1, 2, 3, 4
    ), added AS (
        INSERT INTO usage_records AS u
            (customer_id, service_type, window_start, window_end, request_count, bytes_transferred)
        SELECT customer_id, service, hour, hour + interval '1 hour', requests, bytes
        FROM counted WHERE known AND (requests > 0 OR bytes > 0) ORDER BY 1, 2, 3
        ON CONFLICT (customer_id, service_type, window_start) WHERE billing_record_id IS NULL
        DO UPDATE SET request_count = u.request_count + excluded.request_count,
                      bytes_transferred = coalesce(u.bytes_transferred, 0) + excluded.bytes_transferred
        RETURNING 1
    ), unassigned AS (
        INSERT INTO console.usage_unassigned AS u (customer_id, service_type, window_start, rows, request_count, bytes)
        SELECT customer_id, service, hour, rows, requests, bytes
        FROM counted WHERE NOT known ORDER BY 1, 2, 3
        ON CONFLICT (customer_id, service_type, window_start)
        DO UPDATE SET rows = u.rows + excluded.rows, request_count = u.request_count + excluded.request_count,
                      bytes = u.bytes + excluded.bytes
        RETURNING 1
    ), seen AS (
        SELECT coalesce(sum(rows), 0)::bigint AS rows,
               coalesce(sum(rows) FILTER (WHERE NOT known), 0)::bigint AS unassigned,
               coalesce(sum(requests) FILTER (WHERE known), 0)::bigint AS requests
        FROM counted
    )
    UPDATE console.capture_state s
    SET snap = console.snapshot_below(pg_current_snapshot(), %(bound)s::xid8),
        rows = s.rows + seen.rows,
        caught_up_at = CASE WHEN %(last)s THEN statement_timestamp() ELSE s.caught_up_at END,
        updated_at = clock_timestamp()
    FROM seen WHERE s.name = 'usage'
    RETURNING seen.rows, seen.unassigned, seen.requests, (SELECT count(*) FROM added), s.caught_up_at
"""


def step_query(billable: str) -> LiteralString:
    """The counting statement for a billable rule."""
    rule = BILLABLE[billable]
    counted: LiteralString = (
        " coalesce(sum(repeat) FILTER (WHERE " + rule + "), 0) AS requests,"
        " coalesce(sum(bytes_sent) FILTER (WHERE (" + rule + ") OR traffic_type = 7), 0) AS bytes"
    )
    return _STEP_HEAD + counted + _STEP_TAIL


@dataclass(frozen=True, slots=True)
class Counted:
    """What one step did. `last` says that it reached the present."""

    rows: int
    unassigned: int
    requests: int
    buckets: int
    last: bool


async def count_step(connection: Connection, *, chunk_rows: int = CHUNK_ROWS) -> Counted:
    """Counts what was committed since the cursor, at most about `chunk_rows` rows, and moves the cursor.

    Everything happens in the caller's READ COMMITTED transaction. Raises Refused on a database that was restored into
    another cluster, where the stored transaction ids mean nothing.
    """
    row = await (await connection.execute(_CURSOR)).fetchone()
    if row is None:
        raise Refused("console.capture_state has no row 'usage'; run `opsdeck migrate`")
    since, same_cluster, billable = row
    if not same_cluster:
        raise Refused(
            "this database was restored into another cluster, where the cursor of metering means nothing; "
            "run `opsdeck jobs run aggregate-usage --rebaseline`"
        )
    bound = await _bound(connection, since, chunk_rows)
    last = bound == _NO_BOUND
    parameters: dict[str, Any] = {"since": since, "bound": str(bound), "last": last}
    counted = await (await connection.execute(step_query(billable), parameters)).fetchone()
    assert counted is not None  # noqa: S101 - the row is locked above
    rows, unassigned, requests, buckets, caught_up = counted
    if last:
        await _tell_seeds(connection, caught_up)
    return Counted(rows, unassigned, requests, buckets, last)


async def _bound(connection: Connection, since: str, chunk_rows: int) -> int:
    """The xid below which this step counts."""
    found = await (await connection.execute(_BOUND, {"since": since, "rows": chunk_rows})).fetchone()
    if found is None or found[1] is None:
        return _NO_BOUND
    # A transaction larger than a chunk is counted whole: below itself there would be nothing to count, for ever.
    return max(int(found[1]), int(found[0]) + 1)


async def _tell_seeds(connection: Connection, caught_up: datetime) -> None:
    """The watermark under the name that people look for. Nothing here reads it back."""
    await connection.execute(
        """INSERT INTO processing_state AS p (key, value, updated_at) VALUES ('last_log_processed', %s, now())
           ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at""",
        (caught_up.isoformat(),),
    )


class AggregateUsage(Job):
    """haproxy_raw_logs to usage_records."""

    name: ClassVar[str] = "aggregate-usage"
    title: ClassVar[str] = "Meter: count new log rows into hourly usage"
    number: ClassVar[int] = 11
    every_s: ClassVar[int] = 300

    async def run(self, run: Run) -> str:
        while True:
            async with run.step() as connection:
                counted = await count_step(connection)
            await run.report(
                f"{run.counts['rows'] + counted.rows:,} rows counted",
                rows=counted.rows,
                requests=counted.requests,
                unassigned_rows=counted.unassigned,
                buckets=counted.buckets,
            )
            if counted.last:
                return _sentence(run)
            if run.dry_run:
                return f"{_sentence(run)}; more rows wait behind these"


def _sentence(run: Run) -> str:
    verb = "would count" if run.dry_run else "counted"
    text = f"{verb} {run.counts['rows']:,} rows, {run.counts['requests']:,} billable requests"
    if run.counts["unassigned_rows"]:
        text += f"; {run.counts['unassigned_rows']:,} rows belong to no known customer"
    return text

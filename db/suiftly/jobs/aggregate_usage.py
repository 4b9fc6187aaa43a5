"""Metering: what the request log says, added up by customer, service and UTC hour. What this counts is what is paid."""

from collections import Counter
from datetime import datetime
from typing import Any, ClassVar, LiteralString

from db.database import Connection
from db.suiftly.jobs.log_consumer import MOVE_CURSOR, Counted, LogConsumer, counted_rows, new_rows

BILLABLE: dict[str, LiteralString] = {
    "success": "traffic_type IN (1, 2) AND status_code >= 200 AND status_code < 400",
    "traffic": "traffic_type IN (1, 2)",
}

SERVICE: LiteralString = "coalesce(service_names ->> service_type::text, 'code:' || service_type)"
"""The name of a row's service; wants console.metering."""

_COLUMNS: LiteralString = "timestamp, customer_id, service_type, traffic_type, status_code, bytes_sent, repeat"


def usage(billable: str) -> LiteralString:
    """What of log rows is paid for: `requests` and `bytes`."""
    rule = BILLABLE[billable]
    # Bytes of a stream arrive in rows of their own (traffic type 7), beside the request that opened it.
    return (
        " coalesce(sum(repeat) FILTER (WHERE " + rule + "), 0)::bigint AS requests,"
        " coalesce(sum(bytes_sent) FILTER (WHERE (" + rule + ") OR traffic_type = 7), 0)::bigint AS bytes "
    )


def _added_up(rows: LiteralString, billable: str) -> LiteralString:
    """CTEs: `src`, the log rows; `counted`, their sums by customer, service and hour, marked `known` or not."""
    return (
        "WITH src AS (" + rows + """), grouped AS (
            SELECT customer_id, service_type, date_trunc('hour', timestamp, 'UTC') AS hour, count(*) AS rows,
                   """ + usage(billable) + """
            FROM src GROUP BY 1, 2, 3
        ), counted AS (
            SELECT g.customer_id, c.customer_id IS NOT NULL AS known, g.hour, """ + SERVICE + """ AS service,
                   sum(g.rows)::bigint AS rows, sum(g.requests)::bigint AS requests, sum(g.bytes)::bigint AS bytes
            FROM grouped g CROSS JOIN console.metering m LEFT JOIN customers c USING (customer_id)
            GROUP BY 1, 2, 3, 4
        )"""
    )  # fmt: skip


def step_query(billable: str) -> LiteralString:
    """The counting statement for a billable rule."""
    head = _added_up(new_rows(_COLUMNS), billable)
    return (
        head + """, added AS (
            INSERT INTO usage_records AS u
                (customer_id, service_type, window_start, window_end, request_count, bytes_transferred)
            SELECT customer_id, service, hour, hour + interval '1 hour', requests, bytes
            FROM counted WHERE known AND (requests > 0 OR bytes > 0) ORDER BY 1, 2, 3
            ON CONFLICT (customer_id, service_type, window_start)
                WHERE billing_record_id IS NULL AND charged_amount IS NULL
            DO UPDATE SET request_count = u.request_count + excluded.request_count,
                          bytes_transferred = coalesce(u.bytes_transferred, 0) + excluded.bytes_transferred
            RETURNING 1
        ), unassigned AS (
            INSERT INTO console.usage_unassigned AS u
                (customer_id, service_type, window_start, rows, request_count, bytes)
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
        )""" + MOVE_CURSOR + " RETURNING seen.rows, seen.unassigned, seen.requests, (SELECT count(*) FROM added)"
    )  # fmt: skip


def _recount_query(billable: str) -> LiteralString:
    head = _added_up(counted_rows(_COLUMNS), billable)
    return (
        head + """, metered AS (
            SELECT customer_id, service_type AS service,
                   coalesce(sum(request_count) FILTER (WHERE closed), 0)::bigint AS billed,
                   coalesce(sum(bytes_transferred) FILTER (WHERE closed), 0)::bigint AS billed_bytes,
                   sum(request_count)::bigint AS requests
            FROM (SELECT *, billing_record_id IS NOT NULL OR charged_amount IS NOT NULL AS closed
                  FROM usage_records) u
            WHERE window_start = %(hour)s GROUP BY 1, 2
        ), proven AS (
            SELECT customer_id, service, hour, greatest(c.requests - coalesce(m.billed, 0), 0) AS requests,
                   greatest(c.bytes - coalesce(m.billed_bytes, 0), 0) AS bytes,
                   greatest(c.requests - coalesce(m.requests, 0), 0) AS missing
            FROM counted c LEFT JOIN metered m USING (customer_id, service) WHERE known
        ), raised AS (
            INSERT INTO usage_records AS u
                (customer_id, service_type, window_start, window_end, request_count, bytes_transferred)
            SELECT customer_id, service, hour, hour + interval '1 hour', requests, bytes
            FROM proven WHERE requests > 0 OR bytes > 0 ORDER BY 1, 2, 3
            ON CONFLICT (customer_id, service_type, window_start)
                WHERE billing_record_id IS NULL AND charged_amount IS NULL
            DO UPDATE SET request_count = greatest(u.request_count, excluded.request_count),
                          bytes_transferred = greatest(u.bytes_transferred, excluded.bytes_transferred)
            WHERE u.request_count < excluded.request_count
               OR coalesce(u.bytes_transferred, 0) < excluded.bytes_transferred
            RETURNING 1
        ), unassigned AS (
            INSERT INTO console.usage_unassigned AS u
                (customer_id, service_type, window_start, rows, request_count, bytes)
            SELECT customer_id, service, hour, rows, requests, bytes
            FROM counted WHERE NOT known ORDER BY 1, 2, 3
            ON CONFLICT (customer_id, service_type, window_start)
            DO UPDATE SET rows = excluded.rows, request_count = excluded.request_count, bytes = excluded.bytes
            WHERE u.rows < excluded.rows
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM src) AS rows, (SELECT count(*) FROM raised) AS raised,
               (SELECT coalesce(sum(missing), 0)::bigint FROM proven) AS requests,
               (SELECT count(*) FROM metered m LEFT JOIN counted c USING (customer_id, service)
                WHERE m.requests > coalesce(c.requests, 0)) AS kept,
               (SELECT count(*) FROM unassigned) AS unassigned"""
    )  # fmt: skip


class AggregateUsage(LogConsumer):
    """haproxy_raw_logs to usage_records."""

    name: ClassVar[str] = "aggregate-usage"
    title: ClassVar[str] = "Meter: count new log rows into hourly usage"
    number: ClassVar[int] = 11
    every_s: ClassVar[int] = 300
    cursor: ClassVar[str] = "usage"

    async def count(self, connection: Connection, step: dict[str, Any]) -> Counted:
        query = step_query(await _billable(connection))
        counted = await (await connection.execute(query, step, prepare=False)).fetchone()
        assert counted is not None  # noqa: S101 - the cursor's row is locked
        rows, unassigned, requests, buckets = counted
        counts = {"unassigned_rows": unassigned, "requests": requests, "buckets": buckets}
        return Counted(rows, step["last"], counts)

    async def recount(self, connection: Connection, hour: datetime, snap: str) -> Counter[str]:
        query = _recount_query(await _billable(connection))
        row = await (await connection.execute(query, {"hour": hour, "snap": snap})).fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        return Counter(dict(zip(("rows", "raised", "requests", "kept", "unassigned_raised"), row, strict=True)))

    async def after_last(self, connection: Connection) -> None:
        """The watermark under the name that people look for. Nothing here reads it back."""
        await connection.execute(
            """INSERT INTO processing_state AS p (key, value, updated_at)
               SELECT 'last_log_processed', to_char(caught_up_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                      now()
               FROM console.capture_state WHERE name = 'usage'
               ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"""
        )

    def sentence(self, counts: Counter[str], *, dry_run: bool) -> str:
        verb = "would count" if dry_run else "counted"
        text = f"{verb} {counts['rows']:,} rows, {counts['requests']:,} billable requests"
        if counts["unassigned_rows"]:
            text += f"; {counts['unassigned_rows']:,} rows belong to no known customer"
        return text


async def _billable(connection: Connection) -> str:
    row = await (await connection.execute("SELECT billable FROM console.metering")).fetchone()
    assert row is not None  # noqa: S101 - the migration writes the only row
    return str(row[0])

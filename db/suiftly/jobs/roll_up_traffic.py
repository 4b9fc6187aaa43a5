"""Traffic rollups: the fleet by minute, hour and day, customers by hour and day; all but the last with a histogram."""

from collections import Counter
from datetime import datetime
from typing import Any, ClassVar, LiteralString

from db.database import Connection
from db.jobs.job import Run
from db.suiftly.jobs.log_consumer import MOVE_CURSOR, Counted, LogConsumer, counted_rows, new_rows
from db.suiftly.log.codes import TRAFFIC_CLASS_SQL
from db.suiftly.usage.latency import SLOTS, SUMS

_COLUMNS: LiteralString = """
    timestamp, customer_id, network, service_type, server_id, traffic_type, status_code, bytes_sent, time_total, repeat
"""
_FLEET_KEY: LiteralString = "bucket, network, service_type, server_id, traffic_type, status_class"
_CUSTOMER_KEY: LiteralString = "customer_id, bucket, service_type, network"
_FLEET_SUMS: tuple[LiteralString, ...] = ("requests", "bytes", "latency_ms")
_CUSTOMER_SUMS: tuple[LiteralString, ...] = (
    "requests", "guaranteed", "burst", "rejected", "invalid", "server_error", "client_errors", "server_errors", "bytes",
    "latency_ms",
)  # fmt: skip
_DAY_KEY: LiteralString = "bucket, customer_id, service_type, network"
_DAY_SUMS: tuple[LiteralString, ...] = ("requests", "client_errors", "server_errors", "bytes")

_SLOT: LiteralString = "width_bucket(greatest(time_total, 0), console.latency_bounds()) - 1"


def _pivot(numbers: LiteralString) -> LiteralString:
    """From (slot, number) pairs to columns: the 64 sums run over groups, not over rows."""
    return ", ".join("sum(" + numbers + ") FILTER (WHERE slot = " + slot[1:] + ")::bigint AS " + slot for slot in SLOTS)


def _grouped(rows: LiteralString) -> LiteralString:
    """CTEs: `src`, the log rows; `minutes` and `customers`, their sums in the shape of the tables."""
    return (
        "WITH src AS MATERIALIZED (" + rows + """), fleet AS (
            SELECT date_trunc('minute', timestamp, 'UTC') AS bucket, network, service_type, server_id, traffic_type,
                   (status_code / 100)::smallint AS status_class, """ + _SLOT + """ AS slot, sum(repeat) AS requests,
                   sum(bytes_sent) AS bytes, sum(greatest(time_total, 0)::bigint * repeat) AS latency_ms
            FROM src GROUP BY 1, 2, 3, 4, 5, 6, 7
        ), minutes AS (
            SELECT """ + _FLEET_KEY + """, sum(requests)::bigint AS requests, sum(bytes)::bigint AS bytes,
                   sum(latency_ms)::bigint AS latency_ms, """ + _pivot("requests") + """
            FROM fleet GROUP BY 1, 2, 3, 4, 5, 6
        ), by_customer AS (
            SELECT customer_id, date_trunc('hour', timestamp, 'UTC') AS bucket, service_type, network, traffic_type,
                   (status_code / 100)::smallint * 100 AS status_code, """ + _SLOT + """ AS slot,
                   sum(repeat) AS requests, sum(bytes_sent) AS bytes,
                   sum(greatest(time_total, 0)::bigint * repeat) AS latency_ms
            FROM src GROUP BY 1, 2, 3, 4, 5, 6, 7
        ), classed AS (
            SELECT coalesce(c.customer_id, 0) AS customer_id, bucket, service_type, network, slot, status_code,
                   requests, bytes, """ + TRAFFIC_CLASS_SQL + """ AS class,
                   CASE WHEN traffic_type IN (1, 2) THEN requests END AS served,
                   CASE WHEN traffic_type IN (1, 2) THEN latency_ms END AS latency_ms
            FROM by_customer LEFT JOIN public.customers c USING (customer_id)
        ), customer_hours AS (
            SELECT """ + _CUSTOMER_KEY + """, sum(requests)::bigint AS requests,
                   coalesce(sum(requests) FILTER (WHERE class = 'guaranteed'), 0)::bigint AS guaranteed,
                   coalesce(sum(requests) FILTER (WHERE class = 'burst'), 0)::bigint AS burst,
                   coalesce(sum(requests) FILTER (WHERE class = 'rejected'), 0)::bigint AS rejected,
                   coalesce(sum(requests) FILTER (WHERE class = 'invalid'), 0)::bigint AS invalid,
                   coalesce(sum(requests) FILTER (WHERE class = 'server-error'), 0)::bigint AS server_error,
                   coalesce(sum(requests) FILTER (WHERE status_code = 400), 0)::bigint AS client_errors,
                   coalesce(sum(requests) FILTER (WHERE status_code = 500), 0)::bigint AS server_errors,
                   sum(bytes)::bigint AS bytes, coalesce(sum(latency_ms), 0)::bigint AS latency_ms,
                   """ + _pivot("served") + """
            FROM classed GROUP BY 1, 2, 3, 4
        )"""
    )  # fmt: skip


def _coarser(unit: LiteralString, source: LiteralString, condition: LiteralString) -> LiteralString:
    """Fleet sums by a coarser unit of time."""
    return (
        "SELECT date_trunc('" + unit + "', bucket, 'UTC'), network, service_type, server_id, traffic_type, "
        + "status_class, sum(requests)::bigint, sum(bytes)::bigint, sum(latency_ms)::bigint, " + SUMS
        + " FROM " + source + " WHERE " + condition + " GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6"
    )  # fmt: skip


def _insert(
    table: LiteralString,
    key: LiteralString,
    sums: tuple[LiteralString, ...],
    rows: LiteralString,
    *,
    add: bool,
    slots: tuple[LiteralString, ...] = SLOTS,
) -> LiteralString:
    """Puts sums into a rollup: added to what is there, or, in a recount, in place of it where they are larger."""
    columns: LiteralString = key + ", " + ", ".join((*sums, *slots))
    if add:
        # NULL plus a number is NULL: a slot of one side only is taken as it is.
        changes: LiteralString = ", ".join(
            (
                *(name + " = t." + name + " + excluded." + name for name in sums),
                *(
                    slot + " = coalesce(t." + slot + " + excluded." + slot + ", t." + slot + ", excluded." + slot + ")"
                    for slot in slots
                ),
            )
        )
    else:
        changes = ", ".join(name + " = excluded." + name for name in (*sums, *slots))
        changes += " WHERE excluded.requests > t.requests"
    return (
        "INSERT INTO console." + table + " AS t (" + columns + ") " + rows
        + " ON CONFLICT (" + key + ") DO UPDATE SET " + changes + " RETURNING 1"
    )  # fmt: skip


_MINUTES: LiteralString = "SELECT * FROM minutes ORDER BY 1, 2, 3, 4, 5, 6"
_CUSTOMER_HOURS: LiteralString = "SELECT * FROM customer_hours ORDER BY 1, 2, 3, 4"
_HOURS: LiteralString = _coarser("hour", "minutes", "true")
_DAYS: LiteralString = _coarser("day", "minutes", "true")


def _customer_days(source: LiteralString, condition: LiteralString) -> LiteralString:
    return (
        """SELECT date_trunc('day', bucket, 'UTC'), customer_id, service_type, network, sum(requests)::bigint,
                  sum(coalesce(client_errors, rejected + invalid))::bigint,
                  sum(coalesce(server_errors, server_error))::bigint, sum(bytes)::bigint
           FROM """ + source + " WHERE " + condition + " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
    )  # fmt: skip


_IN_DAY: LiteralString = """bucket >= date_trunc('day', %(hour)s, 'UTC')
                            AND bucket < date_trunc('day', %(hour)s, 'UTC') + interval '1 day'"""
_STEP: LiteralString = (
    _grouped(new_rows(_COLUMNS))
    + ", to_minute AS (" + _insert("traffic_minute", _FLEET_KEY, _FLEET_SUMS, _MINUTES, add=True)
    + "), to_hour AS (" + _insert("traffic_hour", _FLEET_KEY, _FLEET_SUMS, _HOURS, add=True)
    + "), to_day AS (" + _insert("traffic_day", _FLEET_KEY, _FLEET_SUMS, _DAYS, add=True)
    + "), to_customer AS ("
    + _insert("traffic_customer_hour", _CUSTOMER_KEY, _CUSTOMER_SUMS, _CUSTOMER_HOURS, add=True)
    + "), to_customer_day AS ("
    + _insert(
        "traffic_customer_day", _DAY_KEY, _DAY_SUMS, _customer_days("customer_hours", "true"), add=True, slots=()
    )
    + "), seen AS (SELECT count(*) AS rows, coalesce(sum(repeat), 0)::bigint AS requests FROM src)"
    + MOVE_CURSOR
    + " RETURNING seen.rows, seen.requests, (SELECT count(*) FROM to_minute), (SELECT count(*) FROM to_customer)"
)  # fmt: skip
_RECOUNT: LiteralString = (
    _grouped(counted_rows(_COLUMNS))
    + ", to_minute AS (" + _insert("traffic_minute", _FLEET_KEY, _FLEET_SUMS, _MINUTES, add=False)
    + "), to_hour AS (" + _insert("traffic_hour", _FLEET_KEY, _FLEET_SUMS, _HOURS, add=False)
    + "), to_customer AS ("
    + _insert("traffic_customer_hour", _CUSTOMER_KEY, _CUSTOMER_SUMS, _CUSTOMER_HOURS, add=False)
    + ") SELECT (SELECT count(*) FROM src), (SELECT count(*) FROM to_hour) + (SELECT count(*) FROM to_customer)"
)  # fmt: skip
_RECOUNT_DAY: LiteralString = _insert(
    "traffic_day",
    _FLEET_KEY,
    _FLEET_SUMS,
    _coarser("day", "console.traffic_hour", _IN_DAY),
    add=False,
)
_RECOUNT_CUSTOMER_DAY: LiteralString = _insert(
    "traffic_customer_day",
    _DAY_KEY,
    _DAY_SUMS,
    _customer_days("console.traffic_customer_hour", _IN_DAY),
    add=False,
    slots=(),
)


class RollUpTraffic(LogConsumer):
    """haproxy_raw_logs to console.traffic_minute, _hour, _day, _customer_hour and _customer_day."""

    name: ClassVar[str] = "roll-up-traffic"
    title: ClassVar[str] = "Add up new log rows for charts: fleet and customers over time"
    number: ClassVar[int] = 12
    every_s: ClassVar[int] = 60
    cursor: ClassVar[str] = "traffic"

    async def count(self, connection: Connection, step: dict[str, Any]) -> Counted:
        row = await (await connection.execute(_STEP, step, prepare=False)).fetchone()
        assert row is not None  # noqa: S101 - the cursor's row is locked
        rows, requests, minutes, customer_hours = row
        counts = {"requests": requests, "fleet_rows": minutes, "customer_rows": customer_hours}
        return Counted(rows, step["last"], counts)

    async def recount(self, connection: Connection, hour: datetime, snap: str) -> Counter[str]:
        row = await (await connection.execute(_RECOUNT, {"hour": hour, "snap": snap})).fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        await connection.execute(_RECOUNT_DAY, {"hour": hour})
        await connection.execute(_RECOUNT_CUSTOMER_DAY, {"hour": hour})
        return Counter({"rows": row[0], "raised": row[1]})

    async def run(self, run: Run) -> str:
        sentence = await super().run(run)
        forgotten = await _forget(run)
        return sentence + (f"; {forgotten:,} rows past their age deleted" if forgotten else "")

    def sentence(self, counts: Counter[str], *, dry_run: bool) -> str:
        verb = "would add up" if dry_run else "added up"
        return f"{verb} {counts['rows']:,} rows, {counts['requests']:,} requests"


async def _forget(run: Run) -> int:
    """Deletes minutes and hours past their age."""
    deleted = 0
    for query in (
        """DELETE FROM console.traffic_minute USING console.metering
           WHERE bucket < date_trunc('hour', now() - minutes_kept, 'UTC')""",
        """DELETE FROM console.traffic_hour USING console.metering
           WHERE bucket < date_trunc('hour', now() - hours_kept, 'UTC')""",
        """DELETE FROM console.traffic_customer_hour USING console.metering
           WHERE bucket < date_trunc('hour', now() - hours_kept, 'UTC')""",
    ):
        async with run.step() as connection:
            cursor = await connection.execute(query)
        deleted += cursor.rowcount
    await run.report("deleting what is past its age", deleted_rows=deleted)
    return deleted

"""Holds metered usage against the log it was counted from, hour by hour, as far back as the log reaches."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from psycopg.rows import class_row

from db.database import Database
from db.suiftly.jobs.aggregate_usage import SERVICE, usage
from db.suiftly.metering import no_cursor

_HOUR = timedelta(hours=1)
_HOUR_S = 120.0  # at 10,000 rows a second an hour is 36 million rows


@dataclass(frozen=True, slots=True)
class Difference:
    """A customer, service and hour whose usage is not what the log says. Billed and open records count together."""

    customer_id: int
    service: str
    hour: datetime
    logged_requests: int
    metered_requests: int
    logged_bytes: int
    metered_bytes: int


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far metering is. `age_s` is None when it never caught up."""

    rule: str
    oldest: datetime | None  # the first hour the log holds whole
    now: datetime
    age_s: float | None


@dataclass(frozen=True, slots=True)
class CheckedHour:
    """What one hour came to."""

    hour: datetime
    differences: tuple[Difference, ...]
    unbilled_requests: int


def _compare(rule: str) -> LiteralString:
    # Uncounted rows are left out of the log's side: they are not wrong, only late, and told of separately.
    return (
        """WITH logged AS (
            SELECT l.customer_id, """ + SERVICE + " AS service, " + usage(rule) + """
            FROM haproxy_raw_logs l JOIN customers c USING (customer_id) CROSS JOIN console.metering m
            CROSS JOIN (SELECT snap FROM console.capture_state WHERE name = 'usage') s
            WHERE l.timestamp >= %(hour)s AND l.timestamp < %(hour)s + interval '1 hour'
              AND pg_visible_in_snapshot(l.xid, s.snap)
              AND (%(customer)s::bigint IS NULL OR l.customer_id = %(customer)s::bigint)
            GROUP BY 1, 2
        ), metered AS (
            SELECT customer_id, service_type AS service, sum(request_count)::bigint AS requests,
                   coalesce(sum(bytes_transferred), 0)::bigint AS bytes
            FROM usage_records
            WHERE window_start = %(hour)s AND (%(customer)s::bigint IS NULL OR customer_id = %(customer)s::bigint)
            GROUP BY 1, 2
        )
        SELECT customer_id, service, %(hour)s::timestamptz AS hour,
               coalesce(l.requests, 0) AS logged_requests, coalesce(m.requests, 0) AS metered_requests,
               coalesce(l.bytes, 0) AS logged_bytes, coalesce(m.bytes, 0) AS metered_bytes
        FROM logged l FULL JOIN metered m USING (customer_id, service)
        WHERE coalesce(l.requests, 0) <> coalesce(m.requests, 0) OR coalesce(l.bytes, 0) <> coalesce(m.bytes, 0)
        ORDER BY 1, 2"""
    )  # fmt: skip


class Reconciliation:
    """Questions about whether metering is right."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def watermark(self) -> Watermark:
        """How far metering is, and what the log still holds."""
        async with self._database.reading(30.0, one_snapshot=True) as connection:
            cursor = connection.cursor(row_factory=class_row(Watermark))
            await cursor.execute(
                """SELECT m.billable AS rule, now() AS now,
                          nullif(greatest(date_trunc('hour', (SELECT min(ends) - interval '1 hour'
                                                              FROM console.log_parts_before('infinity')), 'UTC'),
                                          m.log_complete_from), '-infinity') AS oldest,
                          extract(epoch FROM now() - s.caught_up_at)::float8 AS age_s
                   FROM console.capture_state s, console.metering m WHERE s.name = 'usage'"""
            )
            found = await cursor.fetchone()
        if found is None:
            raise no_cursor("usage")
        return found

    async def uncounted_rows(self) -> int:
        """Log rows that are committed and not counted yet."""
        async with self._database.reading(_HOUR_S, one_snapshot=True) as connection:
            cursor = await connection.execute(
                """SELECT (SELECT count(*) FROM haproxy_raw_logs WHERE xid >= pg_snapshot_xmax(s.snap))
                          + (SELECT count(*) FROM haproxy_raw_logs
                             WHERE xid = ANY(ARRAY(SELECT pg_snapshot_xip(s.snap))))
                   FROM console.capture_state s WHERE s.name = 'usage'"""
            )
            row = await cursor.fetchone()
        return int(row[0]) if row else 0

    async def hours(
        self, start: datetime, end: datetime, *, rule: str, customer: int | None = None
    ) -> AsyncGenerator[CheckedHour]:
        """Checks every UTC hour that begins in [start, end), oldest first, a query each."""
        hour = start.replace(minute=0, second=0, microsecond=0)
        while hour < end:
            yield await self.check(hour, rule=rule, customer=customer)
            hour += _HOUR

    async def check(
        self, hour: datetime, *, rule: str, customer: int | None = None, statement_s: float = _HOUR_S
    ) -> CheckedHour:
        """Holds the usage of one UTC hour against the log's rows before the cursor. Raises TimedOut."""
        parameters = {"hour": hour, "customer": customer}
        async with self._database.reading(statement_s, one_snapshot=True) as connection:
            cursor = connection.cursor(row_factory=class_row(Difference))
            await cursor.execute(_compare(rule), parameters)
            differences = tuple(await cursor.fetchall())
            open_ = await (
                await connection.execute(
                    """SELECT coalesce(sum(request_count), 0)::bigint FROM usage_records
                       WHERE window_start = %(hour)s AND billing_record_id IS NULL AND charged_amount IS NULL
                         AND (%(customer)s::bigint IS NULL OR customer_id = %(customer)s::bigint)""",
                    parameters,
                )
            ).fetchone()
        return CheckedHour(hour, differences, open_[0] if open_ else 0)

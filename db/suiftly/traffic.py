"""The overview: what the fleet did in the last minutes, and what needs a look."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import LiteralString

from psycopg.rows import class_row

from db.database import Connection, Database
from db.suiftly.codes import traffic_class
from db.suiftly.key_format import format_fingerprint
from db.suiftly.metering import cursor_states

WINDOW = timedelta(minutes=5)
BUCKET = timedelta(seconds=5)

_SINCE: LiteralString = " timestamp >= %(start)s AND timestamp < %(end)s "
# Latencies are counted before they are ranked: at 3 million rows 1.2 s, where percentile_disc() with the totals beside
# it took 3.6 s (measured together on a loaded machine). The totals come from the groups of the series instead.
_SERIES: LiteralString = (
    "SELECT date_bin(%(bucket)s, timestamp, %(start)s) AS bucket, traffic_type, status_code,"
    " sum(repeat)::bigint AS requests, sum(bytes_sent)::bigint AS bytes FROM haproxy_raw_logs WHERE"
    + _SINCE
    + "GROUP BY 1, 2, 3"
)
_LATENCIES: LiteralString = (
    """WITH counted AS (SELECT time_total, count(*) AS rows FROM haproxy_raw_logs
                        WHERE traffic_type IN (1, 2) AND"""
    + _SINCE
    + """               GROUP BY 1),
            ranked AS (SELECT time_total, sum(rows) OVER (ORDER BY time_total) AS rank, sum(rows) OVER () AS total
                       FROM counted)
       SELECT min(time_total) FILTER (WHERE rank >= 0.5 * total),
              min(time_total) FILTER (WHERE rank >= 0.95 * total),
              min(time_total) FILTER (WHERE rank >= 0.99 * total)
       FROM ranked"""
)
_TOP: LiteralString = (
    """SELECT customer_id, sum(repeat)::bigint AS requests,
              coalesce(sum(repeat) FILTER (WHERE status_code >= 400), 0)::bigint AS errors
       FROM haproxy_raw_logs WHERE customer_id IS NOT NULL AND"""
    + _SINCE
    + "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10"
)


@dataclass(frozen=True, slots=True)
class TopCustomer:
    """A customer by requests in the window."""

    customer_id: int
    requests: int
    errors: int


@dataclass(frozen=True, slots=True)
class Attention:
    """One thing that needs a look, and the subject it opens ("key:42", "jobs:clean-up", "control")."""

    severity: str  # "bad" or "warn"
    sentence: str
    subject: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """The window [start, end) as the log tells it. Latencies in ms, None without served requests."""

    start: datetime
    end: datetime
    series: tuple[dict[str, int], ...]  # per BUCKET, oldest first: requests by traffic class
    requests: int
    server_errors: int
    client_errors: int
    bytes: int
    latencies: tuple[int, int, int] | None  # p50, p95, p99
    top: tuple[TopCustomer, ...]
    attention: tuple[Attention, ...]

    @property
    def per_second(self) -> float:
        return self.requests / (self.end - self.start).total_seconds()


@dataclass(slots=True)
class _Window:
    """Sums while the groups of one window are read."""

    series: list[dict[str, int]] = field(default_factory=lambda: [{} for _ in range(WINDOW // BUCKET)])
    requests: int = 0
    server_errors: int = 0
    client_errors: int = 0
    bytes: int = 0

    def add(self, bucket: int, traffic_type: int, status: int, requests: int, bytes_: int) -> None:
        name = traffic_class(traffic_type, status).value
        self.series[bucket][name] = self.series[bucket].get(name, 0) + requests
        self.requests += requests
        self.bytes += bytes_
        if status >= 500:
            self.server_errors += requests
        elif status >= 400:
            self.client_errors += requests


class Traffic:
    """Questions about the fleet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def overview(self) -> Overview:
        """The last WINDOW, all of one snapshot. Costs in proportion to the rows of the window."""
        async with self._database.reading(one_snapshot=True) as connection:
            row = await (await connection.execute("SELECT date_bin(%s, now(), 'epoch')", (BUCKET,))).fetchone()
            assert row is not None  # noqa: S101 - a SELECT without FROM has one row
            end: datetime = row[0]
            bounds = {"start": end - WINDOW, "end": end, "bucket": BUCKET}
            window = _Window()
            for at, traffic_type, status, requests, bytes_ in await (
                await connection.execute(_SERIES, bounds)
            ).fetchall():
                window.add((at - bounds["start"]) // BUCKET, traffic_type, status, requests, bytes_)
            latencies = await (await connection.execute(_LATENCIES, bounds)).fetchone()
            top = connection.cursor(row_factory=class_row(TopCustomer))
            await top.execute(_TOP, bounds)
            return Overview(
                start=end - WINDOW,
                end=end,
                series=tuple(window.series),
                requests=window.requests,
                server_errors=window.server_errors,
                client_errors=window.client_errors,
                bytes=window.bytes,
                latencies=latencies if latencies and latencies[0] is not None else None,
                top=tuple(await top.fetchall()),
                attention=await _attention(connection),
            )

    async def still_served(self) -> int:
        """How many keys revoked within a day were served in the last WINDOW, past the allowance for propagation."""
        async with self._database.reading() as connection:
            return len(await _still_served(connection))


_ALLOWANCE = timedelta(minutes=1)  # configuration reaches the gateways, and their log lines us, within this

_STILL_SERVED = """
    SELECT k.api_key_fp, k.revoked_at, sum(r.repeat)::bigint
    FROM api_keys k JOIN haproxy_raw_logs r ON r.customer_id = k.customer_id AND r.api_key_fp = k.api_key_fp
    WHERE NOT k.is_active AND k.revoked_at > now() - interval '1 day'
      AND r.timestamp >= now() - %(window)s AND r.timestamp < now()
      AND r.timestamp > k.revoked_at + %(allowance)s AND r.traffic_type IN (1, 2)
    GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 100
"""
_SUSPENDED_SERVED = """
    SELECT c.customer_id, c.updated_at, sum(r.repeat)::bigint
    FROM customers c JOIN haproxy_raw_logs r ON r.customer_id = c.customer_id
    WHERE c.status IN ('suspended', 'closed') AND r.timestamp >= now() - %(window)s AND r.timestamp < now()
      AND r.timestamp > c.updated_at + %(allowance)s AND r.traffic_type IN (1, 2)
    GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 5
"""


_BOUNDS = {"window": WINDOW, "allowance": _ALLOWANCE}


async def _still_served(connection: Connection) -> list[tuple[int, datetime, int]]:
    return await (await connection.execute(_STILL_SERVED, _BOUNDS)).fetchall()


async def _attention(connection: Connection) -> tuple[Attention, ...]:
    lines = [
        Attention(state.severity, f"{state.what}: {state.sentence}", f"jobs:{state.job}")
        for state in await cursor_states(connection)
        if state.severity != "good"
    ]
    lines += [
        Attention(
            "bad",
            f"revoked key {format_fingerprint(fp)} is still served: {count} request(s) in 5 min",
            f"key:{fp}",
            since,
        )
        for fp, since, count in (await _still_served(connection))[:5]
    ]
    lines += [
        Attention("bad", f"customer {id_} is not active but served: {count} request(s)", f"customer:{id_}", since)
        for id_, since, count in await (await connection.execute(_SUSPENDED_SERVED, _BOUNDS)).fetchall()
    ]
    row = await (
        await connection.execute("SELECT maintenance_mode, updated_at FROM system_control WHERE id = 1")
    ).fetchone()
    if row and row[0]:
        lines.append(Attention("warn", "maintenance mode is on: new signups are paused", "control", row[1]))
    return tuple(lines)

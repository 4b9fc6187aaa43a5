"""The overview: what the fleet did in the last hour, and what needs a look."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import LiteralString

from psycopg.rows import class_row

from db.database import Connection, Database
from db.suiftly.attention import Attention, attention, still_served
from db.suiftly.log.codes import traffic_class
from db.suiftly.usage.latency import SLOTS, SUMS, percentile
from db.suiftly.usage.rollups import RolledUp, not_rolled_up, rolled_up

WINDOW = timedelta(hours=1)
BUCKET = timedelta(minutes=1)

_SERIES: LiteralString = """
    SELECT bucket, traffic_type, status_class, sum(requests)::bigint, sum(bytes)::bigint
    FROM console.traffic_minute WHERE bucket >= %(start)s AND bucket < %(end)s GROUP BY 1, 2, 3
"""
_LATENCIES: LiteralString = (
    "SELECT " + SUMS + " FROM console.traffic_minute WHERE bucket >= %(recent)s AND bucket < %(end)s"
    " AND traffic_type IN (1, 2)"
)
# The rows that no rollup has yet, in one pass.
_LIVE: LiteralString = (
    """SELECT date_trunc('minute', timestamp, 'UTC'), traffic_type, (status_code / 100)::smallint,
              width_bucket(greatest(time_total, 0), console.latency_bounds()) - 1,
              sum(repeat)::bigint, sum(bytes_sent)::bigint FROM ("""
    + not_rolled_up("timestamp, traffic_type, status_code, time_total, repeat, bytes_sent")
    + ") live GROUP BY 1, 2, 3, 4"
)
_TOP: LiteralString = """
    SELECT customer_id, sum(repeat)::bigint AS requests,
           coalesce(sum(repeat) FILTER (WHERE status_code >= 400), 0)::bigint AS errors
    FROM haproxy_raw_logs
    WHERE customer_id IS NOT NULL AND timestamp >= now() - interval '1 minute' AND timestamp < now()
    GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10
"""


@dataclass(frozen=True, slots=True)
class TopCustomer:
    """A customer by requests in the last minute."""

    customer_id: int
    requests: int
    errors: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The window [start, end) as rollups and log tell it; its last bucket is the minute that runs.

    Sums and latencies (ms, None without served requests) are of the last whole minute and what runs of this one.
    """

    start: datetime
    end: datetime
    now: datetime
    series: tuple[dict[str, int], ...]  # per BUCKET, oldest first: requests by traffic class
    requests: int
    server_errors: int
    client_errors: int
    bytes: int
    latencies: tuple[int, int, int] | None  # p50, p95, p99, right to a quarter
    top: tuple[TopCustomer, ...]
    attention: tuple[Attention, ...]

    @property
    def recent_s(self) -> float:
        """Seconds that the sums are of: 60 to 120."""
        return (self.now - self.end + 2 * BUCKET).total_seconds()

    @property
    def per_second(self) -> float:
        return self.requests / self.recent_s


@dataclass(slots=True)
class _Window:
    """Sums while the groups of one window are read."""

    start: datetime
    series: list[dict[str, int]] = field(default_factory=lambda: [{} for _ in range(WINDOW // BUCKET)])
    slots: list[int] = field(default_factory=lambda: [0] * len(SLOTS))
    requests: int = 0
    server_errors: int = 0
    client_errors: int = 0
    bytes: int = 0

    def add(self, bucket: datetime, traffic_type: int, status_class: int, requests: int, bytes_: int) -> None:
        at = (bucket - self.start) // BUCKET
        name = traffic_class(traffic_type, 100 * status_class).value
        self.series[at][name] = self.series[at].get(name, 0) + requests
        if at < len(self.series) - 2:
            return
        self.requests += requests
        self.bytes += bytes_
        self.server_errors += requests * (status_class >= 5)
        self.client_errors += requests * (status_class == 4)

    def latencies(self) -> tuple[int, int, int] | None:
        p50, p95, p99 = (percentile(self.slots, share) for share in (0.5, 0.95, 0.99))
        if p50 is None or p95 is None or p99 is None:
            return None
        return round(p50), round(p95), round(p99)


class Traffic:
    """Questions about the fleet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def overview(self) -> Overview:
        """The last WINDOW, all of one snapshot: rollups, and beside them the log rows that these have not counted.

        Where roll-up-traffic stands still, the log's last five minutes are all there is of what it left out, and the
        attention list says so.
        """
        async with self._database.reading(one_snapshot=True, may_lag=True) as connection:
            rollups = await rolled_up(connection)
            now = rollups.now
            end = now.replace(second=0, microsecond=0) + BUCKET
            window = await _read(connection, end, rollups)
            top = connection.cursor(row_factory=class_row(TopCustomer))
            await top.execute(_TOP)
            return Overview(
                start=end - WINDOW,
                end=end,
                now=now,
                series=tuple(window.series),
                requests=window.requests,
                server_errors=window.server_errors,
                client_errors=window.client_errors,
                bytes=window.bytes,
                latencies=window.latencies(),
                top=tuple(await top.fetchall()),
                attention=await attention(connection),
            )

    async def still_served(self) -> int:
        """How many keys revoked within a day were served in the last minutes, past the allowance for propagation."""
        async with self._database.reading(may_lag=True) as connection:
            return len(await still_served(connection))


async def _read(connection: Connection, end: datetime, rollups: RolledUp) -> _Window:
    window = _Window(end - WINDOW)
    recent = end - 2 * BUCKET
    bounds = {"start": window.start, "end": end, "recent": recent}
    for group in await (await connection.execute(_SERIES, bounds)).fetchall():
        window.add(*group)
    counted = await (await connection.execute(_LATENCIES, bounds)).fetchone()
    window.slots = [count or 0 for count in counted or [0] * len(SLOTS)]
    live = await connection.execute(_LIVE, bounds | rollups.parameters())
    for bucket, traffic_type, status_class, slot, requests, bytes_ in await live.fetchall():
        window.add(bucket, traffic_type, status_class, requests, bytes_)
        if bucket >= recent and traffic_type in (1, 2):
            window.slots[slot] += requests
    return window

"""The log counted: by value of one dimension, and over time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, LiteralString

from db.database import Connection, Database
from db.suiftly.log.codes import TRAFFIC_CLASS_SQL
from db.suiftly.log.filter import RequestFilter
from db.suiftly.log.group_rollups import FLEET, Whole, newest_rows, rolled_up_groups, whole_units
from db.suiftly.log.windows import kept
from db.suiftly.usage.latency import SLOTS, percentile
from db.suiftly.usage.rollups import not_rolled_up, rolled_up

_MINUTE = timedelta(minutes=1)
_LATENCIES_UP_TO: Final = 500_000  # requests: their second pass over the log takes 0.2 s


class GroupBy(StrEnum):
    """What the log can be counted by: each is the name of a filter as well."""

    CUSTOMER = "customer"
    KEY = "key"
    EVENT = "event"
    SERVER = "server"
    PATH = "path"
    SERVICE = "service"
    STATUS = "status"
    CLASS = "class"


# Rows that a filter cannot tell apart are one group.
VALUES: Final[dict[GroupBy, LiteralString]] = {
    GroupBy.CUSTOMER: "coalesce(customer_id, 0)",
    GroupBy.KEY: "api_key_fp",
    GroupBy.EVENT: "event_type",
    GroupBy.SERVER: "server_id & 255",
    GroupBy.PATH: "ltrim(path_prefix, '/')",
    GroupBy.SERVICE: "service_type",
    GroupBy.STATUS: "status_code",
    GroupBy.CLASS: TRAFFIC_CLASS_SQL,
}
_WINDOW: LiteralString = " FROM haproxy_raw_logs WHERE timestamp >= %(start)s AND timestamp < %(end)s AND "
_SUMS: LiteralString = """
    sum(repeat)::bigint AS requests, coalesce(sum(repeat) FILTER (WHERE status_code >= 400), 0)::bigint AS errors,
    max(timestamp) AS newest
"""


def _groups(by: GroupBy, condition: LiteralString) -> LiteralString:
    return (
        "SELECT value, requests, errors, newest, count(*) OVER (), sum(requests) OVER ()::bigint,"
        " sum(errors) OVER ()::bigint FROM (SELECT " + VALUES[by] + " AS value, " + _SUMS + _WINDOW
        + "(" + condition + ") GROUP BY 1) groups ORDER BY requests DESC, value LIMIT %(limit)s"
    )  # fmt: skip


def _latencies(by: GroupBy, condition: LiteralString) -> LiteralString:
    array: LiteralString = "text[]" if by in (GroupBy.PATH, GroupBy.CLASS) else "int8[]"
    return (
        "SELECT value, slot, sum(repeat)::bigint FROM (SELECT " + VALUES[by] + " AS value,"
        " width_bucket(greatest(time_total, 0), console.latency_bounds()) - 1 AS slot, repeat" + _WINDOW
        + "traffic_type IN (1, 2) AND (" + condition + ")) served WHERE value = ANY(%(values)s::" + array
        + ") GROUP BY 1, 2"
    )  # fmt: skip


_PER_MINUTE: LiteralString = """
    SELECT coalesce(sum(requests), 0)::bigint
    FROM console.metering,
         generate_series(date_trunc('minute', now() - retention, 'UTC'), now(), interval '1 minute') minute
    LEFT JOIN console.traffic_minute ON bucket = minute GROUP BY minute ORDER BY minute
"""
_BUCKETS: LiteralString = "SELECT date_bin(%(width)s, timestamp, %(start)s), " + TRAFFIC_CLASS_SQL


def _from_log(condition: LiteralString) -> LiteralString:
    return _BUCKETS + ", sum(repeat)::bigint" + _WINDOW + "(" + condition + ") GROUP BY 1, 2"


def _from_rollups(condition: LiteralString) -> LiteralString:
    """Minutes under the log's column names, so that a filter is the same condition on both."""
    return (
        _BUCKETS + """, sum(requests)::bigint FROM (
            SELECT bucket AS timestamp, network, service_type, server_id, traffic_type,
                   (status_class * 100)::smallint AS status_code, requests
            FROM console.traffic_minute WHERE bucket >= %(start)s AND bucket < %(end)s
            UNION ALL
            """
        + not_rolled_up("timestamp, network, service_type, server_id, traffic_type, status_code, repeat")
        + ") counted WHERE timestamp >= %(start)s AND (" + condition + ") GROUP BY 1, 2"
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Group:
    """One value and its requests. The value is as RequestFilter.only() takes it; None where no filter asks for it.

    `p95` (ms) is of requests served, right to a quarter; None where none was, or where Groups.timed is false.
    """

    value: int | str | None
    requests: int
    errors: int  # status 400 and above
    share: float  # of all that was asked for
    newest: datetime
    p95: int | None


@dataclass(frozen=True, slots=True)
class Groups:
    """The biggest groups of [start, end), and the sums over all of them: `count` is how many there are."""

    by: GroupBy
    start: datetime
    end: datetime
    rows: tuple[Group, ...]
    count: int
    requests: int
    errors: int

    @property
    def timed(self) -> bool:
        """Whether latencies were counted: of more requests that is not cheap."""
        return self.requests <= _LATENCIES_UP_TO


@dataclass(frozen=True, slots=True)
class Histogram:
    """Requests by traffic class in each bucket of [start, end), oldest first."""

    start: datetime
    end: datetime
    series: tuple[dict[str, int], ...]

    @property
    def width(self) -> timedelta:
        """Of one bucket."""
        return (self.end - self.start) / len(self.series)


class Breakdown:
    """Counts of the log. Each question is bounded by its time and by the statement timeout: TimedOut means that the
    window or the filter has to be narrower."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def groups(
        self, wanted: RequestFilter, by: GroupBy, start: datetime, end: datetime, limit: int = 100
    ) -> Groups:
        """The biggest `limit` groups, biggest first."""
        async with self._database.reading(one_snapshot=True, may_lag=True) as connection:
            return await _group(connection, wanted, by, start, end, limit=limit)

    async def recent(self, wanted: RequestFilter, by: GroupBy, within: timedelta | None, limit: int = 100) -> Groups:
        """The same until now, by the database's clock; without `within` of all that is kept."""
        async with self._database.reading(one_snapshot=True, may_lag=True) as connection:
            log = await kept(connection)
            return await _group(connection, wanted, by, log.start(within), log.now, limit=limit)

    async def per_minute(self) -> tuple[int, ...]:
        """Requests of each whole minute of the log that the rollups know, oldest first: quick, and a little late."""
        async with self._database.reading(may_lag=True) as connection:
            counted = await connection.execute(_PER_MINUTE)
            return tuple(requests for (requests,) in await counted.fetchall())

    async def histogram(self, wanted: RequestFilter, start: datetime, end: datetime, buckets: int) -> Histogram:
        """So many buckets of one width.

        Whole minutes come from the rollups where these know what is asked, else everything from the log itself.
        """
        width = (end - start) / buckets
        condition, parameters = wanted.where()
        parameters |= {"start": start, "end": end, "width": width}
        query = _from_log(condition)
        async with self._database.reading(one_snapshot=True, may_lag=True) as connection:
            if _whole_minutes(start, width) and FLEET["class"].knows(wanted):
                rollups = await rolled_up(connection)
                if rollups.cover(end):
                    query = _from_rollups(condition)
                    parameters |= rollups.parameters()
            counted = await (await connection.execute(query, parameters)).fetchall()
        series: list[dict[str, int]] = [{} for _ in range(buckets)]
        for bucket, name, requests in counted:
            # A width that is no whole number of microseconds leaves a sliver behind the last bucket.
            at: int = min((bucket - start) // width, buckets - 1)
            series[at][name] = series[at].get(name, 0) + requests
        return Histogram(start, end, tuple(series))


def _whole_minutes(start: datetime, width: timedelta) -> bool:
    return not (width % _MINUTE or start.second or start.microsecond)


async def _group(
    connection: Connection, wanted: RequestFilter, by: GroupBy, start: datetime, end: datetime, *, limit: int
) -> Groups:
    condition, parameters = wanted.where()
    parameters |= {"start": start, "end": end, "limit": limit}
    whole = whole_units(by, wanted, start, end)
    rows = None if whole is None else await _rolled_up(connection, whole, condition, parameters)
    if rows is None:
        rows = await (await connection.execute(_groups(by, condition), parameters)).fetchall()
    if not rows:
        return Groups(by, start, end, (), 0, 0, 0)
    count, requests, errors = rows[0][4:]
    slots: dict[int | str, list[int]] = {}
    if requests <= _LATENCIES_UP_TO:
        parameters["values"] = [row[0] for row in rows if row[0] is not None]
        latencies = await connection.execute(_latencies(by, condition), parameters)
        for value, slot, served in await latencies.fetchall():
            slots.setdefault(value, [0] * len(SLOTS))[slot] = served
    groups = (
        Group(value, own, failed, own / requests, newest, _rounded(percentile(slots.get(value, ()), 0.95)))
        for value, own, failed, newest, *_ in rows
    )
    return Groups(by, start, end, tuple(groups), count, requests, errors)


async def _rolled_up(
    connection: Connection, whole: Whole, condition: LiteralString, parameters: dict[str, object]
) -> list[tuple[Any, ...]] | None:
    """What _groups() finds, without counting the whole log; None while the rollups stand still."""
    rollups = await rolled_up(connection)
    if not rollups.cover(whole.end):
        return None
    parameters = parameters | whole.parameters(rollups)
    rows = await (await connection.execute(rolled_up_groups(whole.rollup, condition), parameters)).fetchall()
    newest = await newest_rows(connection, whole.rollup, condition, parameters, rows)
    return [(value, requests, errors, newest[value], *sums) for value, requests, errors, _, _, *sums in rows]


def _rounded(ms: float | None) -> int | None:
    return None if ms is None else round(ms)

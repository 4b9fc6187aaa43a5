"""The biggest customers, keys, servers and paths of a window, and how they changed against the period before."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, LiteralString

from db.database import Connection, Database
from db.errors import Refused
from db.suiftly.log.breakdown import VALUES, GroupBy
from db.suiftly.usage.plan import CUSTOMER_MINUTES, KNOWN_LIVE, LOG_SPAN, Kept, fleet_table, what_is_kept
from db.suiftly.usage.rollups import not_rolled_up
from db.suiftly.usage.window import DAY, HOUR, MINUTE, UsageQuestion, Window, ceiling, floor, window_of

_COLUMNS: Final = 100  # any: of the window only the ends matter here


class TopBy(StrEnum):
    """What can be ranked: each is the name of a filter of the log as well."""

    CUSTOMER = "customer"
    KEY = "key"
    SERVER = "server"
    PATH = "path"


# `counted` has value, requests, errors and before; rows of nothing but the period before make no group.
_BIGGEST: LiteralString = """
    SELECT value, requests, errors, before, sum(requests) OVER ()::bigint, count(*) OVER ()
    FROM (SELECT value, sum(requests)::bigint AS requests, sum(errors)::bigint AS errors, sum(before)::bigint AS before
          FROM counted GROUP BY 1) groups
    WHERE requests > 0 ORDER BY requests DESC, value LIMIT %(limit)s
"""
_NOW: LiteralString = "bucket >= %(start)s AND bucket < %(end)s"
_LIVE_COLUMNS: LiteralString = "timestamp, network, service_type, server_id, status_code, repeat"
_ERRORS: LiteralString = "CASE WHEN status_code BETWEEN 400 AND 599 THEN repeat ELSE 0 END"


def _servers(table: LiteralString, condition: LiteralString) -> LiteralString:
    fleet: LiteralString = " FROM console." + table + " WHERE "
    return (
        "WITH counted AS (SELECT server_id & 255 AS value, requests,"
        " CASE WHEN status_class IN (4, 5) THEN requests ELSE 0 END AS errors, 0 AS before" + fleet + _NOW
        + " AND (" + condition + ") UNION ALL SELECT server_id & 255, 0, 0, requests" + fleet
        + "bucket >= %(before)s AND bucket < %(before_until)s AND (" + condition
        + ") UNION ALL SELECT server_id & 255, repeat, " + _ERRORS + ", 0 FROM (" + not_rolled_up(_LIVE_COLUMNS)
        + ") live WHERE timestamp >= %(start)s AND (" + condition + "))" + _BIGGEST
    )  # fmt: skip


def _customers(table: LiteralString, errors: LiteralString, condition: LiteralString) -> LiteralString:
    """The last hours of the period before may be half a day: these come by hour."""
    mine: LiteralString = " AND (" + condition + ")"
    return (
        "WITH counted AS (SELECT customer_id AS value, requests, " + errors + " AS errors, 0 AS before FROM console."
        + table + " WHERE " + _NOW + mine + " UNION ALL SELECT customer_id, 0, 0, requests FROM console." + table
        + " WHERE bucket >= %(before)s AND bucket < %(before_days)s" + mine
        + " UNION ALL SELECT customer_id, 0, 0, requests FROM console.traffic_customer_hour"
        " WHERE bucket >= %(before_days)s AND bucket < %(before_until)s" + mine
        + " UNION ALL SELECT customer_id, repeat, " + _ERRORS + ", 0 FROM (" + KNOWN_LIVE
        + ") live WHERE timestamp >= %(start)s" + mine + ")" + _BIGGEST
    )  # fmt: skip


_BY_HOUR: Final[tuple[LiteralString, LiteralString]] = (
    "traffic_customer_hour",
    "coalesce(client_errors, rejected + invalid) + coalesce(server_errors, server_error)",
)
_BY_DAY: Final[tuple[LiteralString, LiteralString]] = ("traffic_customer_day", "client_errors + server_errors")


def _logged(by: TopBy, condition: LiteralString) -> LiteralString:
    return (
        "WITH counted AS (SELECT " + VALUES[GroupBy(by)] + """ AS value,
            sum(repeat) FILTER (WHERE timestamp >= %(start)s) AS requests,
            sum(repeat) FILTER (WHERE timestamp >= %(start)s AND status_code BETWEEN 400 AND 599) AS errors,
            sum(repeat) FILTER (WHERE timestamp < %(before_until)s) AS before
         FROM haproxy_raw_logs
         WHERE timestamp >= %(before)s AND timestamp < %(end)s
           AND (timestamp < %(before_until)s OR timestamp >= %(start)s) AND (""" + condition
        + ") GROUP BY 1)" + _BIGGEST
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TopRow:
    """One value and its requests. `before` is what it had in the period before; None where that is not known."""

    value: int | str | None
    requests: int
    errors: int  # answered 4xx or 5xx
    share: float  # of all requests of the window
    before: int | None

    @property
    def change(self) -> float | None:
        """Against the period before, 0.5 being half as many again; None without one, or where it had none."""
        return self.requests / self.before - 1 if self.before else None


@dataclass(frozen=True, slots=True)
class Top:
    """The biggest of a window, biggest first, and how many there are in all.

    `window` is what was counted: for what only the log knows less than was asked for.
    """

    by: TopBy
    window: Window
    rows: tuple[TopRow, ...]
    count: int
    requests: int
    from_log: bool


class Ranking:
    """Questions about who or what is busiest."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def top(self, question: UsageQuestion, by: TopBy, *, limit: int = 10) -> Top:
        """The biggest `limit`. Raises Refused where neither rollups nor log hold what is asked for."""
        async with self._database.reading(one_snapshot=True, may_lag=True) as connection:
            kept = await what_is_kept(connection)
            known = {*question.wanted.asked, by.value}
            if known <= {"customer", "service", "network"} and _by_hour(question, kept):
                return await _top_customers(connection, question, kept, limit)
            if known <= {"server", "service", "network"}:
                return await _top_servers(connection, question, kept, limit)
            return await _top_of_log(connection, question, by, kept, limit)


def _by_hour(question: UsageQuestion, kept: Kept) -> bool:
    """Whether whole hours are fine enough."""
    return question.span > CUSTOMER_MINUTES or (question.end or kept.now) - question.span < kept.log_from


async def _top_customers(connection: Connection, question: UsageQuestion, kept: Kept, limit: int) -> Top:
    window = window_of(question, kept.now, columns=_COLUMNS, finest=HOUR)
    days = question.span >= 7 * DAY
    until = window.before_until(HOUR)
    condition, parameters = question.wanted.where()
    parameters |= {"before_days": floor(until, DAY) if days else until, **kept.rollups.parameters()}
    query = _customers(*(_BY_DAY if days else _BY_HOUR), condition)
    known = window.before >= (kept.days_from if days else kept.known_from(kept.hours_from))
    return await _biggest(connection, query, parameters, (TopBy.CUSTOMER, window, HOUR, limit), known=known)


async def _top_servers(connection: Connection, question: UsageQuestion, kept: Kept, limit: int) -> Top:
    table = fleet_table(question, kept, _COLUMNS)
    condition, parameters = question.wanted.where()
    return await _biggest(
        connection,
        _servers(table.name, condition),
        parameters | kept.rollups.parameters(),
        (TopBy.SERVER, table.window, table.grain, limit),
        known=table.window.before >= table.oldest,
    )


async def _top_of_log(connection: Connection, question: UsageQuestion, by: TopBy, kept: Kept, limit: int) -> Top:
    most = LOG_SPAN["customer" in question.wanted.asked]
    end = ceiling(min(question.end or kept.now, kept.now), MINUTE)
    start = max(end - min(question.span, most), floor(kept.log_from, MINUTE))
    if start >= end:
        raise Refused(f"a {by} is in the log only, which is kept since {kept.log_from:%Y-%m-%d %H:%M} UTC; begin later")
    window = Window(start, end, end - start, kept.now)
    condition, parameters = question.wanted.where()
    known = window.before >= kept.log_from
    return await _biggest(
        connection, _logged(by, condition), parameters, (by, window, timedelta(seconds=1), limit), known=known
    )


async def _biggest(
    connection: Connection,
    query: LiteralString,
    parameters: dict[str, object],
    wanted: tuple[TopBy, Window, timedelta, int],
    *,
    known: bool,
) -> Top:
    by, window, grain, limit = wanted
    bounds = {"start": window.start, "end": window.end, "limit": limit}
    bounds |= {"before": window.before, "before_until": window.before_until(grain)}
    rows = await (await connection.execute(query, parameters | bounds)).fetchall()
    requests, count = rows[0][4:] if rows else (0, 0)
    found = tuple(
        TopRow(value, own, errors or 0, own / requests, (before or 0) if known else None)
        for value, own, errors, before, *_ in rows
    )
    return Top(by, window, found, count, requests, from_log="live" not in query)

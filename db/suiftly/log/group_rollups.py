"""Groups of a long window of the log: whole minutes or hours as they are rolled up, the log itself for the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from db.capture import rows_since
from db.database import Connection
from db.suiftly.log.codes import TRAFFIC_CLASS_SQL
from db.suiftly.log.filter import RequestFilter
from db.suiftly.usage.rollups import RolledUp
from db.suiftly.usage.window import HOUR, MINUTE, ceiling, floor

_LEAST: Final = 10  # whole units: of less the log is as quick
_NAMES: Final = frozenset({"service", "network"})  # of filters that both kinds of rollup know


@dataclass(frozen=True, slots=True)
class Rollup:
    """One that knows a dimension, under the log's column names, so that a filter is the same condition on both."""

    unit: timedelta
    known: frozenset[str]  # filters
    value: LiteralString  # what is counted by
    rows: LiteralString
    columns: LiteralString  # of the log
    logged: tuple[LiteralString, LiteralString]  # around the log's rows
    newest: tuple[tuple[LiteralString, LiteralString], ...]  # of these groups w these rows of the log

    def knows(self, wanted: RequestFilter) -> bool:
        """Whether it can tell which requests are asked for: of a status it has only the hundred, of customers all but
        one (that one's rows an index finds)."""
        whole = all(low >= 100 and low % 100 == 0 and high % 100 == 99 for low, high in wanted.status)
        return whole and wanted.asked <= self.known and "customer" not in wanted.asked - wanted.negated


def _fleet(value: LiteralString) -> Rollup:
    return Rollup(
        MINUTE,
        _NAMES | {"server", "class", "status"},
        value,
        """SELECT bucket, NULL::timestamptz AS timestamp, network, service_type, server_id, traffic_type,
                  (status_class * 100)::smallint AS status_code, requests,
                  CASE WHEN status_class >= 4 THEN requests ELSE 0 END AS errors
           FROM console.traffic_minute""",
        "timestamp, network, service_type, server_id, traffic_type, status_code, repeat",
        ("SELECT NULL::timestamptz, timestamp, network, service_type, server_id, traffic_type, status_code,", "l"),
        (("true", value + " = w.value"),),
    )


FLEET: Final[dict[str, Rollup]] = {
    "server": _fleet("server_id & 255"),
    "service": _fleet("service_type"),
    "class": _fleet(TRAFFIC_CLASS_SQL),
}
CUSTOMERS: Final = Rollup(
    HOUR,
    _NAMES | {"customer"},
    "customer_id",
    """SELECT bucket, NULL::timestamptz AS timestamp, network, service_type, customer_id, requests,
              coalesce(client_errors, rejected + invalid) + coalesce(server_errors, server_error) AS errors
       FROM console.traffic_customer_hour""",
    "timestamp, network, service_type, customer_id, status_code, repeat",
    (
        "SELECT NULL::timestamptz, timestamp, network, service_type, coalesce(c.customer_id, 0),",
        "l LEFT JOIN public.customers c USING (customer_id)",
    ),
    (("value <> 0", "customer_id = w.value"), ("value = 0", "customer_id IS NULL")),  # each has the index
)
"""Customers that are not in `customers` are counted as none."""


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole units of a window."""

    rollup: Rollup
    start: datetime
    end: datetime

    def parameters(self, rollups: RolledUp) -> dict[str, object]:
        whole = {"whole_start": self.start, "whole_end": self.end}
        return whole | rollups.parameters() | {"live": max(rollups.log_from, self.start)}


def whole_units(by: str, wanted: RequestFilter, start: datetime, end: datetime) -> Whole | None:
    """What the rollups can take over; None where the log has to be counted."""
    rollup = CUSTOMERS if by == "customer" else FLEET.get(by)
    if rollup is None or not rollup.knows(wanted):
        return None
    whole = Whole(rollup, ceiling(start, rollup.unit), floor(end, rollup.unit))
    return whole if whole.end - whole.start >= _LEAST * rollup.unit else None


def rolled_up_groups(rollup: Rollup, condition: LiteralString) -> LiteralString:
    """Value, requests, errors, newest row known, newest unit, and over all groups their number, requests, errors."""
    head, source = rollup.logged
    log: LiteralString = "SELECT " + rollup.columns + " FROM haproxy_raw_logs WHERE "
    return (
        "SELECT value, requests, errors, newest, unit, count(*) OVER (), sum(requests) OVER ()::bigint,"
        " sum(errors) OVER ()::bigint FROM (SELECT " + rollup.value + " AS value, sum(requests)::bigint AS requests,"
        " sum(errors)::bigint AS errors, max(timestamp) AS newest, max(bucket) AS unit FROM ("
        + rollup.rows + " WHERE bucket >= %(whole_start)s AND bucket < %(whole_end)s UNION ALL "
        + head + " repeat, CASE WHEN status_code >= 400 THEN repeat ELSE 0 END FROM ("
        + log + "timestamp >= %(start)s AND timestamp < %(whole_start)s UNION ALL "
        + log + "timestamp >= %(whole_end)s AND timestamp < %(end)s UNION ALL "
        + rows_since(rollup.columns, "haproxy_raw_logs", "timestamp >= %(live)s AND timestamp < %(whole_end)s")
        + ") " + source + ") counted WHERE (" + condition
        + ") GROUP BY 1) groups ORDER BY requests DESC, value LIMIT %(limit)s"
    )  # fmt: skip


async def newest_rows(
    connection: Connection,
    rollup: Rollup,
    condition: LiteralString,
    parameters: dict[str, object],
    rows: Sequence[Sequence[Any]],
) -> dict[Any, datetime]:
    """By value the moment of its newest row, which a rollup knows only to the unit: that much of the log is read.

    Where its rows are gone it is the beginning of the unit.
    """
    newest = {value: at for value, _, _, at, unit, *_ in rows if unit is None or (at and at >= unit + rollup.unit)}
    units = {row[0]: row[4] for row in rows if row[0] not in newest}
    array: LiteralString = "text" if rollup.value == TRAFFIC_CLASS_SQL else "int8"
    query: LiteralString = " UNION ALL ".join(
        "SELECT value, (SELECT max(timestamp) FROM haproxy_raw_logs WHERE timestamp >= w.unit AND timestamp < w.unit"
        " + %(length)s AND " + mine + " AND (" + condition + ")) FROM unnest(%(values)s::" + array
        + "[], %(units)s::timestamptz[]) w (value, unit) WHERE " + groups
        for groups, mine in rollup.newest
    )  # fmt: skip
    asked = {"values": list(units), "units": list(units.values()), "length": rollup.unit}
    found = await connection.execute(query, parameters | asked)
    return newest | units | {value: at for value, at in await found.fetchall() if at is not None}

"""The rollups of the time before a demo's log began, made from its usage: charts of a month are full from the start."""

import math
from datetime import datetime, timedelta
from typing import Final, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from db.suiftly.simulation.gateways import REGIONS, SERVERS_PER_REGION
from db.suiftly.usage.latency import BOUNDS, SLOTS

_MINUTES_BACK: Final = timedelta(days=2)  # for a chart of the last day and the day before it
_MEDIAN_MS, _SPREAD = 43.0, 0.62  # log-normal, as the gateways answer
_SLOW: Final = 3.0  # times as long in the hours when a backend fails


def _below(ms: float, median: float) -> float:
    return 0.0 if ms <= 0 else 0.5 * (1 + math.erf(math.log(ms / median) / (_SPREAD * math.sqrt(2))))


def _weights(median: float) -> list[float]:
    """The share of requests in each latency slot."""
    ends = [*BOUNDS[1:], math.inf]
    return [_below(end, median) - _below(begin, median) for begin, end in zip(BOUNDS, ends, strict=True)]


def _profile() -> list[tuple[LiteralString, float, float]]:
    """Slots that hold anything, with their shares in ordinary and in bad hours; the first takes what is left over."""
    found = zip(SLOTS, _weights(_MEDIAN_MS), _weights(_SLOW * _MEDIAN_MS), strict=True)
    return sorted((one for one in found if max(one[1:]) > 0.001), key=lambda one: -one[1])


_FILLED: Final = _profile()
_SHARES: Final = {
    f"{when}{slot}": share for slot, *both in _FILLED for when, share in zip(("o_", "b_"), both, strict=True)
}
_COLUMNS: LiteralString = ", ".join(slot for slot, *_ in _FILLED)


def _share(slot: LiteralString) -> LiteralString:
    return "CASE WHEN bad THEN %(b_" + slot + ")s ELSE %(o_" + slot + ")s END"


def _histogram(served: LiteralString) -> LiteralString:
    """The slots of so many requests, summing up to them."""
    parts: list[LiteralString] = [
        "floor(" + served + " * (" + _share(slot) + ")::float8)::bigint" for slot, *_ in _FILLED[1:]
    ]
    first: LiteralString = served + " - " + " - ".join(parts)
    return ", ".join("nullif(" + part + ", 0)" for part in (first, *parts))


# A backend fails in one hour of about 90; the customer's own luck differs from hour to hour.
_CUSTOMERS: LiteralString = (
    """INSERT INTO console.traffic_customer_hour (bucket, customer_id, service_type, network, requests, guaranteed,
           burst, rejected, invalid, server_error, client_errors, server_errors, bytes, latency_ms, """
    + _COLUMNS
    + """)
    SELECT bucket, customer_id, service, 1, served + rejected + invalid + failed, served - burst, burst, rejected,
           invalid, failed, rejected + invalid, failed, bytes,
           (served + invalid + failed) * CASE WHEN bad THEN 156 ELSE 52 END, """
    + _histogram("(served + invalid + failed)")
    + """
    FROM (SELECT window_start AS bucket, customer_id, bytes, bad, served,
                 CASE service_type WHEN 'seal' THEN 1 WHEN 'grpc' THEN 2 ELSE 3 END AS service,
                 served * (2 + luck %% 5) / 100 AS burst, served * (4 + luck %% 9) / 100 AS rejected,
                 served * (1 + luck %% 3) / 100 AS invalid,
                 served * CASE WHEN bad THEN 90 ELSE luck %% 4 END / 1000 AS failed
          FROM (SELECT window_start, customer_id, service_type, sum(bytes_transferred)::bigint AS bytes,
                       sum(request_count)::bigint AS served,
                       abs(hashint8(extract(epoch FROM window_start)::bigint) %% 90) = 0 AS bad,
                       abs(hashint8(customer_id # extract(epoch FROM window_start)::bigint) %% 1000) AS luck
                FROM public.usage_records WHERE window_start < %(end)s AND service_type IN ('seal', 'grpc', 'graphql')
                GROUP BY 1, 2, 3) usage) counted"""
)  # fmt: skip
_FLEET_COLUMNS: LiteralString = (
    " (bucket, network, service_type, server_id, traffic_type, status_class, requests, bytes, latency_ms, "
    + _COLUMNS + ") "
)  # fmt: skip


def _fleet(rows: LiteralString) -> LiteralString:
    """Rows of the fleet from `rows`: bucket, service_type, server_id, traffic_type, status_class, n, sent, bad."""
    return (
        _FLEET_COLUMNS
        + "SELECT bucket, 1, service_type, server_id, traffic_type, status_class, n, sent,"
        + " n * CASE WHEN traffic_type > 2 THEN 1 WHEN bad THEN 156 ELSE 52 END, "
        + _histogram("n") + " FROM (" + rows + ") parted WHERE n > 0"
    )  # fmt: skip


_KINDS: LiteralString = """
    (VALUES (1, 2), (2, 2), (3, 4), (1, 4), (1, 5)) kinds (traffic_type, status_class),
    LATERAL (SELECT CASE traffic_type + 10 * status_class WHEN 21 THEN guaranteed WHEN 22 THEN burst
                    WHEN 43 THEN rejected WHEN 41 THEN invalid ELSE server_error END AS whole) of_kind
"""
_HOURS: LiteralString = "INSERT INTO console.traffic_hour" + _fleet(
    """SELECT bucket, service_type, server_id, traffic_type, status_class, bad,
              whole * (part + 1) / parts - whole * part / parts AS n,
              CASE WHEN traffic_type = 1 AND status_class = 2
                   THEN bytes * (part + 1) / parts - bytes * part / parts ELSE 0 END AS sent
       FROM (SELECT bucket, service_type, abs(hashint8(extract(epoch FROM bucket)::bigint) %% 90) = 0 AS bad,
                    sum(guaranteed)::bigint AS guaranteed, sum(burst)::bigint AS burst,
                    sum(rejected)::bigint AS rejected, sum(invalid)::bigint AS invalid,
                    sum(server_error)::bigint AS server_error, sum(bytes)::bigint AS bytes
             FROM console.traffic_customer_hour WHERE bucket < %(end)s GROUP BY 1, 2) hours, """
    + _KINDS
    + """, (SELECT server_id, row_number() OVER (ORDER BY server_id) - 1 AS part, count(*) OVER () AS parts
            FROM unnest(%(servers)s::smallint[]) server_id) servers"""
)
# A minute belongs to one server, by turns: twelve times as many rows would show nothing more.
_MINUTES: LiteralString = "INSERT INTO console.traffic_minute" + _fleet(
    """SELECT bucket + part * interval '1 minute' AS bucket, service_type,
              (%(servers)s::smallint[])[1 + part %% cardinality(%(servers)s::smallint[])] AS server_id, traffic_type,
              status_class, bad, whole * (part + 1) / 60 - whole * part / 60 AS n,
              sent * (part + 1) / 60 - sent * part / 60 AS sent
       FROM (SELECT bucket, service_type, traffic_type, status_class, sum(requests)::bigint AS whole,
                    sum(bytes)::bigint AS sent, abs(hashint8(extract(epoch FROM bucket)::bigint) %% 90) = 0 AS bad
             FROM console.traffic_hour WHERE bucket >= %(minutes_from)s AND bucket < %(end)s GROUP BY 1, 2, 3, 4) hours,
            generate_series(0, 59) part"""
)
_SLOT_SUMS: LiteralString = ", ".join("sum(" + slot + ")::bigint" for slot, *_ in _FILLED)
_DAYS: LiteralString = (
    "INSERT INTO console.traffic_day" + _FLEET_COLUMNS
    + """SELECT date_trunc('day', bucket, 'UTC'), network, service_type, server_id, traffic_type, status_class,
                sum(requests)::bigint, sum(bytes)::bigint, sum(latency_ms)::bigint, """ + _SLOT_SUMS
    + " FROM console.traffic_hour WHERE bucket < %(end)s GROUP BY 1, 2, 3, 4, 5, 6"
)  # fmt: skip
_CUSTOMER_DAYS: LiteralString = """
    INSERT INTO console.traffic_customer_day
    SELECT date_trunc('day', bucket, 'UTC'), customer_id, service_type, network, sum(requests)::bigint,
           sum(client_errors)::bigint, sum(server_errors)::bigint, sum(bytes)::bigint
    FROM console.traffic_customer_hour WHERE bucket < %(end)s GROUP BY 1, 2, 3, 4
"""


async def write_rollups(connection: AsyncConnection[TupleRow], end: datetime) -> None:
    """Adds up the usage that was invented for the hours before `end`, when nothing is rolled up yet.

    The fleet by minute only for the last two days. All requests served are those of usage_records.
    """
    servers = [region << 4 | number for region in REGIONS for number in range(1, SERVERS_PER_REGION + 1)]
    known = {"end": end, "minutes_from": end - _MINUTES_BACK, "servers": servers, **_SHARES}
    for query in (_CUSTOMERS, _HOURS, _MINUTES, _DAYS, _CUSTOMER_DAYS):
        await connection.execute(query, known)

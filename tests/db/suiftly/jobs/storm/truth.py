"""What was really committed, and the queries that find where the sums differ from it."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from db.suiftly.usage.latency import SLOTS

CUSTOMERS = (1, 2, 3, 4_000_000_000, 4_294_967_295)
UNKNOWN = 999_999

# `class` and `slot` are worked out by the writer in Python, so that no SQL of the product judges itself.
TRUTH_COLUMNS = (
    "at, customer_id, network, service_type, server_id, traffic_type, status_code, bytes, ms, repeat, class, slot"
)
_TABLES = """
    CREATE TABLE truth (
        at timestamptz, customer_id bigint, network smallint, service_type smallint, server_id smallint,
        traffic_type smallint, status_code smallint, bytes bigint, ms bigint, repeat bigint, class text, slot integer
    );
    -- What each bill was made from, to see that the record did not change afterwards.
    CREATE TABLE billed (record_id bigint, requests bigint, bytes bigint);
"""

_USAGE = """
    WITH meant AS (
        SELECT customer_id, CASE service_type WHEN 1 THEN 'seal' ELSE 'code:' || service_type END AS service,
               date_trunc('hour', at, 'UTC') AS hour, customer_id IN (SELECT customer_id FROM customers) AS known,
               count(*) AS rows,
               coalesce(sum(repeat) FILTER (WHERE traffic_type IN (1, 2) AND status_code BETWEEN 200 AND 399), 0)
                   AS requests,
               coalesce(sum(bytes) FILTER (WHERE traffic_type IN (1, 2) AND status_code BETWEEN 200 AND 399
                                           OR traffic_type = 7), 0) AS bytes
        FROM truth GROUP BY 1, 2, 3
    )
"""
_WRONG_USAGE = (
    _USAGE
    + """, told AS (
        SELECT customer_id, service_type AS service, window_start AS hour, sum(request_count) AS requests,
               sum(bytes_transferred) AS bytes
        FROM usage_records GROUP BY 1, 2, 3
    )
    SELECT customer_id, service, hour, m.requests, t.requests, m.bytes, t.bytes
    FROM (SELECT * FROM meant WHERE known) m FULL JOIN told t USING (customer_id, service, hour)
    WHERE coalesce(m.requests, 0) <> coalesce(t.requests, 0) OR coalesce(m.bytes, 0) <> coalesce(t.bytes, 0)
"""
)
_WRONG_UNASSIGNED = (
    _USAGE
    + """
    SELECT coalesce(m.customer_id, u.customer_id), coalesce(m.hour, u.window_start), m.rows, u.rows, m.requests,
           u.request_count, m.bytes, u.bytes
    FROM (SELECT * FROM meant WHERE known IS NOT TRUE) m FULL JOIN console.usage_unassigned u
      ON coalesce(m.customer_id, 0) = coalesce(u.customer_id, 0) AND m.service = u.service_type
         AND m.hour = u.window_start
    WHERE (m.rows, m.requests, m.bytes) IS DISTINCT FROM (u.rows, u.request_count, u.bytes)
"""
)
_WRONG_BILLS = """
    SELECT record_id, b.amount_usd_cents, d.requests, u.request_count, d.bytes, u.bytes_transferred
    FROM billing_records b FULL JOIN usage_records u ON u.billing_record_id = b.id FULL JOIN billed d USING (record_id)
    WHERE (u.billing_record_id IS NOT NULL OR u.record_id IS NULL)
      AND (b.amount_usd_cents, u.request_count, u.bytes_transferred)
          IS DISTINCT FROM (d.requests, d.requests, d.bytes)
"""


def _wrong_fleet(unit: str) -> str:
    return f"""
        SELECT bucket, network, service_type, server_id, traffic_type, status_class, m.sums, t.sums
        FROM (SELECT date_trunc('{unit}', at, 'UTC') AS bucket, network, service_type, server_id, traffic_type,
                     status_code / 100 AS status_class,
                     ARRAY[sum(repeat), sum(bytes), sum(ms * repeat)]::bigint[] AS sums
              FROM truth GROUP BY 1, 2, 3, 4, 5, 6) m
        FULL JOIN (SELECT *, ARRAY[requests, bytes, latency_ms] AS sums FROM console.traffic_{unit}) t
        USING (bucket, network, service_type, server_id, traffic_type, status_class)
        WHERE m.sums IS DISTINCT FROM t.sums
    """


_WRONG_CUSTOMERS = """
    SELECT customer_id, bucket, service_type, network, m.sums, t.sums
    FROM (SELECT coalesce(c.customer_id, 0) AS customer_id, date_trunc('hour', at, 'UTC') AS bucket,
                 service_type, network,
                 ARRAY[sum(repeat), sum(repeat) FILTER (WHERE class = 'guaranteed'),
                       sum(repeat) FILTER (WHERE class = 'burst'), sum(repeat) FILTER (WHERE class = 'rejected'),
                       sum(repeat) FILTER (WHERE class = 'invalid'), sum(repeat) FILTER (WHERE class = 'server-error'),
                       sum(repeat) FILTER (WHERE status_code BETWEEN 400 AND 499),
                       sum(repeat) FILTER (WHERE status_code BETWEEN 500 AND 599),
                       sum(bytes), sum(ms * repeat) FILTER (WHERE traffic_type IN (1, 2))]::bigint[] AS sums
          FROM truth LEFT JOIN customers c USING (customer_id) GROUP BY 1, 2, 3, 4) m
    FULL JOIN (SELECT *, ARRAY[requests, nullif(guaranteed, 0), nullif(burst, 0), nullif(rejected, 0),
                               nullif(invalid, 0), nullif(server_error, 0), nullif(client_errors, 0),
                               nullif(server_errors, 0), bytes, latency_ms] AS sums
               FROM console.traffic_customer_hour) t
    USING (customer_id, bucket, service_type, network)
    WHERE m.sums[:9] IS DISTINCT FROM t.sums[:9] OR coalesce(m.sums[10], 0) IS DISTINCT FROM t.sums[10]
"""
_WRONG_CUSTOMER_DAYS = """
    SELECT customer_id, bucket, service_type, network, m.sums, t.sums
    FROM (SELECT coalesce(c.customer_id, 0) AS customer_id, date_trunc('day', at, 'UTC') AS bucket,
                 service_type, network,
                 ARRAY[sum(repeat), coalesce(sum(repeat) FILTER (WHERE status_code BETWEEN 400 AND 499), 0),
                       coalesce(sum(repeat) FILTER (WHERE status_code BETWEEN 500 AND 599), 0),
                       sum(bytes)]::bigint[] AS sums
          FROM truth LEFT JOIN customers c USING (customer_id) GROUP BY 1, 2, 3, 4) m
    FULL JOIN (SELECT *, ARRAY[requests, client_errors, server_errors, bytes] AS sums
               FROM console.traffic_customer_day) t
    USING (customer_id, bucket, service_type, network)
    WHERE m.sums IS DISTINCT FROM t.sums
"""


def _wrong_slots(meant: str, table: str, key: str) -> str:
    """Histograms: what each slot counts, row by row."""
    return f"""
        SELECT {key}, slot, m.n, t.n
        FROM ({meant}) m
        FULL JOIN (SELECT {key}, slot - 1 AS slot, n
                   FROM console.{table}, unnest(ARRAY[{", ".join(SLOTS)}]) WITH ORDINALITY AS counts(n, slot)
                   WHERE n IS NOT NULL) t
        USING ({key}, slot)
        WHERE m.n IS DISTINCT FROM t.n
    """


_FLEET_KEY = "bucket, network, service_type, server_id, traffic_type, status_class"
_WRONG_MINUTE_SLOTS = _wrong_slots(
    f"""SELECT date_trunc('minute', at, 'UTC') AS bucket, network, service_type, server_id, traffic_type,
               status_code / 100 AS status_class, slot, sum(repeat) AS n
        FROM truth GROUP BY {_FLEET_KEY}, slot""",
    "traffic_minute",
    _FLEET_KEY,
)
_CUSTOMER_KEY = "customer_id, bucket, service_type, network"
_WRONG_CUSTOMER_SLOTS = _wrong_slots(
    """SELECT coalesce(c.customer_id, 0) AS customer_id, date_trunc('hour', at, 'UTC') AS bucket,
              service_type, network, slot, sum(repeat) AS n
        FROM truth LEFT JOIN customers c USING (customer_id) WHERE traffic_type IN (1, 2)
        GROUP BY 1, 2, 3, 4, 5""",
    "traffic_customer_hour",
    _CUSTOMER_KEY,
)

WRONG: dict[str, Sequence[str]] = {
    "usage": (_WRONG_USAGE, _WRONG_UNASSIGNED, _WRONG_BILLS),
    "traffic": (
        *(_wrong_fleet(unit) for unit in ("minute", "hour", "day")),
        _WRONG_CUSTOMERS,
        _WRONG_CUSTOMER_DAYS,
        _WRONG_MINUTE_SLOTS,
        _WRONG_CUSTOMER_SLOTS,
    ),
}
"""By cursor: queries that return what is wrong."""


async def prepare(dsn: str) -> None:
    """Customers and the table of truth."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(_TABLES)
        for customer in CUSTOMERS:
            await connection.execute(
                "INSERT INTO customers (customer_id, wallet_address) VALUES (%s, %s)", (customer, f"0x{customer:064x}")
            )


async def wrong_sums(dsn: str, cursor: str) -> list[tuple[Any, ...]]:
    """Sums of one consumer that differ from the truth, and bills that differ from their records."""
    wrong: list[tuple[Any, ...]] = []
    async with await AsyncConnection.connect(dsn) as connection:
        for query in WRONG[cursor]:
            wrong += await (await connection.execute(query)).fetchall()  # type: ignore[arg-type]
    return wrong

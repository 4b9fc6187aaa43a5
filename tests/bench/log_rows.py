"""A request log made on the server: skewed customers, a few percent of late rows, an event that is rare."""

import time

import psycopg

from tests.bench.measure import execute

CUSTOMERS = 10_000

# Customer 20, 40, ... are suspended: refused, never served. Three rows in a hundred come late, up to two hours.
_MAKE = """
    CREATE FUNCTION bench_rows(first timestamptz, last timestamptz, rows integer) RETURNS SETOF haproxy_raw_logs
    LANGUAGE sql AS $$
    SELECT arrival - CASE WHEN late < 0.03 THEN interval '2 hours' * (age * age) ELSE interval '1 second' * age END,
           customer, (ARRAY['v1/fetch_k', 'v1/service', 'sui.rpc.v2', 'graphql'])[1 + floor(kind * 4)::int],
           NULL::bigint,
           1::smallint, (16 + kind * 8)::smallint, (1 + kind * 2.99)::smallint,
           coalesce(customer * 4 + floor(kind * 4)::bigint, 0), 2::smallint, traffic,
           (CASE WHEN revoked THEN 31 WHEN traffic = 3 THEN 30 WHEN traffic = 4 THEN 21 WHEN broken THEN 51
            ELSE 0 END)::smallint,
           ('203.0.113.' || floor(age * 250))::inet, NULL::smallint,
           (CASE traffic WHEN 3 THEN 403 WHEN 4 THEN 429 ELSE CASE WHEN broken THEN 502 ELSE 200 END END)::smallint,
           (kind * 20000)::bigint, exp(random_normal(3.7, 0.8))::int, 1, 0, 2, 30, 1::smallint, '--', 1,
           pg_current_xact_id()
    FROM (SELECT *, (CASE WHEN customer IS NULL OR customer % 20 = 0 OR revoked THEN 3 WHEN kind < 0.02 THEN 4
                     WHEN kind < 0.1 THEN 2 ELSE 1 END)::smallint AS traffic
          FROM (SELECT first + (last - first) * (i::float8 / rows) AS arrival, random() AS late, random() AS age,
                       random() AS kind, random() < 0.0001 AS revoked, random() < 0.005 AS broken,
                       CASE WHEN random() > 0.03 THEN 1 + floor(10000 * random() ^ 3)::bigint END AS customer
                FROM generate_series(1, rows) i) a) b
    $$"""
_PEOPLE = f"""
    INSERT INTO customers (customer_id, wallet_address, status)
    SELECT i, '0x' || encode(sha256(i::text::bytea), 'hex'), CASE WHEN i % 20 = 0 THEN 'suspended' ELSE 'active' END
    FROM generate_series(1, {CUSTOMERS}) i;
    INSERT INTO api_keys (api_key_id, api_key_fp, api_key_hash, customer_id, service_type, is_active, revoked_at)
    SELECT 'sealed-' || i, i, encode(sha256(('key' || i)::bytea), 'hex'), i / 4, 'seal', i % 400 <> 81,
           CASE WHEN i % 400 = 81 THEN now() - interval '1 hour' END
    FROM generate_series(4, {CUSTOMERS} * 4 + 3) i"""
# Many transactions, as a log has; `xid` then grows with time as it does in life.
_FILL = """
    DO $$
    DECLARE
        first CONSTANT timestamptz := now() + interval '{start} seconds';
        step CONSTANT interval := interval '{seconds} seconds' / {batches};
    BEGIN
        FOR n IN 0 .. {batches} - 1 LOOP
            INSERT INTO {table} SELECT * FROM bench_rows(first + n * step, first + (n + 1) * step, {size});
            COMMIT;
        END LOOP;
    END $$"""


def prepare(dsn: str, hours: int) -> None:
    """The people, the generator and the partitions."""
    execute(
        dsn,
        _PEOPLE,
        _MAKE,
        f"SELECT console.ensure_log_partitions(now() - interval '{hours + 3} hours', now())",
        "VACUUM ANALYZE customers",
        "VACUUM ANALYZE api_keys",
    )


def fill(
    dsn: str, *, start: float, seconds: float, rows: int, size: int = 10_000, table: str = "haproxy_raw_logs"
) -> None:
    """`rows` rows that arrive over `seconds` from `start` seconds after now, `size` in a transaction."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute(
            _FILL.format(start=start, seconds=seconds, batches=max(1, rows // size), size=min(size, rows), table=table)
        )  # pyright: ignore


def fifty_hours(dsn: str, rows: int) -> None:
    """The quiet log: `rows` over 50 hours until now, vacuumed as autovacuum would have done."""
    started = time.perf_counter()
    prepare(dsn, 50)
    fill(dsn, start=-50 * 3600, seconds=50 * 3600, rows=rows)
    made = time.perf_counter() - started
    execute(dsn, "VACUUM ANALYZE haproxy_raw_logs")
    print(f"{rows:,} rows in {made:.0f} s, vacuumed in {time.perf_counter() - started - made:.0f} s", flush=True)

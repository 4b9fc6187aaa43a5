"""Which index on time does the request log want: none, BRIN, BRIN minmax_multi, or btree?

`python3 -m tests.bench.bench_log_index`; run it in an environment with TimescaleDB and in one without. Insert cost is a
COPY of 10,000 rows on the server, the kinds in random order; page-back latency is Requests.before() on a quiet log
(200,000 rows an hour) and on a busy one (5,000 rows a second), with three late rows in a hundred.
"""

import random
import time
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median

import psycopg

from db.database import Database
from db.suiftly.log.filter import RequestFilter
from db.suiftly.log.requests import Requests
from tests.bench.log_rows import fill, prepare
from tests.bench.measure import Report, Timing, execute, fresh_server, migrated, place, run, timed

KINDS = {
    "no index": "",
    "brin": "CREATE INDEX {table}_time ON {table} USING brin (timestamp)"
    " WITH (pages_per_range = 32, autosummarize = on)",
    "brin multi": "CREATE INDEX {table}_time ON {table} USING brin (timestamp timestamptz_minmax_multi_ops)"
    " WITH (pages_per_range = 32, autosummarize = on)",
    "btree": "CREATE INDEX {table}_time ON {table} (timestamp)",
}
HOURS = 6
BATCHES = 60
_COLUMNS = """timestamp, customer_id, path_prefix, config_hex, network, server_id, service_type, api_key_fp, fe_type,
    traffic_type, event_type, client_ip, key_metadata, status_code, bytes_sent, time_total, time_request, time_queue,
    time_connect, time_response, backend_id, termination_state, repeat"""
_PARTITIONS = """
    DO $$ BEGIN FOR hour IN -3 .. 2 LOOP EXECUTE format(
        'CREATE TABLE {table}_%s PARTITION OF {table} FOR VALUES FROM (%L) TO (%L)', hour + 3,
        date_trunc('hour', now()) + make_interval(hours => hour),
        date_trunc('hour', now()) + make_interval(hours => hour + 1)
    ); END LOOP; END $$"""


def _tables(dsn: str, hypertable: bool) -> dict[str, str]:
    tables = {kind: f"log_{number}" for number, kind in enumerate(KINDS)}
    for kind, table in tables.items():
        create = f"CREATE TABLE {table} (LIKE haproxy_raw_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
        if hypertable:
            execute(
                dsn, create,
                f"SELECT create_hypertable('{table}', 'timestamp', chunk_time_interval => interval '1 hour',"
                " create_default_indexes => false)",
            )  # fmt: skip
        else:
            execute(
                dsn, create + " PARTITION BY RANGE (timestamp)", _PARTITIONS.format(table=table),
                f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT",
            )  # fmt: skip
        execute(dsn, f"CREATE INDEX ON {table} (xid)", f"CREATE INDEX ON {table} (customer_id, timestamp)")
        if KINDS[kind]:
            execute(dsn, KINDS[kind].format(table=table))
    return tables


def _insert_cost(dsn: str, folder: Path, hypertable: bool) -> None:
    tables = _tables(dsn, hypertable)
    rows = folder / "rows"
    rows.mkdir()
    rows.chmod(0o777)
    spent: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with psycopg.connect(dsn, autocommit=True) as connection:
        for number in range(BATCHES):
            connection.execute(
                f"COPY (SELECT {_COLUMNS} FROM bench_rows(now() - interval '1 second', now(), 10000))"
                f" TO '{rows}/{number}' (FORMAT binary)"
            )  # pyright: ignore
            for kind in random.sample(list(KINDS), len(KINDS)):
                started = time.perf_counter()
                connection.execute(f"COPY {tables[kind]} ({_COLUMNS}) FROM '{rows}/{number}' (FORMAT binary)")  # pyright: ignore
                spent[kind].append((time.perf_counter() - started) * 1000)
    print("\nInsert cost: COPY of 10,000 rows\n")
    print("| index | median ms | rows/s | time against none |\n|---|---:|---:|---:|")
    bare = median(spent["no index"])
    for kind, times in spent.items():
        print(f"| {kind} | {median(times):.1f} | {10_000_000 / median(times):,.0f} | {median(times) / bare:.2f} |")
    execute(dsn, *(f"DROP TABLE {table}" for table in tables.values()))


async def _page_back(database: Database, dsn: str, title: str, depths: tuple[timedelta, ...]) -> None:
    report = Report(f"Page back on the {title}: 500 rows before a moment")
    bare: dict[tuple[str, timedelta], Timing] = {}
    requests = Requests(database)
    for kind, create in KINDS.items():
        started = time.perf_counter()
        execute(dsn, "DROP INDEX IF EXISTS haproxy_raw_logs_time")
        if create:
            execute(dsn, create.format(table="haproxy_raw_logs"))
        made = time.perf_counter() - started
        execute(dsn, "VACUUM ANALYZE haproxy_raw_logs")
        with psycopg.connect(dsn) as connection:
            now: datetime = connection.execute("SELECT now()").fetchall()[0][0]
        for name, wanted in (("all", RequestFilter()), ("event 31", RequestFilter(event=(31,)))):
            for depth in depths:
                timing = await timed(partial(requests.before, wanted, now - depth, limit=500), times=5, warm_up=1)
                bare.setdefault((name, depth), timing)
                report.line(f"{kind}: {name}, {depth} back", timing, "no index", bare[name, depth])
        timing = await timed(partial(requests.begin, RequestFilter()), times=10, warm_up=2)
        bare.setdefault(("begin", depths[0]), timing)
        report.line(f"{kind}: begin()", timing, "no index", bare["begin", depths[0]])
        print(f"| {kind}: made in {made:.1f} s | | | | | |", flush=True)


async def main() -> None:
    with fresh_server() as (dsn, folder):
        async with migrated(dsn) as database:
            print(place(dsn))
            prepare(dsn, HOURS)
            with psycopg.connect(dsn) as connection:
                hypertable = bool(connection.execute("SELECT console.log_is_hypertable()").fetchall()[0][0])
            _insert_cost(dsn, folder, hypertable)
            fill(dsn, start=-HOURS * 3600, seconds=HOURS * 3600, rows=HOURS * 200_000)
            await _page_back(database, dsn, "quiet log", (timedelta(0), timedelta(hours=1), timedelta(hours=4)))
            fill(dsn, start=-600, seconds=600, rows=3_000_000)
            await _page_back(database, dsn, "busy log", (timedelta(0), timedelta(minutes=2), timedelta(minutes=9)))


if __name__ == "__main__":
    run(main)

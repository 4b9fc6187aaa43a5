"""The request log: following it, paging back, counting it, the overview; on 10 million rows over 50 hours.

`python3 -m tests.bench.bench_tail [--rows N] [--explain]`. Baselines run in the same minute on the same data: a plain
count(*) over the rows in question, or a plain GROUP BY of the same window.
"""

import argparse
from datetime import datetime, timedelta
from functools import partial

import psycopg
from psycopg import AsyncConnection

from db.capture import SINCE, rows_since
from db.database import Database
from db.suiftly.jobs.roll_up_traffic import RollUpTraffic
from db.suiftly.log import breakdown as breakdown_module
from db.suiftly.log.breakdown import Breakdown, GroupBy
from db.suiftly.log.codes import TRAFFIC_CLASS_SQL
from db.suiftly.log.filter import RequestFilter
from db.suiftly.log.requests import Requests
from db.suiftly.log.windows import COLUMNS, WINDOW
from db.suiftly.overview import Traffic
from tests.bench.log_rows import fifty_hours, fill
from tests.bench.measure import Report, explain, fresh_server, migrated, place, query, run, timed
from tests.db.counting import count_all

EVERYTHING = RequestFilter()
_BY_CLASS = (
    "SELECT date_bin(%(bucket)s, timestamp, %(start)s), "
    + TRAFFIC_CLASS_SQL
    + ", sum(repeat) FROM haproxy_raw_logs WHERE timestamp >= %(start)s AND timestamp < %(end)s GROUP BY 1, 2"
)
FILTERS = (
    ("all", EVERYTHING),
    ("a big customer", RequestFilter(customer=(1,))),
    ("a small customer", RequestFilter(customer=(7001,))),
    ("event 31 (1 in 10,000)", RequestFilter(event=(31,))),
)


async def _tail(database: Database, dsn: str, explained: bool) -> None:
    report = Report("Following: Requests.since() with so many rows committed since the last poll")
    requests = Requests(database)
    for new in (0, 100, 1_000, 10_000):
        cursor = (await requests.begin(EVERYTHING, recent=1)).cursor
        if new:
            fill(dsn, start=-1, seconds=1, rows=new)
        assert len((await requests.since(cursor)).rows) == new
        timing = await timed(partial(requests.since, cursor))
        condition = f"SELECT count(*) FROM haproxy_raw_logs WHERE {SINCE[0]}"
        base = await timed(query(database, condition, cursor.mark.parameters()))
        report.line(f"{new:,} new rows", timing, "count(*) of them", base)
        whole = rows_since(COLUMNS, "haproxy_raw_logs", "true")
        report.line(
            "&nbsp; the same as one query over all partitions",
            await timed(query(database, whole, cursor.mark.parameters())), "count(*) of them", base,
        )  # fmt: skip
        if explained and new in (0, 10_000):
            print(await explain(database, condition, cursor.mark.parameters()))


async def _pages(database: Database, explained: bool) -> None:
    report = Report("Paging back: 500 rows before a moment, Requests.before()")
    requests = Requests(database)
    async with database.reading() as connection:
        now = (await (await connection.execute("SELECT now()")).fetchall())[0][0]
    first = await timed(partial(requests.begin, EVERYTHING), times=30)
    report.line("begin(): 200 rows and a cursor", first, "SELECT 1", await timed(query(database, "SELECT 1")))
    for name, wanted in FILTERS:
        for hours in (0, 1, 10, 40):
            moment: datetime = now - timedelta(hours=hours)
            timing = await timed(partial(requests.before, wanted, moment), times=10, warm_up=2)
            history = await requests.before(wanted, moment)
            condition, parameters = wanted.where()
            parameters = parameters | {"window_start": history.reached, "window_end": moment}
            text = f"SELECT count(*) FROM haproxy_raw_logs WHERE {WINDOW} ({condition})"
            base = await timed(query(database, text, parameters), times=10, warm_up=2)
            span = moment - history.reached
            report.line(
                f"{name}, {hours} h back: {len(history.rows)} rows over {str(span).split('.')[0]}",
                timing, "count(*) of the same span", base,
            )  # fmt: skip
            if explained and hours == 1:
                print(await explain(database, text, parameters))


async def _roll_up(dsn: str) -> None:
    """As the timer would have done."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await count_all(connection, RollUpTraffic())


async def _counts(database: Database, explained: bool) -> None:
    report = Report("Counting: Breakdown.groups() and .histogram()")
    breakdown = Breakdown(database)
    async with database.reading() as connection:
        now = (await (await connection.execute("SELECT now()")).fetchall())[0][0]
    end: datetime = now.replace(second=0, microsecond=0)
    for hours in (0.25, 1, 10, 48):
        bounds = {"start": end - timedelta(hours=hours), "end": end}
        text = "SELECT count(*) FROM haproxy_raw_logs WHERE timestamp >= %(start)s AND timestamp < %(end)s"
        base = await timed(query(database, text, bounds), times=3, warm_up=1)
        for name, wanted in FILTERS:
            for by in (GroupBy.CUSTOMER, GroupBy.KEY, GroupBy.STATUS) if name == "all" else (GroupBy.PATH,):
                timing = await timed(partial(breakdown.groups, wanted, by, **bounds), times=3, warm_up=1)
                report.line(f"{name}, {hours} h by {by}", timing, "count(*) of the window", base)
        for what, buckets in (("whole minutes", 15), ("other buckets", 7)):
            timing = await timed(
                partial(breakdown.histogram, EVERYTHING, **bounds, buckets=buckets), times=3, warm_up=1
            )
            report.line(f"histogram, {hours} h, {what}", timing, "count(*) of the window", base)
        if explained:
            print(await explain(database, breakdown_module._groups(GroupBy.KEY, "true"), bounds | {"limit": 100}))


async def _overview(database: Database, dsn: str, explained: bool) -> None:
    report = Report("The overview: five minutes in the log, all but the last minute rolled up, Traffic.overview()")
    for rate in (200, 10_000):
        fill(dsn, start=-305, seconds=245, rows=rate * 245)
        await _roll_up(dsn)
        # Until 80 s from now, so that the last minute stays full while it is measured.
        fill(dsn, start=-60, seconds=140, rows=rate * 140)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("ANALYZE haproxy_raw_logs")
        traffic = Traffic(database)
        overview = await traffic.overview()
        bounds = {"start": overview.now - timedelta(minutes=5), "end": overview.end, "bucket": timedelta(seconds=5)}
        times = 20 if rate == 200 else 4
        timing = await timed(traffic.overview, times=times, warm_up=1)
        base = await timed(query(database, _BY_CLASS, bounds), times=times, warm_up=1)
        what = "GROUP BY time and class of the five minutes"
        report.line(f"at {rate:,}/s ({overview.requests:,} requests in the last minute)", timing, what, base)
        served = await timed(traffic.still_served, times=times, warm_up=1)
        report.line(f"still_served() at {rate:,}/s", served, what, base)
        if explained:
            print(await explain(database, _BY_CLASS, bounds))


async def main() -> None:
    parser = argparse.ArgumentParser(prog="bench_tail")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--only", choices=["tail", "pages", "counts", "overview"], help="one part")
    parser.add_argument("--explain", action="store_true", help="print the plans of the worst queries")
    options = parser.parse_args()
    with fresh_server() as (dsn, _):
        async with migrated(dsn) as database:
            print(place(dsn))
            fifty_hours(dsn, options.rows)
            if options.only in (None, "tail"):
                await _tail(database, dsn, options.explain)
            if options.only in (None, "pages"):
                await _pages(database, options.explain)
            if options.only in (None, "counts"):
                await _roll_up(dsn)
                await _counts(database, options.explain)
            if options.only in (None, "overview"):
                await _overview(database, dsn, options.explain)


if __name__ == "__main__":
    run(main)

"""The questions of the usage screen: a month of rollups of a busy fleet and of many customers.

`python3 -m tests.bench.bench_usage [--customers N] [--days N] [--plans]`. Each baseline is a plain sum of requests over
the rows of the same table and time.
"""

import argparse
from datetime import UTC, datetime, timedelta

from db.database import Database
from db.suiftly.log.filter import RequestFilter
from db.suiftly.usage.charts import Charts
from db.suiftly.usage.latency import SLOTS
from db.suiftly.usage.plan import plan_for, what_is_kept
from db.suiftly.usage.top import Ranking, TopBy
from db.suiftly.usage.window import SPANS, UsageQuestion
from tests.bench.measure import Report, execute, explain, fresh_server, migrated, place, query, run, timed

_COLUMNS = 110
# Ten slots of a log-normal look, scaled to the row.
_FILLED = SLOTS[20:30]
_NUMBERS = ", ".join(f"greatest(1, n * {(5 - abs(at - 4)) * 3} / 100)" for at in range(len(_FILLED)))
_FLEET = "network, service_type, server_id, traffic_type, status_class"
# 12 servers, 2 services, 2 networks, 5 kinds of answers: 240 rows for each minute and hour.
_COMBINATIONS = """
    generate_series(0, 1) network, generate_series(1, 2) service_type, generate_series(1, 12) server_id,
    (VALUES (1, 2, 900), (2, 2, 80), (3, 4, 12), (1, 4, 6), (1, 5, 2)) kinds (traffic_type, status_class, n)
"""


def _fill(dsn: str, customers: int, days: int) -> None:
    """Minutes of a week, hours and days of two months; each customer in every hour, one service."""
    slots = ", ".join(_FILLED)
    for table, unit, length in (("minute", "minute", "7 days"), ("hour", "hour", f"{2 * days} days")):
        execute(
            dsn,
            f"""INSERT INTO console.traffic_{table} (bucket, {_FLEET}, requests, bytes, latency_ms, {slots})
                SELECT bucket, {_FLEET}, n, n * 900, n * 60, {_NUMBERS}
                FROM date_trunc('{unit}', now(), 'UTC') present,
                     generate_series(present - interval '{length}', present, interval '1 {unit}') bucket,
                     {_COMBINATIONS}""",
        )
    for day in range(2 * days, -1, -1):
        execute(
            dsn,
            f"""INSERT INTO console.traffic_customer_hour (bucket, customer_id, service_type, network, requests,
                    guaranteed, burst, rejected, invalid, server_error, client_errors, server_errors, bytes, latency_ms,
                    {slots})
                SELECT bucket, customer, 1, 1, n, n - 4, 1, 1, 1, 1, 2, 1, n * 900, n * 60, {_NUMBERS}
                FROM generate_series(date_trunc('day', now(), 'UTC') - interval '{day} days',
                                     least(date_trunc('hour', now(), 'UTC'),
                                           date_trunc('day', now(), 'UTC') - interval '{day} days' + interval '23 h'),
                                     interval '1 hour') bucket,
                     generate_series(1, {customers}) customer, LATERAL (SELECT 10 + 40000 / customer AS n) busy""",
        )
    execute(
        dsn,
        """INSERT INTO console.traffic_customer_day
           SELECT date_trunc('day', bucket, 'UTC'), customer_id, service_type, network, sum(requests),
                  sum(client_errors), sum(server_errors), sum(bytes)
           FROM console.traffic_customer_hour GROUP BY 1, 2, 3, 4 ORDER BY 1, 2""",
        "UPDATE console.capture_state SET caught_up_at = now() WHERE name = 'traffic'",
        "VACUUM ANALYZE console.traffic_minute",
        "VACUUM ANALYZE console.traffic_hour",
        "VACUUM ANALYZE console.traffic_customer_hour",
        "VACUUM ANALYZE console.traffic_customer_day",
    )


async def _measure(database: Database, customers: int, days: int) -> None:
    charts, ranking = Charts(database), Ranking(database)
    report = Report(f"Charts in {_COLUMNS} columns, and the ten biggest: {customers:,} customers, {2 * days} days")

    def plain(table: str, span: timedelta, condition: str = "true") -> object:
        start = {"start": datetime.now(UTC) - 2 * span}
        return query(
            database, f"SELECT sum(requests) FROM console.{table} WHERE bucket >= %(start)s AND {condition}", start
        )

    for word, span in SPANS.items():
        question = UsageQuestion(span)
        table = "traffic_hour" if span > timedelta(days=1) else "traffic_minute"
        base = await timed(plain(table, span), times=9, warm_up=3)  # type: ignore[arg-type]
        what = await timed(lambda q=question: charts.usage(q, columns=_COLUMNS), times=9, warm_up=3)
        report.line(f"the fleet over {word}", what, f"sum(requests) of {table}", base)
        ranked = await timed(lambda q=question: ranking.top(q, TopBy.SERVER), times=9, warm_up=3)
        report.line(f"top servers over {word}", ranked, f"sum(requests) of {table}", base)
    for word, span in list(SPANS.items())[1:]:
        question = UsageQuestion(span)
        table = "traffic_customer_day" if span > timedelta(days=1) else "traffic_customer_hour"
        base = await timed(plain(table, span), times=9, warm_up=3)  # type: ignore[arg-type]
        ranked = await timed(lambda q=question: ranking.top(q, TopBy.CUSTOMER), times=9, warm_up=3)
        report.line(f"top customers over {word}", ranked, f"sum(requests) of {table}", base)
        one = UsageQuestion(span, wanted=RequestFilter(customer=(customers // 2,)))
        mine = plain("traffic_customer_hour", span, f"customer_id = {customers // 2}")
        base = await timed(mine, times=50)  # type: ignore[arg-type]
        charted = await timed(lambda q=one: charts.usage(q, columns=_COLUMNS), times=50)
        report.line(f"one customer over {word}", charted, "sum(requests) of its hours", base)


async def _plans(database: Database, customers: int) -> None:
    for wanted in (RequestFilter(), RequestFilter(customer=(customers // 2,))):
        async with database.reading(60, one_snapshot=True) as connection:
            plan = plan_for(UsageQuestion(timedelta(days=30), wanted=wanted), await what_is_kept(connection), _COLUMNS)
        window = plan.window
        bounds: dict[str, object] = {"start": window.start, "end": window.end, "step": window.step}
        for count in plan.now:
            print("\n" + await explain(database, count.query, plan.parameters | bounds))


async def main() -> None:
    parser = argparse.ArgumentParser(prog="bench_usage")
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--plans", action="store_true", help="print how PostgreSQL carries the queries out")
    options = parser.parse_args()
    with fresh_server() as (dsn, _):
        async with migrated(dsn) as database:
            print(place(dsn))
            _fill(dsn, options.customers, options.days)
            await _measure(database, options.customers, options.days)
            if options.plans:
                await _plans(database, options.customers)


if __name__ == "__main__":
    run(main)

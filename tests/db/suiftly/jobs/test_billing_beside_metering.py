"""Bills are made while metering counts, rows come late, limits change and bills are settled: it always adds up."""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from psycopg import AsyncConnection

from db.database import Database
from db.suiftly.jobs.aggregate_usage import AggregateUsage
from db.suiftly.jobs.log_consumer import take_step
from db.suiftly.pricing import load_prices, units
from tests.db.suiftly.books import add_account, add_service, calculate, execute, open_books, rows
from tests.db.suiftly.log_traffic import write

_SECONDS = 3.0
_DAYS = 45
_LIMITED = 3
_CUSTOMERS = (1, 2, _LIMITED, 4)
# Dear, so that every hour is worth a bill.
PRICES = load_prices().model_copy(update={"charge_threshold_cents": 1})


def _log_row(chance: random.Random, at: datetime) -> tuple[object, ...]:
    service, repeat = chance.choice((1, 2, 3)), chance.choice((1, 50, 700))
    traffic, status = chance.choice(((1, 200), (1, 200), (2, 301), (3, 429)))
    customer = chance.choice((*_CUSTOMERS, None))
    return (at, customer, "v1", 1, 0x13, service, 42, 2, traffic, 0, "203.0.113.9", status, 100, 5, repeat)


async def _until(end: float, step: Callable[[], Awaitable[object]]) -> None:
    while time.monotonic() < end:
        await step()
        await asyncio.sleep(0)


async def test_records_and_bills_add_up_while_both_jobs_run_at_once(dsn: str, database: Database) -> None:
    seed = os.environ.get("OPSDECK_SEED", str(random.randrange(10**6)))
    print(f"OPSDECK_SEED={seed}")
    chance = random.Random(seed)
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    # Few hours, some of them twice as likely: late rows meet billed records.
    hours = [now - timedelta(hours=chance.randrange(_DAYS * 24)) for _ in range(30)]
    first_month = (now - timedelta(days=_DAYS)).replace(day=1)
    open_books(dsn, f"{first_month:%Y-%m-01}")
    for customer in _CUSTOMERS:
        add_account(dsn, customer, limit=500 if customer == _LIMITED else None)
        add_service(dsn, customer, "seal", "starter", now - timedelta(days=_DAYS + 40), keys=2)
    metering = Database(dsn)
    await metering.open()
    days_back = _DAYS

    async def write_rows() -> None:
        at = [chance.choice(hours) + timedelta(seconds=chance.randrange(3600)) for _ in range(chance.randrange(1, 60))]
        await asyncio.to_thread(write, dsn, [_log_row(chance, moment) for moment in at])

    async def meter() -> None:
        async with metering.writing() as connection:
            await take_step(connection, AggregateUsage(), chunk_rows=100)

    async def bill() -> None:
        """The days go by at some for each run: what is closed is as long ago as the grace says."""
        nonlocal days_back
        await asyncio.to_thread(execute, dsn, "UPDATE console.billing SET grace = make_interval(days => %s)", days_back)
        days_back = max(0, days_back - chance.choice((0, 1, 2)))
        run = await calculate(database, PRICES)
        assert run.outcome == "succeeded", run

    async def settle() -> None:
        async with await AsyncConnection.connect(dsn) as connection:
            await connection.execute(
                """UPDATE billing_records SET status = CASE WHEN random() < 0.5 THEN 'failed' ELSE 'paid' END,
                          tx_digest = gen_random_uuid()::text
                   WHERE id = (SELECT id FROM billing_records WHERE status = 'pending' ORDER BY random() LIMIT 1)"""
            )
            await connection.execute(
                "UPDATE customers SET max_monthly_usd_cents = %s WHERE customer_id = %s",
                (chance.randrange(1, 4000), _LIMITED),
            )
        await asyncio.sleep(0.05)

    end = time.monotonic() + _SECONDS
    async with asyncio.TaskGroup() as together:
        for step in (write_rows, meter, meter, bill, settle):
            together.create_task(_until(end, step))
    days_back = 0
    last = False
    while not last:
        async with metering.writing() as connection:
            last = (await take_step(connection, AggregateUsage())).last
    execute(dsn, "UPDATE customers SET max_monthly_usd_cents = NULL")
    await bill()
    await metering.close()
    _it_adds_up(dsn)
    seen = rows(
        dsn,
        """SELECT (SELECT count(*) FROM billing_records) AS bills, (SELECT count(*) FROM console.monthly_fee) AS fees,
                  (SELECT count(*) FROM (SELECT FROM usage_records GROUP BY customer_id, service_type, window_start
                                         HAVING count(*) > 1) x) AS adjusted""",
    )[0]
    print(seen)
    assert seen["bills"] > 2
    assert min(seen.values()) > 0


def _it_adds_up(dsn: str) -> None:
    unequal = """
        SELECT * FROM (
            SELECT customer_id, m.service_names ->> l.service_type::text AS service,
                   date_trunc('hour', timestamp, 'UTC') AS hour,
                   sum(repeat) FILTER (WHERE traffic_type IN (1, 2) AND status_code BETWEEN 200 AND 399) AS requests
            FROM haproxy_raw_logs l, console.metering m WHERE customer_id IS NOT NULL GROUP BY 1, 2, 3) logged
        FULL JOIN (SELECT customer_id, service_type AS service, window_start AS hour, sum(request_count) AS requests
                   FROM usage_records GROUP BY 1, 2, 3) metered USING (customer_id, service, hour)
        WHERE coalesce(logged.requests, 0) <> coalesce(metered.requests, 0)"""
    assert rows(dsn, unequal) == []
    records = rows(dsn, "SELECT * FROM usage_records")
    for row in records:
        billed = row["billing_record_id"] is not None
        worth = PRICES.usage_units(row["service_type"], row["window_start"], row["request_count"], 0)
        assert (row["charged_amount"] is not None) == billed
        assert not billed or units(row["charged_amount"]) == worth
    found = rows(
        dsn,
        """SELECT b.*, (SELECT coalesce(sum(charged_amount), 0) FROM usage_records WHERE billing_record_id = b.id)
                     + (SELECT coalesce(sum(amount_usd), 0) FROM console.monthly_fee WHERE billing_record_id = b.id)
                     AS usd,
                  (SELECT max(window_end) FROM usage_records WHERE billing_record_id = b.id) AS newest,
                  (SELECT bool_and(u.customer_id = b.customer_id) FROM usage_records u WHERE billing_record_id = b.id)
                      AS own
           FROM billing_records b ORDER BY customer_id, billing_period_start""",
    )
    for bill, before in zip(found, [None, *found], strict=False):
        assert bill["amount_usd_cents"] == PRICES.cents(units(bill["usd"])) > 0
        assert bill["own"] is not False
        assert bill["newest"] is None or bill["newest"] <= bill["billing_period_end"]
        assert (bill["billing_period_end"] - timedelta(seconds=1)).month == bill["billing_period_start"].month
        if before is not None and before["customer_id"] == bill["customer_id"]:
            assert before["billing_period_end"] <= bill["billing_period_start"]

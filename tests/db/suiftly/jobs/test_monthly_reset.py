"""The begin of a month, on whichever day it is noticed."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from db.database import Database
from db.jobs.history import JobRun
from db.jobs.runner import run_job
from db.suiftly.billing.rules import midnight
from db.suiftly.jobs.monthly_reset import MonthlyReset
from db.suiftly.pricing import PriceBook, load_prices
from tests.db.suiftly.books import ANN, add_account, add_service, calculate, counted_until, execute, on, rows

HEAD = load_prices(preset="head-2026")
TODAY = datetime.now(UTC).date()
MONTH = TODAY.replace(day=1)
LAST_MONTH = (MONTH - timedelta(days=1)).replace(day=1)
EARLIER = (LAST_MONTH - timedelta(days=1)).replace(day=1)


async def reset(database: Database, prices: PriceBook | None = None, *, dry_run: bool = False) -> JobRun:
    return await run_job(database, MonthlyReset(prices), actor=ANN, dry_run=dry_run)


def charged(dsn: str, customer: int, cents: int, since: date | None) -> None:
    execute(
        dsn,
        """UPDATE customers SET current_month_charged_usd_cents = %s, last_month_charged_usd_cents = 77,
                  current_month_start = %s WHERE customer_id = %s""",
        cents, since, customer,
    )  # fmt: skip


def counters(dsn: str) -> list[tuple[Any, ...]]:
    query = """SELECT customer_id, last_month_charged_usd_cents AS last, current_month_charged_usd_cents AS now,
                      current_month_start FROM customers ORDER BY 1"""
    return [tuple(row.values()) for row in rows(dsn, query)]


def control(dsn: str) -> date | None:
    return rows(dsn, "SELECT last_monthly_reset AS day FROM system_control")[0]["day"]


@pytest.mark.parametrize("last", [None, EARLIER, LAST_MONTH])
async def test_a_month_begins_whenever_it_is_noticed(dsn: str, database: Database, last: date | None) -> None:
    execute(dsn, "UPDATE system_control SET last_monthly_reset = %s", last)
    for customer, (cents, since) in enumerate(((100, LAST_MONTH), (200, EARLIER), (300, MONTH), (400, None)), 1):
        add_account(dsn, customer)
        charged(dsn, customer, cents, since)
    touched = rows(dsn, "SELECT updated_at FROM customers ORDER BY customer_id")
    dry = await reset(database, dry_run=True)
    assert control(dsn) == last
    run = await reset(database)
    assert run.counts == dry.counts == {"customers": 3, "services": 0}
    # A counter from before last month, or of no known month, is not what was charged last month.
    assert counters(dsn) == [(1, 100, 0, MONTH), (2, 0, 0, MONTH), (3, 77, 300, MONTH), (4, 0, 0, MONTH)]
    assert control(dsn) == MONTH
    assert rows(dsn, "SELECT updated_at FROM customers ORDER BY customer_id") == touched
    again = await reset(database)
    assert (again.outcome, again.counts) == ("succeeded", {})
    assert "nothing to do" in (again.message or "")


async def test_what_the_limit_had_suspended_comes_back_and_nothing_else(dsn: str, database: Database) -> None:
    for customer, status in ((1, "active"), (2, "suspended"), (3, "active"), (4, "active")):
        add_account(dsn, customer, status=status)
        charged(dsn, customer, 5, MONTH if customer == 4 else LAST_MONTH)
        add_service(dsn, customer, "seal", "pro", on("01-01"), off=on("01-05"))
        if customer != 3:
            execute(
                dsn,
                """UPDATE service_instances SET config = '{"suspended_for": "limit", "burst": true}'
                   WHERE customer_id = %s""",
                customer,
            )
    assert (await reset(database)).counts == {"customers": 3, "services": 1}
    services = rows(
        dsn, "SELECT customer_id AS c, is_enabled AS e, config, enabled_at > disabled_at AS now FROM service_instances"
    )
    assert sorted((row["c"], row["e"], row["now"]) for row in services) == [
        (1, True, True), (2, False, False), (3, False, False), (4, False, False),
    ]  # fmt: skip
    assert next(row["config"] for row in services if row["c"] == 1) == {"burst": True}


async def test_what_comes_back_owes_the_fee_of_the_month_before_all_the_same(dsn: str, database: Database) -> None:
    execute(dsn, "UPDATE console.billing SET fees_from = %s, closed_before = %s, grace = '0'", LAST_MONTH, LAST_MONTH)
    add_account(dsn, 1)
    charged(dsn, 1, 5, LAST_MONTH)
    add_service(dsn, 1, "seal", "pro", midnight(EARLIER), off=midnight(LAST_MONTH + timedelta(days=9)))
    execute(dsn, """UPDATE service_instances SET config = '{"suspended_for": "limit"}'""")
    dry = await reset(database, dry_run=True)
    run = await reset(database)
    assert run.counts == dry.counts == {"customers": 1, "services": 1}
    assert rows(dsn, "SELECT is_enabled, config FROM service_instances") == [{"is_enabled": True, "config": {}}]
    assert "nothing to do" in ((await reset(database)).message or "")
    counted_until(dsn, datetime.now(UTC))
    await calculate(database)
    fees = rows(dsn, "SELECT month, detail FROM console.monthly_fee")
    assert fees == [{"month": LAST_MONTH, "detail": f"pro, 9 of {(MONTH - LAST_MONTH).days} days"}]


async def test_rolling_periods_begin_on_each_customer_s_own_day(dsn: str, database: Database) -> None:
    days = {1: 28, 2: 27, 3: 60, 4: 30}
    for customer, ago in days.items():
        add_account(dsn, customer)
        charged(dsn, customer, 9, None if customer == 4 else TODAY - timedelta(days=ago))
    execute(dsn, "UPDATE customers SET created_at = now() - interval '30 days' WHERE customer_id = 4")
    assert (await reset(database, HEAD)).counts == {"customers": 3, "services": 0}
    assert counters(dsn) == [
        (1, 9, 0, TODAY),
        (2, 77, 9, TODAY - timedelta(days=27)),
        (3, 0, 0, TODAY - timedelta(days=4)),
        (4, 0, 0, TODAY - timedelta(days=2)),
    ]
    assert control(dsn) == TODAY
    assert (await reset(database, HEAD)).counts == {}

"""Customers with services, keys and usage by hand, for tests that add up their bills."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from db.audit import Actor
from db.database import Database
from db.jobs.history import JobRun
from db.jobs.runner import run_job
from db.suiftly.jobs.calculate_bills import CalculateBills
from db.suiftly.pricing import PriceBook
from tests.db.seed import add_customer

ANN = Actor("ann", None)
OPEN = "billing_record_id IS NULL"
DIGEST = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE"  # of a transaction: the bytes 0 to 31


def on(day: str, hour: int = 0, minute: int = 0) -> datetime:
    """A moment of 2026, from "06-03"."""
    return datetime.fromisoformat(f"2026-{day}").replace(hour=hour, minute=minute, tzinfo=UTC)


def execute(dsn: str, query: str, *parameters: object) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(query, parameters)  # type: ignore[arg-type]


def change_service(dsn: str, moment: datetime, query: str, *parameters: object) -> None:
    """A change of a service by plain SQL, of which the history then says that it was made at that moment."""
    with psycopg.connect(dsn) as connection:
        connection.execute(query, parameters)  # type: ignore[arg-type]
        for edge in ("until", "since"):
            connection.execute(
                f"UPDATE console.service_span SET {edge} = %s WHERE {edge} = now()",  # type: ignore[arg-type]
                (moment,),
            )


def rows(dsn: str, query: str, *parameters: object) -> list[dict[str, Any]]:
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        return connection.execute(query, parameters).fetchall()  # type: ignore[arg-type]


def open_books(dsn: str, fees_from: str = "2026-06-01") -> None:
    execute(dsn, "UPDATE console.billing SET fees_from = %s", fees_from)


def counted_until(dsn: str, moment: datetime) -> None:
    """Metering has caught up with the log at that moment."""
    execute(dsn, "UPDATE console.capture_state SET caught_up_at = %s WHERE name = 'usage'", moment)


def add_account(dsn: str, customer: int, *, limit: int | None = None, status: str = "active") -> None:
    add_customer(dsn, customer, status)
    execute(dsn, "UPDATE customers SET max_monthly_usd_cents = %s WHERE customer_id = %s", limit, customer)


def add_service(
    dsn: str,
    customer: int,
    service: str,
    tier: str,
    since: datetime | None,
    *,
    off: datetime | None = None,
    keys: int = 0,
) -> None:
    execute(
        dsn,
        """INSERT INTO service_instances (customer_id, service_type, tier, is_enabled, enabled_at, disabled_at)
           VALUES (%s, %s, %s, %s, %s, %s)""",
        customer, service, tier, off is None, since, off,
    )  # fmt: skip
    execute(
        dsn,
        """INSERT INTO api_keys (api_key_id, api_key_fp, api_key_hash, customer_id, service_type, created_at)
           SELECT 'sealed-' || fp, fp, lpad(to_hex(fp), 64, '0'), %s, %s, '2026-01-01+00'
           FROM generate_series((SELECT coalesce(max(api_key_fp), 0) FROM api_keys) + 1,
                                (SELECT coalesce(max(api_key_fp), 0) FROM api_keys) + %s) fp""",
        customer, service, keys,
    )  # fmt: skip


def add_seal_keys(dsn: str, customer: int, count: int) -> None:
    execute(
        dsn,
        """INSERT INTO seal_keys (customer_id, public_key, encrypted_private_key, created_at)
           SELECT %s, '0x' || lpad(n::text, 64, '0'), 'sealed', '2026-01-01+00' FROM generate_series(1, %s) n""",
        customer, count,
    )  # fmt: skip


def add_usage(dsn: str, customer: int, service: str, hour: datetime, requests: int, size: int | None = 0) -> None:
    """As metering does it: onto the open record of that hour, or a new one."""
    execute(
        dsn,
        """INSERT INTO usage_records AS u (customer_id, service_type, window_start, window_end, request_count,
                                           bytes_transferred)
           VALUES (%s, %s, %s, %s::timestamptz + interval '1 hour', %s, %s)
           ON CONFLICT (customer_id, service_type, window_start)
               WHERE billing_record_id IS NULL AND charged_amount IS NULL
           DO UPDATE SET request_count = u.request_count + excluded.request_count""",
        customer, service, hour, hour, requests, size,
    )  # fmt: skip


async def until_blocked(dsn: str, task: asyncio.Task[Any]) -> None:
    """Somebody waits for a lock: the task has come that far."""
    waits = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while not await asyncio.to_thread(rows, dsn, waits):
        assert not task.done(), task.result()
        await asyncio.sleep(0.02)


async def calculate(
    database: Database, prices: PriceBook | None = None, *, dry_run: bool = False, explained: list[str] | None = None
) -> JobRun:
    explain = None if explained is None else explained.append
    return await run_job(database, CalculateBills(prices), actor=ANN, dry_run=dry_run, explain=explain)


async def bill_until(dsn: str, moment: datetime) -> None:
    """Bills what is counted at that moment."""
    counted_until(dsn, moment)
    database = Database(dsn)
    await database.open()
    await calculate(database)
    await database.close()


def bills(dsn: str, customer: int) -> list[tuple[str, str, int, str]]:
    """Begin, end, cents and status of its charges, oldest first."""
    found = rows(
        dsn,
        """SELECT to_char(billing_period_start, 'MM-DD HH24') AS b, to_char(billing_period_end, 'MM-DD HH24') AS e,
                  amount_usd_cents AS cents, status
           FROM billing_records WHERE customer_id = %s AND type = 'charge' ORDER BY billing_period_start""",
        customer,
    )
    return [(row["b"], row["e"], row["cents"], row["status"]) for row in found]


BOOKS = (
    """SELECT customer_id, billing_period_start, billing_period_end, amount_usd_cents, status, type
       FROM billing_records ORDER BY 1, 2, 3""",
    """SELECT u.customer_id, service_type, window_start, request_count, charged_amount, b.billing_period_start AS bill
       FROM usage_records u LEFT JOIN billing_records b ON b.id = u.billing_record_id ORDER BY 1, 2, 3, 6""",
    """SELECT f.customer_id, month, service_type, item, detail, amount_usd, b.billing_period_start AS bill
       FROM console.monthly_fee f LEFT JOIN billing_records b ON b.id = f.billing_record_id ORDER BY 1, 2, 3, 4""",
    "SELECT customer_id, reason, open_usd FROM console.billing_blocked ORDER BY 1",
    "SELECT closed_before FROM console.billing",
)


def books(dsn: str) -> Sequence[list[dict[str, Any]]]:
    """Everything billing writes, without the ids."""
    return [rows(dsn, query) for query in BOOKS]

"""Lists by keyset: does any page cost what the first one costs, at 1,000,000 customers and 3,000,000 keys?

`python3 -m tests.bench.bench_paging [--explain]`. Each line is a page of 100 rows through the reader that the screens
use; the baseline is the same page by OFFSET. A deep page starts at a random place in the last half of its list.
"""

import random
import sys
import time
from collections.abc import Callable
from functools import partial

import psycopg

from db.database import Database
from db.page import Page
from db.suiftly import customers as customers_module
from db.suiftly.customer_search import CustomerSearch
from db.suiftly.customers import Customer, Customers
from db.suiftly.keys import keys as keys_module
from db.suiftly.keys.keys import ApiKey, Keys, KeySearch
from tests.bench.measure import Call, Report, execute, explain, fresh_server, migrated, place, query, run, timed

CUSTOMERS = 1_000_000
KEYS = 3_000_000
BIG = 40_000 * 4294 + 1  # the customer of one key in thirty; the others have three on average

_CUSTOMERS = f"""
    INSERT INTO customers (customer_id, wallet_address, status, current_balance_usd_cents)
    SELECT i * 4294 + 1, '0x' || encode(sha256(i::text::bytea), 'hex'),
           CASE WHEN i % 100 = 0 THEN 'closed' WHEN i % 100 < 6 THEN 'suspended' ELSE 'active' END, i
    FROM generate_series(1, {CUSTOMERS}::bigint) i"""
_KEYS = f"""
    INSERT INTO api_keys (api_key_id, api_key_fp, api_key_hash, customer_id, service_type, is_active, created_at,
                          revoked_at, revoked_by)
    SELECT 'sealed-' || i, (i * 2654435761) % 4294967296, encode(sha256(('key' || i)::bytea), 'hex'),
           CASE WHEN i % 30 = 0 THEN {BIG} ELSE (i * 7919 % {CUSTOMERS} + 1) * 4294 + 1 END, 'seal', i % 20 <> 7,
           '2025-01-01'::timestamptz + (i / 3) * interval '30 seconds',  -- three at one instant
           CASE WHEN i % 20 = 7 THEN '2025-01-01'::timestamptz + (i / 3 + i % 1000) * interval '30 seconds' END,
           CASE WHEN i % 20 = 7 THEN 'ann' END
    FROM generate_series(1, {KEYS}::bigint) i"""


def generate(dsn: str) -> None:
    """Fills both tables on the server. Foreign keys are not checked: they hold by construction."""
    started = time.perf_counter()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        connection.execute(_CUSTOMERS)  # pyright: ignore
        connection.execute(_KEYS)  # pyright: ignore
    execute(dsn, "VACUUM ANALYZE customers", "VACUUM ANALYZE api_keys")
    print(f"generated in {time.perf_counter() - started:.0f} s")


def _pages(pages: Callable[..., object], anchors: list[Customer] | list[ApiKey], randomness: random.Random) -> Call:
    async def call() -> None:
        page = await pages(after=randomness.choice(anchors))  # type: ignore[misc]
        assert isinstance(page, Page)
        assert page.rows

    return call


async def _customers(database: Database, report: Report, randomness: random.Random) -> None:
    reader = Customers(database)
    for name, search, condition, order in (
        ("customers by id", CustomerSearch(), "true", "c.customer_id"),
        ("customers, suspended", CustomerSearch(status="suspended"), "c.status = 'suspended'", "c.customer_id"),
        ("customers, active", CustomerSearch(status="active"), "c.status = 'active'", "c.customer_id"),
        (
            "customers, wallet 0x4…",
            CustomerSearch(wallet_prefix="0x4"),
            "c.wallet_address ~>=~ '0x4' AND c.wallet_address ~<~ '0x4g'",
            "c.wallet_address USING ~<~",
        ),
        (
            "customers, wallet 0x4… suspended",
            CustomerSearch(wallet_prefix="0x4", status="suspended"),
            "c.wallet_address ~>=~ '0x4' AND c.wallet_address ~<~ '0x4g' AND c.status = 'suspended'",
            "c.wallet_address USING ~<~",
        ),
    ):
        matching = await _scalar(database, f"SELECT count(*) FROM customers c WHERE {condition}")
        ids = await _column(
            database,
            f"""SELECT customer_id FROM (SELECT c.customer_id, row_number() OVER (ORDER BY {order}) n
                FROM customers c WHERE {condition}) x
                WHERE n BETWEEN {matching // 2} AND {matching - 150} ORDER BY md5(n::text) LIMIT 20""",
        )
        anchors = [found for id_ in ids if (found := await reader.find(id_)) is not None]
        depth = matching * 3 // 4
        tail = f" WHERE {condition} ORDER BY {order} LIMIT 101 OFFSET "
        await _compare(
            database, report, f"{name} ({matching:,})", partial(reader.page, search), anchors,
            customers_module._SELECT + tail, depth, randomness,
        )  # fmt: skip


async def _keys(database: Database, report: Report, randomness: random.Random) -> None:
    reader = Keys(database)
    newest = "k.created_at DESC, k.api_key_fp DESC"
    for name, search, condition, order in (
        ("keys, newest first", KeySearch(), "true", newest),
        ("keys, live", KeySearch(state="live"), "k.is_active", newest),
        ("keys, revoked", KeySearch(state="revoked"), "NOT k.is_active", "k.revoked_at DESC, k.api_key_fp DESC"),
        ("keys of a big customer", KeySearch(customer_id=BIG), f"k.customer_id = {BIG}", newest),
    ):
        matching = await _scalar(database, f"SELECT count(*) FROM api_keys k WHERE {condition}")
        ids = await _column(
            database,
            f"""SELECT api_key_fp FROM (SELECT k.api_key_fp, row_number() OVER (ORDER BY {order}) n
                FROM api_keys k WHERE {condition}) x
                WHERE n BETWEEN {matching // 2} AND {matching - 150} ORDER BY md5(n::text) LIMIT 20""",
        )
        anchors = [found for id_ in ids if (found := await reader.find(id_)) is not None]
        depth = matching * 3 // 4
        tail = f" WHERE {condition} ORDER BY {order} LIMIT 101 OFFSET "
        await _compare(
            database, report, f"{name} ({matching:,})", partial(reader.page, search), anchors,
            keys_module._SELECT + tail, depth, randomness,
        )  # fmt: skip
    small = await _scalar(database, f"SELECT customer_id FROM api_keys WHERE customer_id <> {BIG} LIMIT 1")
    one = await timed(partial(reader.page, KeySearch(customer_id=small)))
    base = await timed(query(database, "SELECT 1"))
    report.line("keys of one customer, all", one, "SELECT 1", base)
    some = await _scalar(database, "SELECT api_key_fp FROM api_keys OFFSET 1000 LIMIT 1")
    report.line("key by fingerprint", await timed(partial(reader.find, some)), "SELECT 1", base)


async def _compare(
    database: Database,
    report: Report,
    name: str,
    page: Callable[..., object],
    anchors: list[Customer] | list[ApiKey],
    offset_query: str,
    depth: int,
    randomness: random.Random,
) -> None:
    first = await timed(page)  # type: ignore[arg-type]
    deep = await timed(_pages(page, anchors, randomness))
    first_by_offset = await timed(query(database, offset_query + "0"))
    deep_by_offset = await timed(query(database, offset_query + str(depth)), times=3, warm_up=1)
    report.line(f"{name}: first page", first, "OFFSET 0", first_by_offset)
    report.line(f"{name}: deep page", deep, f"OFFSET {depth:,}", deep_by_offset)
    print(f"| &nbsp; deep / first = {deep.median / first.median:.2f} | | | | | |", flush=True)
    if "--explain" in sys.argv:
        print(await explain(database, offset_query + "0", {}))


async def _scalar(database: Database, text: str) -> int:
    return (await _column(database, text))[0]


async def _column(database: Database, text: str) -> list[int]:
    async with database.reading(120) as connection:
        return [row[0] for row in await (await connection.execute(text)).fetchall()]  # pyright: ignore


async def main() -> None:
    with fresh_server() as (dsn, _):
        async with migrated(dsn) as database:
            print(place(dsn))
            generate(dsn)
            randomness = random.Random(7)
            report = Report(f"Pages of 100 rows, {CUSTOMERS:,} customers, {KEYS:,} keys")
            await _customers(database, report, randomness)
            await _keys(database, report, randomness)


if __name__ == "__main__":
    run(main)

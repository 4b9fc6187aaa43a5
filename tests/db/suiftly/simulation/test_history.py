"""Thirty days of usage and money that add up."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal

import psycopg
import pytest
from psycopg.rows import TupleRow

from db.database import Database
from db.errors import Refused
from db.suiftly.simulation import History, backfill, log_begin, populate, write_history
from db.suiftly.simulation.charted import write_rollups
from db.suiftly.usage.latency import SLOTS
from tests.databases import copied, name_of
from tests.db.suiftly.books import calculate

NOW = datetime(2026, 6, 3, 9, 30, 20, tzinfo=UTC)


async def fetch(connection: psycopg.AsyncConnection[TupleRow], statement: str) -> list[TupleRow]:
    return await (await connection.execute(statement.encode())).fetchall()


@pytest.fixture(scope="module")
def written(server_dsn: str, migrated_template: str) -> Iterator[tuple[str, History]]:
    """Name of a database with a history, which each test copies."""

    async def write(dsn: str) -> History:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            await populate(connection, 300, 42, NOW)
            return await write_history(connection, NOW, 42)

    with copied(server_dsn, migrated_template) as dsn:
        yield name_of(dsn), asyncio.run(write(dsn))


@pytest.fixture
def history(written: tuple[str, History]) -> History:
    return written[1]


@pytest.fixture
def dsn(server_dsn: str, written: tuple[str, History]) -> Iterator[str]:
    with copied(server_dsn, written[0]) as dsn:
        yield dsn


@pytest.fixture
async def connection(dsn: str):
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def fresh(server_dsn: str, migrated_template: str):
    """A connection to a database without customers."""
    with copied(server_dsn, migrated_template) as dsn:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            yield connection


async def test_the_money_adds_up(connection: psycopg.AsyncConnection[TupleRow], history: History) -> None:
    wrong = """
        SELECT c.customer_id FROM customers c
        LEFT JOIN (SELECT customer_id, sum(amount_usd_cents) AS total,
                          -coalesce(sum(amount_usd_cents)
                              FILTER (WHERE type = 'charge' AND created_at >= '2026-06-01+00'), 0)
                              AS current,
                          -coalesce(sum(amount_usd_cents) FILTER (WHERE type = 'charge' AND created_at < '2026-06-01+00'
                              AND created_at >= '2026-05-01+00'), 0) AS last
                   FROM ledger_entries GROUP BY 1) l USING (customer_id)
        WHERE (current_balance_usd_cents, current_month_charged_usd_cents, last_month_charged_usd_cents)
           <> (coalesce(total, 0), coalesce(current, 0), coalesce(last, 0))
           OR current_month_start <> '2026-06-01'
           OR current_month_charged_usd_cents > max_monthly_usd_cents
    """
    assert await fetch(connection, wrong) == []
    assert (await fetch(connection, "SELECT sum(last_month_charged_usd_cents) FROM customers"))[0][0] > 0
    below_zero = """
        SELECT customer_id FROM (SELECT customer_id, sum(amount_usd_cents)
            OVER (PARTITION BY customer_id ORDER BY created_at) AS after FROM ledger_entries) x WHERE after < 0
    """
    assert await fetch(connection, below_zero) == []
    before_joining = """
        SELECT l.id FROM ledger_entries l JOIN customers c USING (customer_id) WHERE l.created_at < c.created_at
    """
    assert await fetch(connection, before_joining) == []


async def test_bills_are_their_usage_and_fees_rounded_up(
    connection: psycopg.AsyncConnection[TupleRow], history: History
) -> None:
    bills = await fetch(
        connection,
        """
        SELECT b.id, b.type, b.status, b.amount_usd_cents, b.tx_digest, count(u.record_id),
               coalesce(sum(u.charged_amount), 0)
                   + coalesce((SELECT sum(amount_usd) FROM console.monthly_fee f WHERE f.billing_record_id = b.id), 0),
               bool_and(u.window_start >= b.billing_period_start AND u.window_end <= b.billing_period_end
                        AND u.customer_id = b.customer_id),
               date_trunc('month', b.billing_period_start, 'UTC')
                   = date_trunc('month', b.billing_period_end - interval '1 second', 'UTC'), b.created_at
        FROM billing_records b LEFT JOIN usage_records u ON u.billing_record_id = b.id GROUP BY b.id
        """,
    )
    assert len(bills) == history.bills
    seen: set[tuple[str, str]] = set()
    for _, kind, status, cents, digest, records, worth, inside, one_month, created in bills:
        seen.add((kind, status))
        assert one_month
        assert created <= NOW
        assert (digest is not None) == (status == "paid")
        if kind != "charge" or status == "voided":
            assert records == 0
            continue
        assert inside is not False
        assert records or worth > 1
        assert cents == (worth * 100).to_integral_value(ROUND_CEILING) > 0
    assert seen == {
        ("charge", "paid"), ("charge", "pending"), ("charge", "failed"), ("charge", "voided"),
        ("credit", "paid"), ("refund", "paid"),
    }  # fmt: skip
    # The fees are those of the days on which services were on.
    owed = """
        SELECT customer_id, service_type, trunc(sum(cents) / 100 / 31, 8) AS usd
        FROM (SELECT s.customer_id, s.service_type, day,
                     max(CASE s.tier WHEN 'pro' THEN 4000.0 WHEN 'starter' THEN 2000.0 END) AS cents
              FROM console.service_span s JOIN customers c USING (customer_id),
                   generate_series('2026-05-01+00'::timestamptz, '2026-05-31+00', '1 day') day
              WHERE s.since < day + interval '1 day' AND coalesce(s.until, 'infinity') > day
                AND c.escrow_contract_id IS NOT NULL AND (c.status <> 'suspended' OR c.updated_at >= '2026-06-01+00')
              GROUP BY 1, 2, 3) days
        GROUP BY 1, 2 HAVING sum(cents) > 0
    """
    billed = "SELECT customer_id, service_type, amount_usd FROM console.monthly_fee WHERE item = 'tier'"
    found = sorted(await fetch(connection, owed))
    assert found == sorted(await fetch(connection, billed))
    assert len(found) > 100
    moved = await fetch(connection, "SELECT FROM console.monthly_fee WHERE detail = 'starter 10, pro 21 of 31 days'")
    assert moved, "the demo has who moved to another tier"


async def test_calculate_bills_goes_on_where_the_history_ends(
    connection: psycopg.AsyncConnection[TupleRow], history: History, database: Database
) -> None:
    await connection.execute("UPDATE console.capture_state SET caught_up_at = %s WHERE name = 'usage'", (NOW,))
    explained: list[str] = []
    dry = await calculate(database, dry_run=True, explained=explained)
    assert dry.outcome == "succeeded"
    assert dry.counts["bills"] > 10
    assert len([line for line in "\n".join(explained).splitlines() if line.endswith("to 2026-06-03 00:00")]) > 10
    fees = await fetch(connection, "SELECT DISTINCT item, month::text FROM console.monthly_fee ORDER BY 1")
    assert fees == [("api_key", "2026-05-01"), ("tier", "2026-05-01")]
    run = await calculate(database)
    assert run.counts == dry.counts
    assert "bills" not in (await calculate(database)).counts
    # What it never bills again: usage of before, and fees of a month that the history has closed.
    assert fees == await fetch(connection, "SELECT DISTINCT item, month::text FROM console.monthly_fee ORDER BY 1")
    left = await fetch(
        connection,
        """SELECT count(*) FROM (SELECT customer_id, sum(request_count) AS n FROM usage_records
                                 WHERE billing_record_id IS NULL AND window_start < '2026-06-03+00' GROUP BY 1) open
           WHERE n >= 50000 AND customer_id NOT IN (SELECT customer_id FROM console.billing_blocked)""",
    )
    assert left == [(0,)]


async def test_usage_is_worth_its_requests(connection: psycopg.AsyncConnection[TupleRow], history: History) -> None:
    rows = await fetch(
        connection,
        """
        SELECT count(*), count(DISTINCT (customer_id, service_type, window_start)),
               count(*) FILTER (WHERE charged_amount IS DISTINCT FROM
                   CASE WHEN billing_record_id IS NOT NULL THEN request_count / 10000.0 END),
               count(*) FILTER (WHERE billing_record_id IS NULL),
               count(*) FILTER (WHERE window_end <> window_start + '1 h'),
               min(window_start), max(window_end)
        FROM usage_records
        """,
    )
    total, distinct, wrong, still_open, odd, first, last = rows[0]
    assert total == distinct == history.usage_records
    assert (wrong, odd) == (0, 0)
    assert 0 < still_open < total
    assert (first, last) == (history.begin, history.end)
    assert history.end == datetime(2026, 6, 3, 8, tzinfo=UTC)
    assert history.end - history.begin >= timedelta(days=30)
    foreign = """
        SELECT u.record_id FROM usage_records u LEFT JOIN service_instances i USING (customer_id, service_type)
        LEFT JOIN customers c USING (customer_id)
        WHERE i.instance_id IS NULL OR c.escrow_contract_id IS NULL OR u.window_start < c.created_at
           OR (c.status <> 'active' AND u.window_end > c.updated_at)
    """
    assert await fetch(connection, foreign) == []
    share = """SELECT max(n) / sum(n) FROM (SELECT sum(request_count) AS n FROM usage_records GROUP BY customer_id) x"""
    assert (await fetch(connection, share))[0][0] > Decimal("0.1"), "one customer dominates"


async def test_the_chain_mirrors_the_ledger(connection: psycopg.AsyncConnection[TupleRow], history: History) -> None:
    rows = await fetch(
        connection,
        """
        SELECT l.type, e.tx_type, l.amount_usd_cents, l.amount_sui_mist, l.sui_usd_rate_cents, e.amount, e.asset_type,
               length(l.tx_hash), l.customer_id = e.customer_id AND l.created_at = e.timestamp, b.status,
               b.tx_digest = l.tx_hash
        FROM ledger_entries l FULL JOIN escrow_transactions e ON e.tx_digest = l.tx_hash
        LEFT JOIN billing_records b ON b.id::text = l.invoice_id
        """,
    )
    assert len(rows) == history.ledger_entries
    assert {row[0] for row in rows} == {"deposit", "withdrawal", "charge", "credit"}
    for kind, chain_kind, cents, mist, rate, amount, asset, digest_length, same, status, same_digest in rows:
        assert chain_kind == {"withdrawal": "withdraw"}.get(kind, kind)
        assert same
        assert 40 <= digest_length <= 44
        if mist is None:
            assert amount * 100 == abs(cents)
            assert asset.endswith("::usdc::USDC")
        else:
            assert amount == Decimal(mist) / 10**9
            assert asset.endswith("::sui::SUI")
            assert len(asset) == 76
            assert abs(mist * rate // 10**9 - cents) <= 1
        if kind == "charge":
            assert (status, same_digest) == ("paid", True)
    assert any(row[3] is not None for row in rows)


async def test_the_raw_log_begins_where_usage_ends(
    connection: psycopg.AsyncConnection[TupleRow], history: History
) -> None:
    written = await backfill(connection, 60, 20, 1, NOW)
    ((first, last, rows, requests, hours, transactions),) = await fetch(
        connection,
        """SELECT min(timestamp), max(timestamp), count(*), sum(repeat), count(DISTINCT date_trunc('hour', timestamp)),
                  count(DISTINCT xid) FROM haproxy_raw_logs""",
    )
    assert log_begin(NOW, 60) == history.end
    assert history.end <= first < history.end + timedelta(seconds=30)
    assert NOW - timedelta(seconds=30) < last <= NOW
    assert (rows, requests, transactions) == (written.rows, written.requests, written.batches)
    assert hours == 2
    assert rows == pytest.approx(20 * 5420, rel=0.02)
    contradictions = """
        SELECT l.event_type, count(*) FROM haproxy_raw_logs l JOIN api_keys k USING (api_key_fp)
        JOIN customers c ON c.customer_id = k.customer_id
        WHERE l.customer_id <> k.customer_id
           OR (l.event_type = 31) <> (NOT k.is_active AND c.status <> 'closed')
           OR (l.event_type = 32) <> (c.status = 'closed')
           OR (l.event_type = 30) <> (k.is_active AND c.status = 'suspended')
        GROUP BY 1
    """
    assert await fetch(connection, contradictions) == []
    kinds = await fetch(connection, "SELECT DISTINCT event_type FROM haproxy_raw_logs")
    assert {0, 10, 11, 12, 20, 21, 30, 31, 60} <= {kind for (kind,) in kinds}


@pytest.mark.parametrize("day", [1, 2, 15, 31])
async def test_any_day_of_the_month(fresh: psycopg.AsyncConnection[TupleRow], day: int) -> None:
    now = datetime(2026, 7, day, 0, 20, tzinfo=UTC)
    await populate(fresh, 60, 5, now)
    written = await write_history(fresh, now, 5, log_minutes=0)
    assert written.end == datetime(2026, 7, day, tzinfo=UTC)
    assert (await fetch(fresh, "SELECT max(created_at) FROM billing_records"))[0][0] <= now
    states = await fetch(fresh, "SELECT DISTINCT status FROM billing_records")
    assert {state for (state,) in states} == {"paid", "pending", "failed", "voided"}


async def test_refused_without_the_marker(fresh: psycopg.AsyncConnection[TupleRow]) -> None:
    with pytest.raises(Refused, match="populate"):
        await write_history(fresh, NOW, 1)
    await fresh.execute("INSERT INTO customers (customer_id, wallet_address) VALUES (7, '0x' || repeat('ab', 32))")
    for attempt in (write_history(fresh, NOW, 1), backfill(fresh, 60, 10, 1, NOW)):
        with pytest.raises(Refused, match="not simulated"):
            await attempt
    assert await fetch(fresh, "SELECT count(*) FROM usage_records") == [(0,)]
    assert await fetch(fresh, "SELECT count(*) FROM haproxy_raw_logs") == [(0,)]


async def test_the_charts_of_the_time_before_the_log_add_up_to_its_usage(
    connection: psycopg.AsyncConnection[TupleRow], history: History
) -> None:
    await write_rollups(connection, history.end)
    slots = " + ".join(f"coalesce(sum({slot}), 0)" for slot in SLOTS)
    served = "coalesce(sum(requests) FILTER (WHERE traffic_type IN (1, 2) AND status_class = 2), 0)"
    [(usage, sent)] = await fetch(
        connection,
        f"SELECT sum(request_count), sum(bytes_transferred) FROM usage_records WHERE window_start < '{history.end}'",
    )
    [(requests, slotted, *customers)] = await fetch(
        connection,
        f"""SELECT sum(guaranteed + burst + invalid + server_error), {slots}, sum(guaranteed + burst), sum(bytes),
                   sum(requests), sum(client_errors + server_errors)
            FROM console.traffic_customer_hour""",
    )
    assert requests == slotted
    assert customers[:2] == [usage, sent]
    for table in ("hour", "day"):
        [fleet] = await fetch(
            connection,
            f"""SELECT {served}, sum(bytes), sum(requests), sum(requests) FILTER (WHERE status_class > 2), {slots}
                FROM console.traffic_{table}""",
        )
        assert list(fleet) == [*customers, customers[2]]
    [days] = await fetch(
        connection,
        "SELECT sum(requests), sum(client_errors + server_errors), sum(bytes) FROM console.traffic_customer_day",
    )
    assert list(days) == [customers[2], customers[3], sent]
    since = history.end - timedelta(days=2)
    sums = [
        await fetch(connection, f"SELECT {served}, sum(bytes), sum(requests) FROM console.traffic_{table} {where}")
        for table, where in (("minute", ""), ("hour", f"WHERE bucket >= '{since}'"))
    ]
    assert sums[0] == sums[1]
    assert sums[0][0][0] > 0

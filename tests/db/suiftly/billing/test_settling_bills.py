"""Bills paid, failed and retried, credits, and the ledger that comes of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest

from db.database import Database
from db.errors import Refused
from db.operations import Operation, Outcome
from db.source import (
    BillSearch,
    FailBill,
    ManualCredit,
    PayBill,
    PriceBook,
    Receipt,
    RetryBill,
    Source,
    Spending,
    load_prices,
)
from tests.db.suiftly.books import (
    ANN,
    DIGEST,
    add_account,
    add_service,
    add_usage,
    calculate,
    counted_until,
    execute,
    on,
    open_books,
    rows,
)

DIGEST_HEX = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
OTHER = "3EghLNs7zASibnPtFU3vhvjZp8tg4miusJECMyvfNaH4"


@pytest.fixture
async def source(dsn: str, database: Database) -> Source:
    """Customers 7 and 8 with a bill of $12.35 and $6.00 for June, and a deposit of $50 of customer 7."""
    open_books(dsn)
    for customer, requests in ((7, 123_456), (8, 60_000)):
        add_account(dsn, customer, limit=10_000)
        add_usage(dsn, customer, "seal", on("06-03"), requests)
    execute(
        dsn,
        """INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, tx_hash, created_at)
           VALUES (7, 'deposit', 5000, 'in', '2026-05-01+00')""",
    )
    execute(
        dsn,
        """INSERT INTO escrow_transactions (customer_id, tx_digest, tx_type, amount, timestamp)
           VALUES (7, 'in', 'deposit', 50, '2026-05-01+00')""",
    )
    execute(dsn, "UPDATE customers SET current_balance_usd_cents = 5000 WHERE customer_id = 7")
    counted_until(dsn, on("06-04", 1))
    await calculate(database)
    return Source(database, ANN)


async def the_bill(source: Source, customer: int = 7) -> UUID:
    page = await source.billing.page(BillSearch(customer_id=customer))
    return page.rows[-1].id


async def perform(source: Source, operation: Operation) -> Receipt:
    return await source.perform(operation, "as the chain shows")


def customer(dsn: str, customer_id: int = 7) -> tuple[int | None, int | None]:
    found = rows(dsn, "SELECT * FROM customers WHERE customer_id = %s", customer_id)[0]
    return found["current_balance_usd_cents"], found["current_month_charged_usd_cents"]


async def test_a_payment_is_on_the_bill_in_the_ledger_and_in_the_balance(source: Source, dsn: str) -> None:
    bill = await the_bill(source)
    operation = PayBill(bill, 7, digest=DIGEST_HEX)
    preview = await source.preview(operation)
    assert preview.changes == ("2026-06-01 to 2026-06-04: pending → paid",)
    assert any("from $50.00 to $37.65" in line for line in preview.consequences)
    receipt = await perform(source, operation.at_version(preview.version))
    assert receipt.done, receipt
    assert receipt.subjects == (f"bill:{bill}", "customer:7")
    found = await source.billing.find(bill)
    assert found is not None
    assert (found.bill.status, found.bill.tx_digest) == ("paid", DIGEST)
    assert customer(dsn) == (3765, 1235)
    ledger = (await source.ledger.page(7)).rows
    assert [(row.type, row.cents, row.balance_cents, row.invoice_id) for row in ledger] == [
        ("charge", -1235, 3765, str(bill)), ("deposit", 5000, 5000, None),
    ]  # fmt: skip
    # The mirror is the chain's: it gets its row when the chain is read.
    assert [row.breaks for row in ledger] == [("its transaction is not in the escrow mirror",), ()]
    standing = await source.ledger.standing(7)
    assert standing is not None
    assert (standing.ledger_cents, standing.balance_cents, standing.escrow_usd) == (3765, 3765, Decimal(50))
    again = await perform(source, PayBill(bill, 7, digest=OTHER))
    assert (again.outcome, customer(dsn)) == (Outcome.REFUSED, (3765, 1235))
    assert "the bill is paid" in again.message


async def test_a_bill_fails_is_retried_and_is_paid_in_the_end(source: Source, dsn: str) -> None:
    bill = await the_bill(source)
    moves = [FailBill, FailBill, RetryBill, RetryBill, FailBill]
    outcomes = [(await perform(source, move(bill, 7))).outcome.value for move in moves]
    assert outcomes == ["done", "refused", "done", "refused", "done"]
    assert (await perform(source, PayBill(bill, 7, digest=DIGEST))).done
    trail = rows(dsn, "SELECT action, outcome, reason FROM console.audit WHERE action ~ 'bill$' ORDER BY seq")
    assert [row["action"] for row in trail] == ["fail-bill"] * 2 + ["retry-bill"] * 2 + ["fail-bill", "pay-bill"]
    assert {row["reason"] for row in trail} == {"as the chain shows"}


async def test_what_cannot_be_settled_is_refused_and_changes_nothing(source: Source, dsn: str) -> None:
    bill, poor = await the_bill(source), await the_bill(source, 8)
    execute(dsn, "UPDATE customers SET current_balance_usd_cents = 599 WHERE customer_id = 8")
    refusals = {
        "43 or 44 characters": PayBill(bill, 7, digest="0xabc"),
        "has no bill": PayBill(bill, 8, digest=DIGEST),
        "balance on record is $5.99, less than the bill of $6.00": PayBill(poor, 8, digest=DIGEST),
        "more than nothing": ManualCredit(7, 0),
        "there is no customer 9": ManualCredit(9, 100),
    }
    for words, operation in refusals.items():
        receipt = await perform(source, operation)
        assert (receipt.outcome, words in receipt.message) == (Outcome.REFUSED, True), receipt
    execute(dsn, "UPDATE customers SET current_month_start = '2026-05-01' WHERE customer_id = 7")
    late = await perform(source, PayBill(bill, 7, digest=DIGEST))
    assert "monthly-reset" in late.message
    execute(dsn, "UPDATE customers SET current_month_start = NULL WHERE customer_id = 7")
    preview = await source.preview(FailBill(bill, 7))
    assert (await perform(source, FailBill(bill, 7))).done
    stale = await perform(source, PayBill(bill, 7, digest=DIGEST, version=preview.version))
    assert (stale.outcome, customer(dsn)) == (Outcome.STALE, (5000, None))
    assert len(rows(dsn, "SELECT FROM ledger_entries")) == 1


async def test_a_charge_that_the_chain_brought_is_not_written_twice(source: Source, dsn: str) -> None:
    bill = await the_bill(source)
    execute(
        dsn,
        """INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, tx_hash) VALUES (7, 'charge', -1235, %s)""",
        DIGEST_HEX,
    )
    execute(dsn, "UPDATE customers SET current_balance_usd_cents = 100")
    operation = PayBill(bill, 7, digest=DIGEST)
    assert any("already" in line for line in (await source.preview(operation)).consequences)
    assert (await perform(source, operation)).done
    assert customer(dsn) == (100, None)
    assert len(rows(dsn, "SELECT FROM ledger_entries WHERE type = 'charge'")) == 1
    # What was taken back, as the chain never charged it, is no charge.
    execute(
        dsn,
        """WITH wrong AS (INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, tx_hash)
                          VALUES (8, 'charge', -600, %s) RETURNING id),
                back AS (INSERT INTO ledger_entries (customer_id, type, amount_usd_cents)
                         VALUES (8, 'credit', 600) RETURNING id)
           INSERT INTO console.ledger_reversal SELECT wrong.id, back.id FROM wrong, back""",
        DIGEST_HEX,
    )
    [taken_back] = rows(dsn, "SELECT id FROM billing_records WHERE customer_id = 8")
    with pytest.raises(Refused, match="put the deposit on record first"):
        await source.preview(PayBill(taken_back["id"], 8, digest=DIGEST))
    # It paid that bill and no other: others of the same amount get charges of their own, until the chain brings one.
    execute(dsn, "UPDATE customers SET current_balance_usd_cents = 5000 WHERE customer_id = 7")
    for day, left in ((4, 3765), (5, 2530), (6, 2530)):
        execute(
            dsn,
            """INSERT INTO billing_records
                   (customer_id, billing_period_start, billing_period_end, amount_usd_cents, type)
               VALUES (7, %s, %s, 1235, 'charge')""",
            on(f"06-0{day}"), on(f"06-0{day + 1}"),
        )  # fmt: skip
        if day == 6:
            execute(
                dsn,
                "INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, tx_hash)"
                " VALUES (7, 'charge', -1235, %s)",
                DIGEST,
            )
        [next_] = rows(dsn, "SELECT id FROM billing_records WHERE customer_id = 7 AND status = 'pending'")
        assert (await perform(source, PayBill(next_["id"], 7, digest=DIGEST))).done
        assert customer(dsn)[0] == left


async def test_two_who_pay_at_once_pay_once(source: Source, dsn: str) -> None:
    bill = await the_bill(source)
    receipts = await asyncio.gather(*(perform(source, PayBill(bill, 7, digest=digest)) for digest in (DIGEST, OTHER)))
    assert sorted(receipt.outcome.value for receipt in receipts) == ["done", "refused"]
    assert customer(dsn) == (3765, 1235)


async def test_a_credit(source: Source, dsn: str) -> None:
    operation = ManualCredit(7, 250)
    assert operation.shell == "opsdeck billing credit 7 --amount 2.50"
    preview = await source.preview(operation)
    assert preview.changes == ("balance: $50.00 → $52.50",)
    assert (await source.perform(operation.at_version(preview.version), "the outage of Monday")).done
    assert customer(dsn) == (5250, None)
    newest = (await source.ledger.page(7)).rows[0]
    assert (newest.type, newest.cents, newest.balance_cents, newest.description, newest.breaks) == (
        "credit", 250, 5250, "the outage of Monday", (),
    )  # fmt: skip
    bill = (await source.billing.page(BillSearch(customer_id=7))).rows[0]
    assert (bill.type, bill.cents, bill.status) == ("credit", -250, "paid")
    assert str(bill.id) == newest.invoice_id
    # The bill that calculate-bills makes next is not moved by it.
    counted_until(dsn, on("07-01", 1))
    add_usage(dsn, 7, "seal", on("06-20"), 10_000)
    await calculate(source.database)
    assert len((await source.billing.page(BillSearch(customer_id=7))).rows) == 3


async def test_breaks_of_the_ledger_are_told(source: Source, dsn: str) -> None:
    bill = await the_bill(source)
    for minute, (kind, cents, invoice) in enumerate(
        (("charge", -1234, str(bill)), ("charge", -100, None), ("charge", -1, "INV-7"), ("withdrawal", -9000, None))
    ):
        execute(
            dsn,
            """INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, invoice_id, created_at)
               VALUES (7, %s, %s, %s, %s)""",
            kind, cents, invoice, on("06-05", 0, minute),
        )  # fmt: skip
    first = await source.ledger.page(7, limit=3)
    assert not first.complete
    last = first.rows[-1]
    rest = await source.ledger.page(7, after=(last.created_at, last.id))
    assert rest.complete
    assert [(row.balance_cents, row.breaks) for row in (*first.rows, *rest.rows)] == [
        (-5335, ("the balance is below zero",)),
        (3665, ("its bill is not on record",)),
        (3666, ("it names no bill",)),
        (3766, ("its bill has another amount",)),
        (5000, ()),
    ]
    escrow = await source.ledger.escrow(7)
    assert [(row.type, row.amount, row.ledger_cents) for row in escrow.rows] == [("deposit", Decimal(50), 5000)]
    # Another coin counts at the rate that the ledger has for it, and not at all without one.
    for digest, ledger, expected in ((OTHER, True, Decimal(54)), ("9" * 43, False, None)):
        execute(
            dsn,
            """INSERT INTO escrow_transactions (customer_id, tx_digest, tx_type, amount, asset_type, timestamp)
               VALUES (7, %s, 'deposit', 2.5, '0x2::sui::SUI', now())""",
            digest,
        )
        if ledger:
            execute(
                dsn,
                """INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, amount_sui_mist, sui_usd_rate_cents,
                                               tx_hash)
                   VALUES (7, 'deposit', 400, 2500000000, 160, %s)""",
                digest,
            )
        standing = await source.ledger.standing(7)
        assert standing is not None
        assert standing.escrow_usd == expected


async def test_bills_are_listed_counted_and_held_against_their_records(source: Source, dsn: str) -> None:
    seven, eight = await the_bill(source), await the_bill(source, 8)
    june = on("06-01").date()
    assert (await perform(source, FailBill(eight, 8))).done
    page = await source.billing.page(BillSearch(month=june), limit=1)
    assert not page.complete
    rest = await source.billing.page(BillSearch(month=june), after=page.rows[0])
    assert {page.rows[0].id, *(bill.id for bill in rest.rows)} == {seven, eight}
    assert [bill.id for bill in (await source.billing.page(BillSearch(month=june, status="failed"))).rows] == [eight]
    assert (await source.billing.page(BillSearch(month=on("07-01").date()))).rows == ()
    counts = await source.billing.counts(june)
    assert [(one.status, one.type, one.bills, one.cents) for one in counts] == [
        ("pending", "charge", 1, 1235), ("failed", "charge", 1, 600),
    ]  # fmt: skip
    assert await source.billing.named(str(seven)[:8]) == (seven,)
    with pytest.raises(ValueError, match="first four"):
        await source.billing.named("xyz")
    assert [(one.bills, one.differences) async for one in source.billing.check(june)] == [(2, ())]
    execute(
        dsn,
        """INSERT INTO billing_records (customer_id, billing_period_start, billing_period_end, amount_usd_cents, type)
           VALUES (7, '2026-06-04+00', '2026-06-05+00', 999, 'charge')""",
    )
    [checked] = [one async for one in source.billing.check(june)]
    assert [(one.bill.cents, one.records_usd) for one in checked.differences] == [(999, Decimal(0))]


HEAD = load_prices(preset="head-2026")


@pytest.mark.parametrize("prices", [load_prices(), HEAD], ids=lambda prices: prices.name)
async def test_spending_against_the_limit(dsn: str, database: Database, prices: PriceBook) -> None:
    source = Source(database, ANN, prices)
    now = datetime.now(UTC)
    begin = now.date().replace(day=1) if prices.limit_period_days == 0 else now.date() - timedelta(days=14)
    for number, (limit, charged, unpaid) in enumerate(
        ((1000, 799, 0), (1000, 800, 0), (None, 10**6, 0), (1000, 0, 900), (1000, 2000, 0), (1000, 5000, 0)), 1
    ):
        add_account(dsn, number, limit=limit)
        since = begin - timedelta(days=400) if number == 6 else begin
        execute(
            dsn,
            """UPDATE customers SET current_month_charged_usd_cents = %s, current_month_start = %s
               WHERE customer_id = %s""",
            charged, since, number,
        )  # fmt: skip
        if unpaid:
            execute(
                dsn,
                """INSERT INTO billing_records (customer_id, billing_period_start, billing_period_end,
                       amount_usd_cents, type, status)
                   VALUES (%s, '2026-06-01+00', '2026-06-02+00', %s, 'charge', 'failed')""",
                number, unpaid,
            )  # fmt: skip
    add_usage(dsn, 2, "seal", datetime(begin.year, begin.month, begin.day, tzinfo=UTC), 12_345)
    near = await source.spending.near()
    assert [(one.customer_id, one.percent) for one in near] == [(5, 200), (4, 90), (2, 80)]
    execute(dsn, "UPDATE customers SET status = 'closed' WHERE customer_id = 5")
    assert [one.customer_id for one in await source.spending.near()] == [4, 2]
    two = near[2]
    assert (two.charged_cents, two.unpaid_cents, two.open_cents, two.begin) == (800, 0, 123, begin)
    length = (two.end - two.begin).days
    assert length == prices.limit_period_days or two.end.day == 1
    hours = (now - datetime(begin.year, begin.month, begin.day, tzinfo=UTC)) // timedelta(hours=1)
    if hours >= 6:
        assert two.projected_cents in (923 * 24 * length // hours, 923 * 24 * length // (hours + 1))
    one = await source.spending.of(1)
    assert isinstance(one, Spending)
    assert (one.percent, one.limit_cents) == (79, 1000)
    assert await source.spending.of(99) is None
    unlimited = await source.spending.of(3)
    assert unlimited is not None
    assert unlimited.percent is None


async def test_a_fee_is_on_one_bill_for_ever(dsn: str, database: Database) -> None:
    open_books(dsn)
    add_account(dsn, 7)
    add_service(dsn, 7, "seal", "pro", on("01-01"))
    counted_until(dsn, on("07-01", 1))
    await calculate(database)
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(
            dsn,
            """INSERT INTO console.monthly_fee (customer_id, month, service_type, item, detail, amount_usd)
               VALUES (7, '2026-06-01', 'seal', 'tier', 'pro', 40)""",
        )
    with pytest.raises(psycopg.errors.RaiseException, match="stays as it is"):
        execute(dsn, "UPDATE console.monthly_fee SET billing_record_id = NULL")
    with pytest.raises(psycopg.errors.RaiseException, match="stays as it is"):
        execute(dsn, "DELETE FROM console.monthly_fee")

"""Bills, a customer's money, and what does not fit together, on screen."""

import asyncio

import pytest

from tests.console.screens import Operator, audit_rows, console, query
from tests.db.suiftly.books import (
    DIGEST,
    add_account,
    add_service,
    add_usage,
    bill_until,
    execute,
    on,
    open_books,
    rows,
)


@pytest.fixture
def june(dsn: str) -> str:
    """Customer 7 with $12.35 for June 3rd, and the rest of June with a late row of that day; a deposit, and a charge
    of no bill. Customer 8 has usage that its limit blocks; customer 9 has spent most of its own."""
    open_books(dsn)
    add_account(dsn, 7)
    add_service(dsn, 7, "seal", "pro", on("01-01"))
    add_account(dsn, 8, limit=100)
    add_account(dsn, 9, limit=1000)
    execute(dsn, "UPDATE customers SET current_month_charged_usd_cents = 850 WHERE customer_id = 9")
    for customer in (7, 8):
        add_usage(dsn, customer, "seal", on("06-03"), 123_456)
    asyncio.run(bill_until(dsn, on("06-04", 1)))
    add_usage(dsn, 7, "seal", on("06-03"), 1_111)
    add_usage(dsn, 7, "seal", on("06-20"), 20_000)
    asyncio.run(bill_until(dsn, on("07-01", 1)))
    execute(
        dsn,
        """INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, tx_hash, created_at)
           VALUES (7, 'deposit', 12445, 'in', '2026-05-01+00'), (7, 'charge', -100, NULL, '2026-05-02+00')""",
    )
    execute(
        dsn,
        """INSERT INTO escrow_transactions (customer_id, tx_digest, tx_type, amount, timestamp)
           VALUES (7, 'in', 'deposit', 124.45, '2026-05-01+00'), (7, 'out', 'withdraw', 3, '2026-05-03+00')""",
    )
    return dsn


async def confirm(deck: Operator, dialog: str, told: str) -> None:
    await deck.sees(dialog, "Why? It goes on record.")
    await deck.type("as agreed")
    await deck.press("tab", "tab", "enter")
    await deck.sees(told)


def the_bills(dsn: str) -> list[tuple[int, str]]:
    found = rows(dsn, "SELECT amount_usd_cents AS cents, status FROM billing_records ORDER BY amount_usd_cents")
    return [(row["cents"], row["status"]) for row in found]


async def test_a_bill_is_found_explained_failed_retried_and_paid(june: str) -> None:
    async with console(june) as deck:
        await deck.press("6")
        await deck.sees("pending  none", "No bill matches.", "blocked  1 customer, 12.35 USD of usage not billed")
        await deck.say("/", "2026-6")
        await deck.sees("search bills by 2026-11 | all")
        await deck.press("escape")
        await deck.say("/", "2026-06 pending")
        await deck.sees("2026-06, closed", "pending  2 charges, $54.47", "/ 2026-06 pending", "the other way round")
        assert "12.35 USD of usage cannot be billed (spending limit)" in deck.line("  8 ")
        assert "85 % of its limit spent, $8.50 of $10.00" in deck.line("  9 ")
        assert "$42.12" in deck.line("2026-06-04 00:00")
        await deck.press("less_than_sign")
        await deck.sees("2026-05, closed", "No bill matches.")
        await deck.press("greater_than_sign")
        await deck.sees("$12.35")
        await deck.press("enter")
        await deck.sees("usage", "06-20 00:00 to 06-20 01:00", "20,000", "2.00000000")
        assert deck.line("adjustment").split()[-3:] == ["1,111", "0B", "0.11110000"]
        assert "tier: pro" in deck.line("fee ")
        assert deck.line("rounding").split()[-1] == "0.00890000"
        assert "Retry" not in deck.footer
        await deck.press("ctrl+y")
        await deck.type("0xabc")
        await deck.press("enter")
        await deck.sees("digest: give the 43 or 44 characters")
        await deck.press("escape", "ctrl+f")
        await confirm(deck, "Fail the bill of customer 7 over $42.12", "is now failed")
        await deck.until(lambda: "failed" in deck.line(" status "), "its status")
        await deck.sees("fail-bill by")
        assert "Retry" in deck.footer
        assert "Fail" not in deck.footer
        await deck.press("ctrl+r")
        await confirm(deck, "Retry the bill of customer 7", "is now pending")
        await deck.press("ctrl+y")
        await deck.type(DIGEST)
        await deck.press("enter")
        await confirm(deck, "Pay the bill of customer 7", "is now paid")
        await deck.sees(f"paid by   {DIGEST}")
        assert not {"Pay", "Fail", "Retry"} & set(deck.footer.split())
    assert the_bills(june) == [(1235, "pending"), (4212, "paid")]
    actions = [row["action"] for row in audit_rows(june) if row["action"] != "run-job"]
    assert actions == ["fail-bill", "retry-bill", "pay-bill"]


async def test_the_ledger_runs_a_balance_flags_its_breaks_and_takes_a_credit(june: str) -> None:
    async with console(june, size=(80, 24)) as deck:
        await deck.sees("customer 8: 12.35 USD of usage")
        await deck.press("shift+tab", "end")
        await deck.sees("customer 9: 85 % of its limit spent, $8.50 of $10.00")
        await deck.press("enter")
        await deck.sees("ledger of customer 9", "Nothing is in the ledger.", "$8.50 of $10.00, 85 %")
        await deck.press("escape")
        await deck.say(":", "customer 7")
        await deck.sees("wallet")
        await deck.press("m")
        await deck.sees("sums to $123.45", "$123.45, the same", "▲ $121.45, $2.00 less than the ledger", "not there")
        assert deck.line("2026-05-02").split()[:2] == ["›", "▲"]
        assert deck.line("2026-05-02").split()[-3:] == ["-$1.00", "$123.45", "-"]
        assert deck.line("deposit").split()[-3:] == ["$124.45", "$124.45", "in"]
        await deck.sees("▲ it names no bill")
        assert "$0.00 charged, $54.47 on unpaid bills" in deck.prose
        await deck.press("down")
        await deck.sees_no("it names no bill")
        await deck.press("ctrl+g")
        await deck.type("1.5")
        await deck.press("enter")
        await deck.sees("give an amount in dollars above zero")
        await deck.press("ctrl+u")
        await deck.type("12.50")
        await deck.press("enter")
        await confirm(deck, "Credit $12.50 to customer 7", "was credited $12.50")
        await deck.until(lambda: "$135.95" in deck.line("as agreed"), "the credit")
        await deck.press("home", "enter")
        await deck.sees("-$12.50, a credit")
        await deck.press("escape", "b")
        await deck.sees("bills of every month", "/ all customer:7", "$42.12", "-$12.50")
    async with console(june, read_only=True) as deck:
        await deck.say(":", "ledger 7")
        await deck.sees("sums to $135.95")
        assert "Credit" not in deck.footer
        await deck.say(":", "bill")
        await deck.sees(":bill wants")
        await deck.press("escape")
        await deck.say(":", f"bill {query(june, 'SELECT id FROM billing_records WHERE amount_usd_cents = 4212')[0][0]}")
        await deck.sees("pending")
        assert "Pay" not in deck.footer


async def test_only_differences_are_reconciled_on_screen(business: str) -> None:
    async with console(business) as deck:
        await deck.say(":", "billing")
        await deck.sees("No bill matches.", "Nobody.")
        await deck.press("d")
        await deck.sees("No difference.", "bills checked: 0,", "differences: 0; 0 log rows are not counted yet")
        query(
            business,
            "INSERT INTO usage_records (customer_id, service_type, request_count, window_start, window_end)"
            " SELECT 7, 'seal', 1234, h, h + interval '1 hour' FROM date_trunc('hour', now(), 'UTC') h",
        )
        query(
            business,
            "INSERT INTO billing_records"
            " (customer_id, billing_period_start, billing_period_end, amount_usd_cents, type)"
            " SELECT 7, h, h + interval '1 day', 500, 'charge' FROM date_trunc('month', now(), 'UTC') h",
        )
        await deck.press("r")
        await deck.sees("bills checked: 1,", "differences: 2")
        assert "log 0 requests, hourly 1,234" in deck.line("log and hourly")
        assert "hourly and fees 0.00000000 USD, bill $5.00" in deck.line("hourly and bill")
        await deck.press("home", "enter")
        await deck.sees("$5.00, a charge", "What it is made of is not on record here.")

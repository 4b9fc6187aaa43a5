"""opsdeck billing, from outside: what it lists, explains, changes and refuses."""

import asyncio

import pytest

from tests.console.command import all_of, assert_utc, opsdeck
from tests.db.suiftly.books import (
    DIGEST,
    add_account,
    add_service,
    add_usage,
    bill_until,
    counted_until,
    execute,
    on,
    open_books,
    rows,
)

SURE = ("--reason", "as the chain shows", "--yes")


@pytest.fixture
def june(dsn: str) -> str:
    """Customer 7 with a bill of June and one to come, customer 8 with usage that its limit blocks."""
    open_books(dsn)
    add_account(dsn, 7)
    add_service(dsn, 7, "seal", "pro", on("01-01"))
    add_account(dsn, 8, limit=100)
    for customer in (7, 8):
        add_usage(dsn, customer, "seal", on("06-03"), 123_456)
    asyncio.run(bill_until(dsn, on("06-04", 1)))
    counted_until(dsn, on("07-01", 1))
    return dsn


def test_bills_are_explained_listed_and_settled(june: str) -> None:
    dry = opsdeck(june, "jobs", "run", "calculate-bills", "--dry-run")
    assert dry.code == 0
    assert dry.out.splitlines()[0] == "customer 7: 40.00 USD for 2026-06-04 00:00 to 2026-07-01 00:00"
    assert "40.00000000" in dry.out.splitlines()[1]
    assert "customer 8: 12.34560000 USD stay open" in dry.out
    assert "would make 1 bills of 40.00 USD up to 2026-07-01" in dry.out
    assert opsdeck(june, "jobs", "run", "calculate-bills").out.startswith("succeeded: made 1 bills of 40.00 USD")
    listed = opsdeck(june, "billing", "list", "--month", "2026-06", "--json").json
    assert_utc(listed)
    assert [(bill["customer_id"], bill["cents"], bill["status"]) for bill in listed["bills"]] == [
        (7, 4000, "pending"), (7, 1235, "pending"),
    ]  # fmt: skip
    assert listed["month"] == [{"status": "pending", "type": "charge", "bills": 2, "cents": 5235}]
    assert [(one["customer_id"], one["open_usd"]) for one in listed["blocked"]] == [(8, "12.34560000")]
    first = listed["bills"][1]["id"]
    shown = opsdeck(june, "billing", "show", first[:9])
    assert "$12.35" in shown.out
    assert "12.34560000" in shown.out
    lines = opsdeck(june, "billing", "show", first, "--json").json["lines"]
    assert [(line["kind"], line["requests"], line["usd"]) for line in lines] == [
        ("usage", 123_456, "12.34560000"), ("rounding", None, "0.00440000"),
    ]  # fmt: skip
    assert opsdeck(june, "billing", "fail", first, *SURE).out.startswith(
        "The bill of customer 7 over $12.35 is now failed"
    )
    paid = opsdeck(june, "billing", "pay", first, "--digest", DIGEST, *SURE, "--json").json
    assert (paid["outcome"], paid["after"][f"bill:{first}"]["tx_digest"]) == ("done", DIGEST)
    assert paid["message"].endswith("is now paid; not checked on chain: none is configured")
    rest = opsdeck(june, "billing", "list", "--customer", "7", "--after", listed["bills"][0]["id"], "--json").json
    assert [(bill["id"], bill["status"]) for bill in rest["bills"]] == [(first, "paid")]
    assert opsdeck(june, "billing", "credit", "7", "--amount", "12.50", *SURE).code == 0
    ledger = rows(june, "SELECT amount_usd_cents AS cents FROM ledger_entries ORDER BY created_at")
    assert [row["cents"] for row in ledger] == [-1235, 1250]
    books = opsdeck(june, "billing", "ledger", "7", "--json").json
    assert [(entry["cents"], entry["balance_cents"]) for entry in books["ledger"]] == [(1250, 15), (-1235, -1235)]
    assert books["ledger"][1]["breaks"][0] == "the balance is below zero"
    assert (books["standing"]["ledger_cents"], books["spending"]["unpaid_cents"], books["escrow"]) == (15, 4000, [])
    cut = opsdeck(june, "billing", "ledger", "7", "--limit", "1")
    assert cut.out.startswith("ledger      $0.15\n")
    behind = opsdeck(june, "billing", "ledger", "7", "--json", *cut.goes_on).json
    assert behind == {"ledger": books["ledger"][1:], "escrow": [], "complete": True}
    execute(
        june,
        """INSERT INTO escrow_transactions (customer_id, tx_digest, tx_type, amount, timestamp)
           SELECT 7, repeat(n::text, 44), 'deposit', n, now() - n * interval '1 day' FROM generate_series(2, 3) n""",
    )
    cut = opsdeck(june, "billing", "ledger", "7", "--limit", "1")
    events = opsdeck(june, "billing", "ledger", "7", "--json", *cut.goes_on).json
    assert (events["ledger"], [event["amount"] for event in events["escrow"]]) == ([], ["3.00000000"])
    assert opsdeck(june, "billing", "ledger", "99").err == "there is no customer 99\n"
    sound = opsdeck(june, "billing", "reconcile", "--month", "2026-06")
    assert (sound.code, sound.out, sound.err) == (0, "", "2 bills checked, 0 differences\n")
    execute(
        june,
        """INSERT INTO billing_records (customer_id, billing_period_start, billing_period_end, amount_usd_cents, type)
           SELECT 7, h, h + interval '1 day', 500, 'charge' FROM date_trunc('month', now(), 'UTC') h""",
    )
    found = opsdeck(june, "billing", "reconcile", "--json")
    assert (found.code, found.json["checked_bills"]) == (1, 1)
    assert [(one["bill"]["cents"], one["records_usd"]) for one in found.json["differences"]] == [(500, "0")]
    again = opsdeck(june, "billing", "pay", first, "--digest", DIGEST, *SURE)
    assert (again.code, "the bill is paid" in again.err) == (1, True)


def test_bad_input_names_the_field_and_changes_nothing(june: str) -> None:
    wrong = {
        "--month '2026-13' is not a month": ("list", "--month", "2026-13"),
        "the first four characters": ("show", "INV-1"),
        "customer 7 has no such entry or event 1": ("ledger", "7", "--before", "1"),
        "there is no bill 00000000": ("show", "00000000"),
        "--digest: give the 43 or 44 characters": ("pay", "0000", "--digest", "0xabc", *SURE),
        "--amount '1.5'": ("credit", "7", "--amount", "1.5", *SURE),
        "this profile has the price book": ("adopt-prices", "head-2026-0a1b2c3d4e5f", *SURE),
        "--reason is missing": ("fail", "0000", "--yes"),
    }
    before = rows(june, "SELECT * FROM billing_records")
    results = all_of(june, [("billing", *arguments) for arguments in wrong.values()])
    for words, result in zip(wrong, results, strict=True):
        assert words in result.complained(2)
    assert rows(june, "SELECT * FROM billing_records") == before

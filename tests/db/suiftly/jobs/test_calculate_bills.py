"""Bills: hand-computed invoices, limits, late rows, and that nothing is billed twice whatever happens."""

import psycopg
import pytest

from db.database import Database
from db.source import AdoptPrices, Source
from db.suiftly.pricing import load_prices
from tests.db.suiftly.books import (
    ANN,
    add_account,
    add_seal_keys,
    add_service,
    add_usage,
    bills,
    books,
    calculate,
    counted_until,
    execute,
    on,
    open_books,
    rows,
)

OCT, HEAD = load_prices(), load_prices(preset="head-2026")
LONG_AGO = on("01-01")


@pytest.fixture
def june(dsn: str) -> str:
    """Customer 7 of the hand-computed invoices: seal pro since January with 3 keys, grpc starter from 19 June on."""
    open_books(dsn)
    add_account(dsn, 7)
    add_service(dsn, 7, "seal", "pro", LONG_AGO, keys=3)
    add_service(dsn, 7, "grpc", "starter", on("06-19", 13), keys=1)
    add_seal_keys(dsn, 7, 2)
    add_usage(dsn, 7, "seal", on("06-03", 10), 100_000)
    add_usage(dsn, 7, "seal", on("06-04", 23), 23_456)
    add_usage(dsn, 7, "grpc", on("06-20"), 12_345, 10**9)
    return dsn


async def test_the_invoices_of_october_prices(june: str, database: Database) -> None:
    # 123,456 requests at 100 cents for 10,000 = 12.3456: over the threshold of 5 dollars.
    counted_until(june, on("06-05", 0, 20))
    run = await calculate(database)
    assert (run.outcome, run.counts) == ("succeeded", {"bills": 1, "cents": 1235})
    assert bills(june, 7) == [("06-01 00", "06-05 00", 1235, "pending")]
    # 12,345 requests are 1.2345: below it, until the month closes with the fees: 40.00 for pro, 20.00 * 12 / 30 for
    # starter, 2 API keys beyond 1 at 1.00, 1 Seal key beyond 1 at 5.00.
    counted_until(june, on("06-30", 12))
    assert (await calculate(database)).counts == {}
    counted_until(june, on("07-01", 0, 20))
    explained: list[str] = []
    dry = await calculate(database, dry_run=True, explained=explained)
    assert dry.counts == {"bills": 1, "cents": 5624}
    assert len(bills(june, 7)) == 1
    words = [" ".join(line.split()) for line in "\n".join(explained).splitlines()]
    assert words == [
        "customer 7: 56.24 USD for 2026-06-05 00:00 to 2026-07-01 00:00",
        "usage grpc 12,345 requests 1.23450000",
        "fee grpc tier: starter, 12 of 30 days, 2026-06 8.00000000",
        "fee seal api_key: 2 beyond 1, 2026-06 2.00000000",
        "fee seal tier: pro, 2026-06 40.00000000",
        "fee seal_key: 1 beyond 1, 2026-06 5.00000000",
        "rounding 0.00550000",
    ]
    run = await calculate(database)
    assert run.counts == dry.counts
    assert "closed the months before 2026-07" in (run.message or "")
    assert bills(june, 7)[1:] == [("06-05 00", "07-01 00", 5624, "pending")]
    assert str(rows(june, "SELECT sum(charged_amount) AS usd FROM usage_records")[0]["usd"]) == "13.58010000"
    before = books(june)
    assert (await calculate(database)).counts == {}
    assert books(june) == before


async def test_the_invoice_of_the_prices_of_head(june: str, database: Database) -> None:
    # No threshold: one bill a month. 12.3456 + (1.2345 + 10^9 / 2^30 * 0.06 = 1.29037935) + 39.00 for the dearest tier
    # + 1 API key beyond 2 + 1 Seal key beyond 1 at 5.00 each = 62.63597935, floored.
    counted_until(june, on("06-29"))
    assert (await calculate(database, HEAD)).counts == {}
    counted_until(june, on("07-01", 0, 20))
    assert (await calculate(database, HEAD)).counts == {"bills": 1, "cents": 6263}
    assert bills(june, 7) == [("06-01 00", "07-01 00", 6263, "pending")]
    amounts = rows(june, "SELECT charged_amount::text AS usd FROM usage_records ORDER BY window_start")
    assert [row["usd"] for row in amounts] == ["10.00000000", "2.34560000", "1.29037935"]


async def test_what_may_be_incomplete_or_has_no_price_is_not_charged(dsn: str, database: Database) -> None:
    open_books(dsn)
    add_account(dsn, 7)
    add_service(dsn, 7, "seal", "enterprise", LONG_AGO)
    add_service(dsn, 7, "grpc", "pro", None)
    add_usage(dsn, 7, "seal", on("06-03"), 200_000)
    add_usage(dsn, 7, "sealo", on("06-03"), 200_000)
    add_usage(dsn, 7, "seal", on("06-04"), 200_000, None)
    execute(dsn, "UPDATE console.capture_state SET caught_up_at = NULL")
    never = await calculate(database)
    assert (never.outcome, never.counts) == ("succeeded", {})
    assert "metering never caught up" in (never.message or "")
    counted_until(dsn, on("06-04", 0, 14))  # within the grace: 3 June may still miss rows
    assert (await calculate(database)).counts == {}
    counted_until(dsn, on("06-04", 0, 16))
    run = await calculate(database)
    assert run.counts == {"bills": 1, "cents": 2000, "unpriced": 1}
    # An enterprise tier has no price in the book, and the row of the pro tier does not say since when: from now on.
    counted_until(dsn, on("07-01", 1))
    assert (await calculate(database)).counts == {"bills": 1, "cents": 2000, "unpriced": 1}
    assert bills(dsn, 7) == [("06-01 00", "06-04 00", 2000, "pending"), ("06-04 00", "07-01 00", 2000, "pending")]
    execute(dsn, "UPDATE console.capture_state SET recount_from = now() WHERE name = 'usage'")
    assert "--rebaseline" in ((await calculate(database)).message or "")


async def test_the_spending_limit_takes_whole_hours_and_the_rest_stays_open(dsn: str, database: Database) -> None:
    open_books(dsn)
    add_account(dsn, 7, limit=2000)
    for hour in (8, 9, 10, 11):
        add_usage(dsn, 7, "seal", on("06-03", hour), 40_000)
        add_usage(dsn, 7, "grpc", on("06-03", hour), 20_000)
    counted_until(dsn, on("06-04", 1))
    # 6 dollars an hour: three fit into 20, inclusive of what is charged already.
    execute(dsn, "UPDATE customers SET current_month_charged_usd_cents = 200, current_month_start = NULL")
    explained: list[str] = []
    run = await calculate(database, explained=explained)
    assert run.counts == {"bills": 1, "cents": 1800, "blocked": 1}
    assert explained[0].splitlines()[-1] == (
        "customer 7: 6.00000000 USD stay open: its spending limit leaves no more room"
    )
    assert bills(dsn, 7) == [("06-01 00", "06-03 11", 1800, "pending")]
    blocked = rows(dsn, "SELECT reason, open_usd::text, since FROM console.billing_blocked")
    assert [(row["reason"], row["open_usd"]) for row in blocked] == [("limit", "6.00000000")]
    before = books(dsn)
    assert (await calculate(database)).counts == {"blocked": 1}
    assert books(dsn) == before
    # A counter of an earlier month does not count, but the unpaid bill will be charged to this one.
    execute(dsn, "UPDATE customers SET current_month_start = '2026-05-01', max_monthly_usd_cents = 2399")
    assert (await calculate(database)).counts == {"blocked": 1}
    execute(dsn, "UPDATE customers SET max_monthly_usd_cents = 2400")
    assert (await calculate(database)).counts == {"bills": 1, "cents": 600}
    assert bills(dsn, 7)[1:] == [("06-03 11", "06-04 00", 600, "pending")]
    assert rows(dsn, "SELECT FROM console.billing_blocked") == []


async def test_what_a_limit_left_is_told_also_when_it_is_little(dsn: str, database: Database) -> None:
    open_books(dsn)
    add_account(dsn, 7, limit=500)
    for hour in (8, 9):
        add_usage(dsn, 7, "seal", on("06-03", hour), 26_000)
    counted_until(dsn, on("06-04", 1))
    assert (await calculate(database)).counts == {"bills": 1, "cents": 260, "blocked": 1}
    before = books(dsn)
    assert (await calculate(database)).counts == {"blocked": 1}
    assert books(dsn) == before


async def test_a_fee_that_does_not_fit_waits_for_room(dsn: str, database: Database) -> None:
    open_books(dsn)
    add_account(dsn, 7, limit=4500)
    add_service(dsn, 7, "seal", "pro", LONG_AGO)
    add_usage(dsn, 7, "seal", on("06-03"), 100_000)
    counted_until(dsn, on("07-01", 1))
    assert (await calculate(database)).counts == {"bills": 1, "cents": 1000, "blocked": 1}
    assert bills(dsn, 7) == [("06-01 00", "07-01 00", 1000, "pending")]
    counted_until(dsn, on("07-09", 1))
    execute(dsn, "UPDATE customers SET max_monthly_usd_cents = 5000")
    explained: list[str] = []
    assert (await calculate(database, explained=explained)).counts == {"bills": 1, "cents": 4000}
    assert "tier: pro, 2026-06" in explained[0]
    assert bills(dsn, 7)[1:] == [("07-01 00", "07-09 00", 4000, "pending")]


async def test_late_rows_are_adjustments_and_a_closed_month_stays_as_it_is(dsn: str, database: Database) -> None:
    open_books(dsn)
    add_account(dsn, 7)
    add_usage(dsn, 7, "seal", on("06-03", 9), 60_000)
    counted_until(dsn, on("06-04", 1))
    await calculate(database)
    add_usage(dsn, 7, "seal", on("06-03", 9), 500)  # late, same month
    add_usage(dsn, 7, "seal", on("06-10"), 1_000)
    counted_until(dsn, on("07-01", 1))
    await calculate(database)
    add_usage(dsn, 7, "seal", on("06-03", 9), 70_000)  # after June was closed
    add_usage(dsn, 7, "seal", on("06-20"), 7)
    counted_until(dsn, on("07-02", 1))
    explained: list[str] = []
    await calculate(database, explained=explained)
    assert [bill[:3] for bill in bills(dsn, 7)] == [
        ("06-01 00", "06-04 00", 600),
        ("06-04 00", "07-01 00", 15),
        ("07-01 00", "07-02 00", 701),
    ]
    words = [" ".join(line.split()) for line in explained[0].splitlines()]
    assert words[1:] == [
        "carried over seal 7 requests of 2026-06-20 00:00 to 2026-06-20 01:00 0.00070000",
        "adjustment seal 70,000 requests of 2026-06-03 09:00 to 2026-06-03 10:00 7.00000000",
        "rounding 0.00930000",
    ]


async def test_who_is_suspended_is_not_charged_and_who_left_gets_a_last_bill(dsn: str, database: Database) -> None:
    open_books(dsn)
    for customer, status in ((7, "suspended"), (8, "closed"), (9, "active")):
        add_account(dsn, customer, status=status)
        off = on("06-10", 12) if status == "closed" else None
        add_service(dsn, customer, "seal", "starter", LONG_AGO, off=off)
        add_usage(dsn, customer, "seal", on("06-03"), 60_000 if customer == 7 else 100)
    counted_until(dsn, on("06-04", 1))
    run = await calculate(database)
    assert run.counts == {"bills": 1, "cents": 1, "blocked": 1}
    assert bills(dsn, 8) == [("06-01 00", "06-04 00", 1, "pending")]
    counted_until(dsn, on("07-01", 1))
    await calculate(database)
    assert bills(dsn, 7) == []
    assert bills(dsn, 8)[1:] == [("06-04 00", "07-01 00", 667, "pending")]  # 10 of 30 days of 20.00
    assert bills(dsn, 9) == [("06-01 00", "07-01 00", 2001, "pending")]
    execute(dsn, "UPDATE customers SET status = 'active' WHERE customer_id = 7")
    counted_until(dsn, on("07-02", 1))
    assert (await calculate(database)).counts == {"bills": 1, "cents": 600}
    assert bills(dsn, 7) == [("07-01 00", "07-02 00", 600, "pending")]


async def test_a_backlog_becomes_a_bill_for_each_month(dsn: str, database: Database) -> None:
    open_books(dsn, "2026-08-01")
    add_account(dsn, 7)
    add_service(dsn, 7, "seal", "starter", LONG_AGO)
    for day in ("05-31", "06-01", "06-30", "07-31"):
        add_usage(dsn, 7, "seal", on(day, 23), 10_000)
    counted_until(dsn, on("09-01", 1))
    assert (await calculate(database)).counts == {"bills": 4, "cents": 100 + 200 + 100 + 2000}
    assert [bill[:2] for bill in bills(dsn, 7)] == [
        ("05-01 00", "06-01 00"), ("06-01 00", "07-01 00"), ("07-01 00", "08-01 00"), ("08-01 00", "09-01 00"),
    ]  # fmt: skip


MOVES = {
    ("pending", "paid"), ("pending", "failed"), ("failed", "pending"), ("failed", "paid"),
}  # fmt: skip


async def test_a_database_is_billed_by_one_price_book(june: str, database: Database) -> None:
    counted_until(june, on("06-05", 1))
    dry = await calculate(database, HEAD, dry_run=True)
    assert dry.outcome == "succeeded"
    assert (await calculate(database)).counts == {"bills": 1, "cents": 1235}
    counted_until(june, on("07-01", 1))
    before = books(june)
    other = OCT.model_copy(update={"rounding": "floor"})
    for book in (HEAD, other):
        run = await calculate(database, book)
        assert run.outcome == "failed"
        assert f"billed by the price book {OCT.label}, and this profile has {book.label}" in (run.message or "")
    assert books(june) == before
    source = Source(database, ANN, other)
    assert not (await source.perform(AdoptPrices(OCT.label), "no change")).done
    operation = AdoptPrices(other.label)
    assert operation.shell == f"opsdeck billing adopt-prices {other.label}", "what is approved is this book alone"
    preview = await source.preview(operation)
    assert preview.changes == (f"price book: {OCT.label} → {other.label}",)
    assert (await source.perform(operation.at_version(preview.version), "rounding as agreed")).done
    assert (await calculate(database)).outcome == "failed"
    assert (await calculate(database, other)).counts == {"bills": 1, "cents": 5623}


async def test_what_was_issued_stays(dsn: str, database: Database) -> None:
    open_books(dsn)
    for customer, begin in enumerate(("pending", "failed", "paid", "voided"), 1):
        add_account(dsn, customer)
        for end in range(1, 5):
            execute(
                dsn,
                """INSERT INTO billing_records (customer_id, billing_period_start, billing_period_end, amount_usd_cents,
                       type, status, tx_digest) VALUES (%s, '2026-06-01+00', %s, 5, 'charge', %s, %s)""",
                customer, on(f"06-0{end + 1}"), begin, "digest" if begin == "paid" else None,
            )  # fmt: skip
    moved: set[tuple[str, str]] = set()
    for row in rows(dsn, "SELECT id, customer_id, status, billing_period_end AS e FROM billing_records"):
        target = ("pending", "failed", "paid", "voided")[row["e"].day - 2]
        try:
            execute(dsn, "UPDATE billing_records SET status = %s, tx_digest = 'd' WHERE id = %s", target, row["id"])
        except psycopg.errors.RaiseException:
            continue
        moved.add((row["status"], target))
    assert moved == MOVES
    with pytest.raises(psycopg.errors.CheckViolation):
        execute(dsn, "UPDATE billing_records SET status = 'paid', tx_digest = NULL WHERE status = 'failed'")
    for change in ("amount_usd_cents = 6", "billing_period_end = '2026-06-29+00'", "tx_digest = 'other'"):
        with pytest.raises(psycopg.errors.RaiseException):
            execute(dsn, f"UPDATE billing_records SET {change} WHERE status = 'paid'")
    with pytest.raises(psycopg.errors.RaiseException):
        execute(dsn, "DELETE FROM billing_records")
    execute(dsn, "UPDATE console.billing SET closed_before = '2026-07-01'")
    with pytest.raises(psycopg.errors.RaiseException, match="closed"):
        execute(
            dsn,
            """INSERT INTO billing_records
                   (customer_id, billing_period_start, billing_period_end, amount_usd_cents, type)
               VALUES (1, '2026-06-30 23:00+00', '2026-07-01+00', 5, 'charge')""",
        )


_KILLER = """
    CREATE SEQUENCE told;
    CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('told') = current_setting('test.last_words')::bigint THEN
            PERFORM pg_terminate_backend(pg_backend_pid());
        END IF;
        RETURN NULL;
    END $$;
"""


async def test_killed_at_any_statement_the_next_run_completes_it(june: str, database: Database) -> None:
    """Every writing statement of the job, before and after it, in one database: its end must be the undisturbed one."""
    add_account(june, 8, limit=100)
    add_service(june, 8, "seal", "starter", LONG_AGO)
    add_usage(june, 8, "seal", on("06-03"), 60_000)
    counted_until(june, on("07-01", 0, 20))
    with psycopg.connect(june, autocommit=True) as connection:
        connection.execute(_KILLER)
        for table in ("billing_records", "usage_records", "console.monthly_fee", "console.billing",
                      "console.billing_blocked"):  # fmt: skip
            for when in ("BEFORE", "AFTER"):
                connection.execute(
                    f"""CREATE TRIGGER die_{when} {when} INSERT OR UPDATE OR DELETE ON {table}
                        FOR EACH STATEMENT EXECUTE FUNCTION die()"""  # type: ignore[arg-type]
                )
        name = connection.info.dbname
        deaths = 0
        while True:
            connection.execute(
                f"ALTER DATABASE {name} SET test.last_words = {deaths + 1}"  # type: ignore[arg-type]
            )
            connection.execute("ALTER SEQUENCE told RESTART")
            await database.close()
            database = Database(june)
            await database.open()
            run = await calculate(database)
            if run.outcome == "succeeded":
                break
            deaths += 1
            assert bills(june, 7) in ([], [("06-01 00", "07-01 00", 6859, "pending")])
    await database.close()
    assert deaths > 10
    assert bills(june, 7) == [("06-01 00", "07-01 00", 6859, "pending")]
    assert bills(june, 8) == []
    assert [row["open_usd"] for row in rows(june, "SELECT open_usd::int FROM console.billing_blocked")] == [26]
    assert rows(june, "SELECT closed_before::text AS d FROM console.billing") == [{"d": "2026-07-01"}]

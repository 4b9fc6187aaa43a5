"""The history of services: the database keeps it whoever changes them, and their fees come from it to the cent."""

from datetime import UTC, datetime

import psycopg

from db.database import Database
from tests.db.suiftly.books import (
    add_account,
    add_service,
    bills,
    calculate,
    change_service,
    counted_until,
    execute,
    on,
    open_books,
    rows,
)

OFF = "UPDATE service_instances SET is_enabled = false WHERE service_type = 'seal'"
ON = "UPDATE service_instances SET is_enabled = true WHERE service_type = 'seal'"
TIER = "UPDATE service_instances SET tier = %s WHERE service_type = 'seal'"


async def test_a_fee_is_of_the_days_on_which_a_service_was_on_whoever_switched_it(dsn: str, database: Database) -> None:
    open_books(dsn)
    add_account(dsn, 7)
    add_service(dsn, 7, "seal", "pro", on("01-01"))
    change_service(dsn, on("06-03", 12), OFF)
    change_service(dsn, on("06-03", 18), ON)
    change_service(dsn, on("06-10"), OFF)
    change_service(dsn, on("06-15", 9), ON)
    change_service(dsn, on("06-21", 9), TIER, "starter")
    change_service(dsn, on("06-29", 8), OFF)
    change_service(dsn, on("07-02", 10), ON)  # June is not closed yet
    change_service(dsn, on("07-02", 11), "UPDATE service_instances SET config = '{}', enabled_at = '2026-07-20+00'")
    counted_until(dsn, on("07-03", 1))
    # Of 30 days pro on 1 to 9 and 15 to 21, starter on 22 to 29: (16 * 40.00 + 8 * 20.00) / 30.
    assert (await calculate(database)).counts == {"bills": 1, "cents": 2667}
    change_service(dsn, on("07-10"), "UPDATE service_instances SET is_enabled = false, tier = 'enterprise'")
    change_service(dsn, on("07-12"), TIER, "pro")
    change_service(dsn, on("07-13"), ON)
    change_service(dsn, on("07-25", 9), "DELETE FROM service_instances")
    change_service(
        dsn, on("07-28"), "INSERT INTO service_instances (customer_id, service_type, tier) VALUES (7, 'seal', 'pro')"
    )
    counted_until(dsn, on("08-01", 1))
    # Of 31 days starter on 2 to 9, pro on 13 to 25 and 28 to 31: (8 * 20.00 + 17 * 40.00) / 31.
    assert (await calculate(database)).counts == {"bills": 1, "cents": 2710}
    assert (await calculate(database)).counts == {}
    assert bills(dsn, 7) == [("06-01 00", "07-01 00", 2667, "pending"), ("07-01 00", "08-01 00", 2710, "pending")]
    assert rows(dsn, "SELECT detail, amount_usd::text AS usd FROM console.monthly_fee ORDER BY month") == [
        {"detail": "pro 16, starter 8 of 30 days", "usd": "26.66666666"},
        {"detail": "starter 8, pro 17 of 31 days", "usd": "27.09677419"},
    ]


def test_the_history_of_a_service_is_kept_by_the_database(dsn: str) -> None:
    spans = "SELECT tier, since, until FROM console.service_span ORDER BY since"
    for customer in (7, 8):
        add_account(dsn, customer)
    add_service(dsn, 7, "seal", "pro", on("01-01"))
    with psycopg.connect(dsn) as connection:
        for query in (OFF, ON, OFF, ON):  # of one moment
            connection.execute(query)  # type: ignore[arg-type]
        connection.execute("UPDATE service_instances SET tier = 'starter'")
    assert [(row["tier"], row["until"] is None) for row in rows(dsn, spans)] == [("pro", False), ("starter", True)]
    assert rows(
        dsn, "SELECT count(DISTINCT edge) AS n FROM console.service_span, LATERAL (VALUES (since), (until)) e(edge)"
    ) == [{"n": 2}]
    # Who began first changes it last, having waited: the history goes on where it was.
    with psycopg.connect(dsn) as late:
        late.execute("SELECT now()")
        execute(dsn, OFF)
        late.execute(ON)  # type: ignore[arg-type]
    _, second, third = rows(dsn, spans)
    assert (second["until"], third["until"]) == (third["since"], None)
    # A row that comes from elsewhere is believed, but not what it says of the future.
    add_service(dsn, 8, "seal", "pro", on("06-01"), off=on("06-05"))
    add_service(dsn, 8, "grpc", "pro", on("06-01").replace(year=9000))
    execute(dsn, "DELETE FROM console.service_span WHERE customer_id = 7")
    told, clamped = rows(dsn, spans)
    assert (told["since"], told["until"]) == (on("06-01"), on("06-05"))
    assert (clamped["since"] < datetime.now(UTC), clamped["until"]) == (True, None)

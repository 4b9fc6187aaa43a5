import asyncio

import psycopg
import pytest

from db.database import Database, Limits
from db.errors import Refused, SchemaMismatch
from db.migrate import ADVISORY_CLASS, known_migrations, migrate, schema_state

TABLES = {
    "customers", "service_instances", "api_keys", "seal_keys", "usage_records", "billing_records", "ledger_entries",
    "escrow_transactions", "haproxy_raw_logs", "auth_nonces", "refresh_tokens", "processing_state", "system_control",
    "service_status", "customer_encryption_keys",
}  # fmt: skip


async def test_an_empty_database_gets_all_fifteen_tables(empty_dsn: str) -> None:
    database = Database(empty_dsn)
    await database.open()
    before = await schema_state(database)
    assert before.applied == ()
    applied = await migrate(database)
    assert len(applied) == len(known_migrations())
    assert (await schema_state(database)).current
    assert await migrate(database) == ()
    async with database.reading() as connection:
        rows = await (
            await connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                " AND relkind IN ('r', 'p') AND NOT relispartition"
            )
        ).fetchall()
    await database.close()
    assert {row[0] for row in rows} == TABLES


async def test_two_starts_at_once_migrate_once(empty_dsn: str) -> None:
    databases = [Database(empty_dsn), Database(empty_dsn)]
    for database in databases:
        await database.open()
    results = await asyncio.gather(*(migrate(database) for database in databases))
    for database in databases:
        await database.close()
    assert sorted(name for names in results for name in names) == [m.name for m in known_migrations()]


async def test_a_start_beside_a_long_migration_waits_for_its_end(empty_dsn: str) -> None:
    database = Database(empty_dsn, limits=Limits(lock_s=0.1, statement_s=0.1))
    await database.open()
    with psycopg.connect(empty_dsn, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s, 1)", (ADVISORY_CLASS,))
        waiting = asyncio.create_task(migrate(database))
        await asyncio.wait([waiting], timeout=0.5)
        assert not waiting.done()
    assert len(await waiting) == len(known_migrations())
    await database.close()


async def test_tables_of_another_program_are_not_touched(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE customers (customer_id int)")
    database = Database(empty_dsn)
    await database.open()
    with pytest.raises(Refused, match=r"public\.customers exists and was not made by opsdeck"):
        await migrate(database)
    await database.close()
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT to_regnamespace('console')").fetchone() == (None,)


async def test_an_edited_file_is_noticed_and_nothing_runs(database: Database) -> None:
    async with database.writing() as connection:
        await connection.execute("UPDATE console.migration SET checksum = 'x' WHERE number = 1")
    state = await schema_state(database)
    assert not state.current
    assert "0001_suiftly_tables was edited" in state.sentence
    with pytest.raises(SchemaMismatch):
        await migrate(database)


async def test_the_history_of_services_begins_with_what_their_rows_tell(dsn: str, database: Database) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("DROP FUNCTION console.keep_service_span() CASCADE")
        connection.execute("DROP TABLE console.service_span")
        connection.execute("DELETE FROM console.migration WHERE name LIKE '%service_spans'")
        connection.execute(
            """INSERT INTO customers (customer_id, wallet_address, status)
               SELECT n, '0x' || lpad(n::text, 64, '0'), CASE n WHEN 8 THEN 'suspended' ELSE 'active' END
               FROM generate_series(1, 8) n"""
        )
        connection.execute(
            """INSERT INTO service_instances (customer_id, service_type, tier, is_enabled, enabled_at, disabled_at,
                                              config)
               SELECT n, 'seal', 'pro', is_enabled, enabled_at::timestamptz, disabled_at::timestamptz, config::jsonb
               FROM (VALUES (1, true, '2026-01-01+00', NULL, NULL),
                            (2, true, NULL, NULL, NULL),
                            (3, false, '2026-01-01+00', '2026-06-05 12:00+00', NULL),
                            (4, false, '2026-06-05+00', '2026-01-01+00', NULL),
                            (5, false, '2026-06-05+00', NULL, NULL),
                            (6, false, NULL, '2026-06-05+00', NULL),
                            (7, false, '2026-01-01+00', '2026-06-05+00', '{"suspended_for": "billing", "a": 1}'),
                            (8, false, '2026-01-01+00', '2026-06-05+00', '{"suspended_for": "billing"}')
                    ) told (n, is_enabled, enabled_at, disabled_at, config)"""
        )
    assert len(await migrate(database)) == 1
    with psycopg.connect(dsn) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        told = connection.execute(
            """SELECT customer_id, CASE WHEN since < '2026-07-01+00' THEN to_char(since, 'MM-DD') ELSE 'now' END,
                      to_char(until, 'MM-DD HH24') FROM console.service_span ORDER BY customer_id, since"""
        ).fetchall()
        back = connection.execute(
            "SELECT customer_id, is_enabled, config FROM service_instances WHERE customer_id > 6 ORDER BY 1"
        ).fetchall()
    assert told == [
        (1, "01-01", None),
        (2, "now", None),
        (3, "01-01", "06-05 12"),
        (7, "01-01", "06-05 00"),
        (7, "now", None),
        (8, "01-01", "06-05 00"),
    ]
    assert back == [(7, True, {"a": 1}), (8, False, {"suspended_for": "limit"})]


async def test_generated_columns_follow_the_metadata(database: Database) -> None:
    async with database.writing() as connection:
        await connection.execute(
            "INSERT INTO customers (customer_id, wallet_address) VALUES (4294967295, '0x' || repeat('ab', 32))"
        )
        row = await (
            await connection.execute(
                """INSERT INTO api_keys (api_key_id, api_key_fp, api_key_hash, customer_id, service_type, metadata)
                   VALUES ('x', 4294967247, repeat('0', 64), 4294967295, 'seal',
                           '{"key_version": 0, "seal_network": 1, "seal_access": 1, "seal_source": 0, "proc_group": 2}')
                   RETURNING key_version, seal_network, seal_access, seal_source, proc_group"""
            )
        ).fetchone()
    assert row == (0, 1, 1, 0, 2)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO customers (customer_id, wallet_address) VALUES (0, '0x' || repeat('ab', 32))",
        "INSERT INTO customers (customer_id, wallet_address) VALUES (4294967296, '0x' || repeat('ab', 32))",
        "INSERT INTO customers (customer_id, wallet_address) VALUES (1, '0x' || repeat('AB', 32))",
        "INSERT INTO customers (customer_id, wallet_address, max_monthly_usd_cents)"
        " VALUES (1, '0x' || repeat('ab', 32), 0)",
        "INSERT INTO system_control (id) VALUES (2)",
        "INSERT INTO auth_nonces (address, nonce) VALUES (NULL, 'n')",
    ],
)
def test_the_checks_refuse_what_must_not_be(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.errors.IntegrityError):
        connection.execute(statement)  # pyright: ignore


async def test_a_row_outside_every_hour_lands_in_the_default_partition(database: Database) -> None:
    async with database.writing() as connection:
        hypertable = await (await connection.execute("SELECT console.log_is_hypertable()")).fetchone()
        if hypertable == (True,):
            pytest.skip("a hypertable makes a chunk instead")
        await connection.execute(
            """INSERT INTO haproxy_raw_logs (timestamp, network, server_id, service_type, api_key_fp, fe_type,
                                             traffic_type, event_type, client_ip, status_code, time_total)
               VALUES ('2020-01-01 00:30+00', 1, 1, 1, 0, 1, 1, 0, '192.0.2.1', 200, 5)"""
        )
        count = await (await connection.execute("SELECT count(*) FROM haproxy_raw_logs_default")).fetchone()
    assert count == (1,)

"""Invented customers: the same for a seed, coherent, and never beside real ones."""

from datetime import UTC, datetime, timedelta
from random import Random
from time import monotonic

import psycopg
import pytest
from psycopg.rows import TupleRow

from db.errors import Refused
from db.suiftly.keys import format as key_format
from db.suiftly.keys.metadata import KeyMetadata
from db.suiftly.simulation import demo_secret, populate
from db.suiftly.simulation.invented_customers import invent_customers, invent_keys
from tests.key_reader import read_key

NOW = datetime(2026, 6, 15, 9, 30, tzinfo=UTC)


async def fetch(connection: psycopg.AsyncConnection[TupleRow], statement: str) -> list[TupleRow]:
    return await (await connection.execute(statement.encode())).fetchall()


async def number(connection: psycopg.AsyncConnection[TupleRow], statement: str) -> int:
    return int((await fetch(connection, statement))[0][0])


@pytest.fixture
async def connection(dsn: str):
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        yield connection


def test_a_seed_gives_the_same_ids_wallets_and_keys() -> None:
    def invent(seed: int) -> list[object]:
        random = Random(seed)
        customers = invent_customers(random, 50, seed, NOW)
        return [customers, [invent_keys(random, demo_secret(seed), customer, NOW) for customer in customers]]

    assert invent(4) == invent(4)
    assert invent(4) != invent(5)
    assert demo_secret(4) != demo_secret(5)
    assert len(demo_secret(4)) == 32


def test_ids_use_all_32_bits() -> None:
    ids = [one.customer_id for one in invent_customers(Random(1), 300, 1, NOW)]
    assert len(set(ids)) == 300
    assert 1 <= min(ids) < max(ids) <= 4_294_967_295
    assert sum(customer_id > 2**31 for customer_id in ids) > 50


async def test_populate(connection: psycopg.AsyncConnection[TupleRow]) -> None:
    began = monotonic()
    made = await populate(connection, 2_000, 42, NOW)
    assert monotonic() - began < 10
    assert made.customers == await number(connection, "SELECT count(*) FROM customers") == 2_000
    assert made.services == await number(connection, "SELECT count(*) FROM service_instances")
    assert made.api_keys == await number(connection, "SELECT count(*) FROM api_keys")
    assert await fetch(connection, "SELECT seed, customers FROM console.simulation") == [(42, 2_000)]
    statuses = dict(await fetch(connection, "SELECT status, count(*) FROM customers GROUP BY 1"))
    assert statuses["active"] > 1_800
    assert statuses["suspended"] > 20
    assert statuses["closed"] > 10
    for table in ("seal_keys", "refresh_tokens", "auth_nonces", "customer_encryption_keys", "service_status"):
        assert await number(connection, f"SELECT count(*) FROM {table}") > 5
    assert await number(connection, "SELECT count(*) FROM refresh_tokens WHERE expires_at < '2026-06-15 09:30+00'") > 0
    assert await number(connection, "SELECT count(*) FROM refresh_tokens WHERE expires_at > '2026-06-15 09:30+00'") > 0
    control = (await fetch(connection, "SELECT ma_vault_version, last_monthly_reset FROM system_control"))[0]
    assert control[0] is None, "the first vault is still to be published"
    assert control[1].isoformat() == "2026-06-01"


async def test_keys_are_real_and_sealed(connection: psycopg.AsyncConnection[TupleRow]) -> None:
    made = await populate(connection, 200, 3, NOW)
    secret = demo_secret(3)
    rows = await fetch(
        connection,
        """SELECT api_key_id, api_key_fp, api_key_hash, k.customer_id, service_type, metadata, k.created_at, revoked_at,
                  revoked_by, revocation_reason, c.status, c.created_at
           FROM api_keys k JOIN customers c USING (customer_id)""",
    )
    assert len(rows) == made.api_keys
    for sealed, fp, digest, customer_id, service, metadata, created, revoked, by, reason, status, joined in rows:
        key = read_key(secret, sealed)
        decoded = key_format.decode(secret, key)
        assert (decoded.customer_id, decoded.service, decoded.fingerprint) == (customer_id, service, fp)
        assert decoded.metadata == KeyMetadata.from_json(metadata)
        assert key_format.sha256_hex(key) == digest
        assert joined <= created <= NOW
        assert (revoked is None) == (by is None) == (reason is None)
        assert revoked is None or created <= revoked <= NOW - timedelta(hours=12)
        assert status != "closed" or revoked is not None
    per_customer = await fetch(connection, "SELECT count(*) FROM api_keys GROUP BY customer_id")
    assert {1, 2, 3} <= {count for (count,) in per_customer} <= set(range(1, 9))
    assert any(row[7] is not None and row[10] == "active" for row in rows)
    by_hash = {row[2]: row for row in rows}
    assert len(made.examples) == 5
    for example in made.examples:
        row = by_hash[key_format.sha256_hex(example.key)]
        assert row[3] == example.customer_id
        assert row[7] is None


async def test_no_customers_beside_others(connection: psycopg.AsyncConnection[TupleRow]) -> None:
    await connection.execute("INSERT INTO customers (customer_id, wallet_address) VALUES (7, '0x' || repeat('ab', 32))")
    with pytest.raises(Refused):
        await populate(connection, 10, 1, NOW)
    assert await number(connection, "SELECT count(*) FROM customers") == 1
    assert await number(connection, "SELECT count(*) FROM console.simulation") == 0


async def test_a_handful_of_customers(connection: psycopg.AsyncConnection[TupleRow]) -> None:
    made = await populate(connection, 1, 9, NOW)
    assert made.customers == 1
    assert len(made.examples) == 1

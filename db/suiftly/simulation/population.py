"""Invents the customers of a demo: wallets, services, keys, sessions. Money and usage are in `history`."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from db.errors import Refused
from db.suiftly.keys import at_rest
from db.suiftly.keys import format as key_format
from db.suiftly.keys.format import Service
from db.suiftly.pricing import load_prices
from db.suiftly.simulation.copying import copy_rows
from db.suiftly.simulation.invented_customers import Invented, InventedKey, invent_customers, invent_keys
from db.suiftly.simulation.sessions import write_sessions


@dataclass(frozen=True, slots=True)
class ExampleKey:
    """A full key as its owner holds it: to paste into a search, or to call with. Stands nowhere in the database."""

    customer_id: int
    key: str


@dataclass(frozen=True, slots=True)
class Population:
    """What `populate` made. `examples` are working keys of the busiest customers, busiest first."""

    customers: int
    services: int
    api_keys: int
    examples: tuple[ExampleKey, ...]


def demo_secret(seed: int) -> bytes:
    """The 32-byte API secret of a demo: derived from its seed, so it protects nothing and is never used elsewhere."""
    return hashlib.sha256(f"opsdeck demo secret {seed}".encode()).digest()


async def populate(connection: AsyncConnection[TupleRow], customers: int, seed: int, now: datetime) -> Population:
    """Fills an empty, migrated database in one transaction, marker included. Raises Refused when it has customers.

    The same seed and `now` give the same ids, wallets and keys; only their encryption at rest differs. `seed` must fit
    a bigint. 2,000 customers take about a second.
    """
    random = Random(seed)
    async with connection.transaction():
        cursor = await connection.execute("SELECT EXISTS (SELECT FROM public.customers)")
        row = await cursor.fetchone()
        if row is not None and row[0]:
            raise Refused("this database already has customers, so none are invented in it")
        invented = invent_customers(random, customers, seed, now.astimezone(UTC))
        await connection.execute(
            "INSERT INTO console.simulation (seed, customers, created_at) VALUES (%s, %s, %s)", (seed, customers, now)
        )
        await _write_customers(connection, random, invented)
        services = await _write_services(connection, random, invented)
        keys = [key for customer in invented for key in invent_keys(random, demo_secret(seed), customer, now)]
        written = await _write_keys(connection, demo_secret(seed), keys)
        await write_sessions(connection, random, invented, now)
    examples = [ExampleKey(key.customer.customer_id, key.key) for key in keys if key.revoked is None][:200]
    return Population(len(invented), services, written, _one_each(examples)[:5])


def _one_each(examples: list[ExampleKey]) -> tuple[ExampleKey, ...]:
    by_customer = {example.customer_id: example for example in reversed(examples)}
    return tuple(example for example in examples if by_customer[example.customer_id] is example)


async def _write_customers(connection: AsyncConnection[TupleRow], random: Random, invented: list[Invented]) -> None:
    prices = load_prices()

    def limit(customer: Invented) -> int | None:
        if customer.rank < 10 or random.random() < 0.1:
            return None
        return random.choices(
            (prices.default_limit_cents, prices.minimum_limit_cents, 10_000, 200_000), (80, 5, 10, 5)
        )[0]

    await copy_rows(
        connection,
        """
        COPY public.customers (customer_id, wallet_address, escrow_contract_id, status, max_monthly_usd_cents,
            current_balance_usd_cents, current_month_charged_usd_cents, last_month_charged_usd_cents,
            current_month_start, created_at, updated_at) FROM STDIN
        """,
        (
            (
                one.customer_id,
                one.wallet,
                f"0x{random.randbytes(32).hex()}" if one.funded else None,
                one.status,
                limit(one),
                *(0, 0, 0, None),
                one.created_at,
                one.updated_at,
            )
            for one in invented
        ),
    )


async def _write_services(connection: AsyncConnection[TupleRow], random: Random, invented: list[Invented]) -> int:
    return await copy_rows(
        connection,
        """
        COPY public.service_instances (customer_id, service_type, tier, is_enabled, config, enabled_at, disabled_at)
        FROM STDIN
        """,
        (
            (
                one.customer_id,
                service.value,
                tier,
                one.status != "closed",
                json.dumps({"burst": tier != "starter", "ipAllowlistEnabled": random.random() < 0.05}),
                one.created_at,
                one.updated_at if one.status == "closed" else None,
            )
            for one in invented
            for service, tier in one.tiers.items()
        ),
    )


async def _write_keys(connection: AsyncConnection[TupleRow], secret: bytes, keys: list[InventedKey]) -> int:
    # Fingerprints are unique in the table; in 32 bits 6,000 random ones collide about once in 240 populations.
    unique = {key_format.fingerprint(key.key): key for key in reversed(keys)}
    return await copy_rows(
        connection,
        """
        COPY public.api_keys (api_key_id, api_key_fp, api_key_hash, customer_id, service_type, metadata, is_active,
            created_at, revoked_at, revoked_by, revocation_reason) FROM STDIN
        """,
        (
            (
                at_rest.seal(secret, key.key),
                fp,
                key_format.sha256_hex(key.key),
                key.customer.customer_id,
                next(service.value for service in Service if service.prefix == key.key[0]),
                json.dumps(key.metadata.to_json()),
                key.revoked is None,
                key.created_at,
                *(key.revoked or (None, None, None)),
            )
            for fp, key in unique.items()
        ),
    )

"""The small tables around the customers: sessions, Seal keys, encryption keys, processes, the control row."""

import json
from datetime import datetime, timedelta
from random import Random

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from db.chain.base58 import encode as base58
from db.suiftly.keys.format import Service
from db.suiftly.simulation.copying import copy_rows
from db.suiftly.simulation.invented_customers import Invented


async def write_sessions(
    connection: AsyncConnection[TupleRow], random: Random, invented: list[Invented], now: datetime
) -> None:
    """Writes them all. Some nonces (5 minutes) and refresh tokens (30 days) are already over: work for `clean-up`."""
    alive = [customer for customer in invented if customer.status != "closed"]
    await _write_logins(connection, random, alive, now)
    await _write_seal_keys(connection, random, [one for one in alive if Service.SEAL in one.tiers and one.funded])
    await _write_encryption_keys(connection, random, alive)
    await _write_processes(connection, now)


async def _write_logins(
    connection: AsyncConnection[TupleRow], random: Random, alive: list[Invented], now: datetime
) -> None:
    await copy_rows(
        connection,
        "COPY public.auth_nonces (address, nonce, created_at) FROM STDIN",
        (
            (one.wallet, random.randbytes(32).hex(), now - timedelta(seconds=random.random() * 900))
            for one in random.sample(alive, min(30, len(alive)))
        ),
    )
    tokens = [(one, now - timedelta(days=random.random() * 40)) for one in alive if random.random() < 0.15]
    await copy_rows(
        connection,
        "COPY public.refresh_tokens (customer_id, token_hash, expires_at, created_at) FROM STDIN",
        ((one.customer_id, random.randbytes(32).hex(), at + timedelta(days=30), at) for one, at in tokens),
    )


async def _write_seal_keys(connection: AsyncConnection[TupleRow], random: Random, holders: list[Invented]) -> None:
    """One in six Seal customers bought a key: a BLS12-381 public key of 96 bytes, the private one opaque."""
    await copy_rows(
        connection,
        """
        COPY public.seal_keys (customer_id, public_key, encrypted_private_key, purchase_tx_digest, is_active,
            created_at) FROM STDIN
        """,
        (
            (
                one.customer_id,
                f"0x{random.randbytes(96).hex()}",
                f"demo:{random.randbytes(48).hex()}",
                base58(random.randbytes(32)),
                random.random() < 0.95,
                one.created_at + timedelta(hours=1),
            )
            for one in holders
            if random.random() < 1 / 6
        ),
    )


async def _write_encryption_keys(connection: AsyncConnection[TupleRow], random: Random, alive: list[Invented]) -> None:
    await copy_rows(
        connection,
        """
        COPY public.customer_encryption_keys (customer_id, key_id, key_type, encrypted_key_material, metadata, status,
            created_at, updated_at) FROM STDIN
        """,
        (
            (
                one.customer_id,
                f"import-{number}",
                random.choice(("aes256", "rsa4096")),
                f"demo:{random.randbytes(40).hex()}",
                json.dumps({"imported": True}),
                "active" if number == 1 else "retired",
                one.created_at,
                one.created_at,
            )
            for one in random.sample(alive, min(12, len(alive)))
            for number in (1, 2)[: random.randint(1, 2)]
        ),
    )


async def _write_processes(connection: AsyncConnection[TupleRow], now: datetime) -> None:
    day = timedelta(days=1)
    await copy_rows(
        connection,
        """
        COPY public.service_status (service_name, started_at, completed_at, status, error_message, created_at)
        FROM STDIN
        """,
        [
            (name, now - began, None if ended is None else now - ended, status, error, now - began)
            for name, began, ended, status, error in (
                ("global-manager", 21 * day, 9 * day, "stopped", None),
                ("global-manager", 9 * day, None, "running", None),
                ("api-server", 16 * day, 6 * day, "crashed", "out of memory"),
                ("api-server", 6 * day, None, "running", None),
                ("webapp", 12 * day, 11 * day, "error", "port 443 already in use"),
                ("webapp", 11 * day, None, "running", None),
            )
        ],
    )
    await connection.execute(
        """
        UPDATE public.system_control
        SET last_monthly_reset = date_trunc('month', %(now)s AT TIME ZONE 'UTC')::date, updated_at = %(now)s
        WHERE id = 1
        """,
        {"now": now},
    )

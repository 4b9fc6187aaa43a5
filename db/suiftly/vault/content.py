"""What goes into a vault: read in one snapshot, so that no customer is seen half changed."""

import asyncio
import gc
import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString, TypeAlias

from db.database import Database
from db.moments import rfc3339
from db.suiftly.keys.format import format_fingerprint
from db.suiftly.pricing import PriceBook
from db.suiftly.vault.errors import Damaged, RevokedInside
from db.suiftly.vault.file_format import canonical

Customers: TypeAlias = dict[str, dict[str, Any]]
"""By customer id in decimal, as in the file."""

_STATEMENT_S = 300.0
_AT_ONCE = 5_000  # rows taken in before others have their turn


@dataclass(frozen=True, slots=True)
class Content:
    """The content of one vault as the database had it at `built_at`."""

    vault: str
    built_at: datetime
    customers: Customers

    @property
    def keys(self) -> int:
        """API keys in MA, encryption keys in MM."""
        return count_keys(self.customers)

    def text(self) -> bytes:
        """What is encrypted: canonical, so that equal content has equal text."""
        with _uncollected():
            return canonical({"customers": self.customers, "vault": self.vault})


@contextmanager
def _uncollected() -> Generator[None]:
    """Trees of JSON have no cycles; looking for some while they grow took 1.5 times as long as building them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def parse_content(text: bytes) -> Customers:
    """The customers of a content that was opened. Raises Damaged."""
    try:
        with _uncollected():
            customers: Customers = json.loads(text)["customers"]
    except (ValueError, KeyError, TypeError):
        raise Damaged("opens, but what is in it is no vault content; it was written by another program") from None
    return customers


def fingerprints(customers: Customers) -> Iterator[int]:
    """Every key in a content of MA; MM has none."""
    for customer in customers.values():
        for service in customer.get("services", {}).values():
            yield from service["keys"]


def count_keys(customers: Customers) -> int:
    """API keys in a content of MA, encryption keys in one of MM."""
    imported = sum(len(customer.get("keys", ())) for customer in customers.values())
    return imported + sum(1 for _ in fingerprints(customers))


_ACCESS: LiteralString = """
    SELECT c.customer_id, c.status, s.service_type, s.tier, s.is_enabled, k.fingerprints
    FROM customers c
    LEFT JOIN service_instances s USING (customer_id)
    LEFT JOIN (
        SELECT customer_id, service_type, array_agg(api_key_fp ORDER BY api_key_fp) AS fingerprints
        FROM api_keys WHERE is_active AND revoked_at IS NULL GROUP BY customer_id, service_type
    ) k USING (customer_id, service_type)
    WHERE c.status <> 'closed'
    ORDER BY c.customer_id, s.service_type
"""
_ENCRYPTION: LiteralString = """
    SELECT c.customer_id, c.status, k.key_id, k.key_type, k.encrypted_key_material, k.metadata, k.created_at
    FROM customers c JOIN customer_encryption_keys k USING (customer_id)
    WHERE c.status <> 'closed' AND k.status = 'active'
    ORDER BY c.customer_id, k.key_id
"""

_DEAD: LiteralString = """
    SELECT api_key_fp FROM api_keys
    WHERE api_key_fp = ANY(%s::bigint[]) AND (NOT is_active OR revoked_at IS NOT NULL) LIMIT 1
"""
_RETIRED: LiteralString = "SELECT customer_id, key_id FROM customer_encryption_keys WHERE status <> 'active'"


async def read_content(database: Database, vault: str, prices: PriceBook) -> Content:
    """Reads it all in one REPEATABLE READ snapshot of the primary: closed customers and dead keys are not in it."""
    query = _ACCESS if vault == "ma" else _ENCRYPTION
    customers: Customers = {}
    async with database.reading(_STATEMENT_S, one_snapshot=True) as connection:
        row = await (await connection.execute("SELECT clock_timestamp()")).fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        limits = _Limits(prices, row[0])
        cursor = await connection.execute(query)
        while rows := await cursor.fetchmany(_AT_ONCE):
            with _uncollected():
                if vault == "ma":
                    _add_access(customers, rows, limits)
                else:
                    _add_encryption(customers, rows)
            await asyncio.sleep(0)
    return Content(vault, row[0], customers)


class _Limits(dict[str, dict[str, int] | None]):
    """What the price book of a day allows each tier; None for a tier that it does not know."""

    def __init__(self, prices: PriceBook, at: datetime) -> None:
        super().__init__()
        self._prices = prices
        self._day = at.astimezone(UTC).date()

    def __missing__(self, name: str) -> dict[str, int] | None:
        tier = self._prices.tier(name, self._day)
        self[name] = tier and {
            "burst_qos": tier.burst_qos,
            "burst_rps": tier.burst_rps,
            "guaranteed_rps": tier.guaranteed_rps,
            "per_ip_rps": tier.per_ip_rps or tier.guaranteed_rps,
        }
        return self[name]


def _add_access(customers: Customers, rows: list[tuple[Any, ...]], limits: "_Limits") -> None:
    for customer_id, status, service, tier, is_enabled, keys in rows:
        customer = customers.setdefault(str(customer_id), {"services": {}, "status": status})
        if service is not None:
            customer["services"][service] = {
                "keys": keys or [],
                "limits": limits[tier],
                # The one word that a gateway has to look at.
                "status": status if status != "active" else "active" if is_enabled else "disabled",
                "tier": tier,
            }


def _add_encryption(customers: Customers, rows: list[tuple[Any, ...]]) -> None:
    for customer_id, status, key_id, key_type, material, metadata, created_at in rows:
        customer = customers.setdefault(str(customer_id), {"keys": {}, "status": status})
        customer["keys"][key_id] = {
            "created_at": rfc3339(created_at),
            "encrypted_key": material,
            "key_type": key_type,
            "metadata": metadata,
        }


async def refuse_revoked(database: Database, content: Content) -> None:
    """Looks at the tables once more, as they are now. Raises RevokedInside when a key in the content is dead."""
    async with database.reading(_STATEMENT_S) as connection:
        if content.vault == "ma":
            # As text: the driver takes three times as long over a list of 300,000 numbers.
            keys = "{" + ",".join(map(str, fingerprints(content.customers))) + "}"
            cursor = await connection.execute(_DEAD, (keys,))
            if (row := await cursor.fetchone()) is not None:
                raise RevokedInside(f"key {format_fingerprint(row[0])} would be inside, but it is revoked")
            return
        cursor = await connection.execute(_RETIRED)
        for customer_id, name in await cursor.fetchall():
            if name in content.customers.get(str(customer_id), {"keys": ()})["keys"]:
                raise RevokedInside(
                    f"encryption key {name!r} of customer {customer_id} would be inside, but is retired"
                )

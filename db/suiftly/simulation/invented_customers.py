"""Invented customers and their keys, as values: nothing here touches a database."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from db.suiftly.customer_id import MAX_CUSTOMER_ID
from db.suiftly.keys import format as key_format
from db.suiftly.keys.format import Service
from db.suiftly.keys.metadata import KeyMetadata
from db.suiftly.simulation.cast import busy_order

_REASONS: Final = (
    ("customer", "leaked in a public repository"),
    ("customer", "replaced by a new key"),
    ("customer", "employee left"),
    ("ops:maria", "abuse report, requests from a botnet"),
    ("ops:jun", "customer asked by mail"),
)


@dataclass(frozen=True, slots=True)
class Invented:
    """One invented customer. `rank` 0 is the busiest; `funded` ones have an escrow and send requests."""

    customer_id: int
    rank: int
    wallet: str
    status: str
    funded: bool
    created_at: datetime
    updated_at: datetime
    tiers: Mapping[Service, str]


def invent_customers(random: Random, count: int, seed: int, now: datetime) -> list[Invented]:
    """`count` customers, the busiest first. The first 20 are funded and active, so that a demo has something to see."""
    ids: set[int] = set()
    while len(ids) < count:
        ids.add(random.randint(1, MAX_CUSTOMER_ID))
    ranked = sorted(ids, key=lambda customer_id: busy_order(customer_id, seed))
    return [_invent(random, customer_id, rank, count, now) for rank, customer_id in enumerate(ranked)]


def _invent(random: Random, customer_id: int, rank: int, count: int, now: datetime) -> Invented:
    settled = rank < min(20, count // 3 + 1)
    dice = 1.0 if settled else random.random()
    status = "closed" if dice < 0.02 else "suspended" if dice < 0.06 else "active"
    funded = dice >= 0.09 or status != "active"
    age_days = 0.5 + random.random() * 3 if not funded else 75 + random.random() * 400
    if funded and dice < 0.14 and status == "active":
        age_days = 3 + random.random() * 25
    created = now - timedelta(days=age_days)
    # A closed customer closed before any month we bill; a suspended one fell out in the last days.
    quiet = {"closed": 62 + random.random() * 10, "suspended": 1 + random.random() * 8}.get(status)
    updated = created if quiet is None else max(created, now - timedelta(days=quiet))
    return Invented(
        customer_id=customer_id,
        rank=rank,
        wallet=f"0x{random.randbytes(32).hex()}",
        status=status,
        funded=funded,
        created_at=created,
        updated_at=updated,
        tiers=_invent_tiers(random, rank / count),
    )


def _invent_tiers(random: Random, place: float) -> dict[Service, str]:
    """Services and tiers; `place` is 0 for the busiest. Every third customer has more than one service."""
    number = random.choices((1, 2, 3), (0.2, 0.4, 0.4) if place < 0.05 else (0.66, 0.26, 0.08))[0]
    chosen = random.choices((Service.SEAL, Service.GRPC, Service.GRAPHQL), (0.55, 0.3, 0.15), k=12)
    tiers = random.choices(
        ("starter", "pro", "enterprise"),
        (0.05, 0.4, 0.55) if place < 0.02 else (0.3, 0.68, 0.02) if place < 0.15 else (0.86, 0.14, 0.0),
        k=number,
    )
    return dict(zip(list(dict.fromkeys(chosen))[:number], tiers, strict=False))


@dataclass(frozen=True, slots=True)
class InventedKey:
    """One invented API key; `revoked` is (when, by whom, why)."""

    customer: Invented
    key: str
    metadata: KeyMetadata
    created_at: datetime
    revoked: tuple[datetime, str, str] | None


def invent_keys(random: Random, secret: bytes, customer: Invented, now: datetime) -> list[InventedKey]:
    """1 to 8 keys of one customer, at least one per service; every key of a closed customer is revoked."""
    services = list(customer.tiers)
    extra = random.choices(range(6), (40, 25, 15, 10, 6, 4))[0]
    wanted = services + random.choices(services, k=min(extra, 8 - len(services)))
    return [_invent_key(random, secret, customer, service, now) for service in wanted]


def _invent_key(random: Random, secret: bytes, customer: Invented, service: Service, now: datetime) -> InventedKey:
    access = "permission" if service is Service.SEAL and random.random() < 0.5 else "open"
    metadata = KeyMetadata(
        version=0,
        network="mainnet" if random.random() < 0.8 else "testnet",
        access=access,
        source=None if access == "open" else "imported" if random.random() < 0.2 else "derived",
        proc_group=1 if random.random() < 0.9 else 2,
    )
    created = customer.created_at + random.random() ** 2 * max(
        timedelta(), _last_change(customer, now) - customer.created_at
    )
    revoked = None
    if customer.status == "closed":
        revoked = (customer.updated_at, "ops:maria", "customer closed the account")
    elif random.random() < 0.1 and now - created > timedelta(days=2):
        # At least a day ago: the raw log of a fresh demo begins later, so it shows such a key only as refused.
        age = timedelta(days=1) + random.random() * (now - created - timedelta(days=1))
        revoked = (now - age, *random.choice(_REASONS))
    return InventedKey(
        customer, _encode(random, secret, service, customer.customer_id, metadata), metadata, created, revoked
    )


def _last_change(customer: Invented, now: datetime) -> datetime:
    return now if customer.status == "active" else customer.updated_at


def _encode(random: Random, secret: bytes, service: Service, customer_id: int, metadata: KeyMetadata) -> str:
    while True:
        try:
            return key_format.encode(secret, service, customer_id, metadata, iv=random.randbytes(4))
        except key_format.KeyFormatError:  # fingerprint 0, one IV in four thousand million
            continue

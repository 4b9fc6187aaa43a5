"""Who acts in the simulated business: which customers are busy, and which key each of their requests carries."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from db.errors import Refused
from db.suiftly.keys.metadata import KeyMetadata

SERVICE_CODES: Final = {"seal": 1, "grpc": 2, "graphql": 3}
SERVICE_SHARES: Final = {"seal": 0.55, "grpc": 0.35, "graphql": 0.10}

_MULTIPLIER: Final = 1_103_515_245
_IDS: Final = 4_294_967_296
# Zipf exponent of requests by customer: with 2,000 customers the first has about 14 % and the first ten about 42 %.
_ZIPF: Final = 1.05
# More senders than this would only make the pool of prepared rows slower to build, not the log more varied.
_MOST_CUSTOMERS: Final = 4_000
# A key that was already refused when the simulation began: its clients have nearly all given up.
_FORGOTTEN: Final = 0.03


def busy_order(customer_id: int, seed: int) -> int:
    """Place of a customer among the busy, smallest first.

    Computed from the id alone, so that history, backfill and live traffic agree on who is busy without a column for it;
    `_BUSIEST` is the same sum in SQL. The product stays below 2^63.
    """
    return (customer_id * _MULTIPLIER + _offset(seed)) % _IDS


def weight(rank: int) -> float:
    """Relative number of requests of the customer at `rank` (0 is the busiest)."""
    return (rank + 1) ** -_ZIPF


def total_weight(customers: int) -> float:
    """Sum of `weight` over all ranks."""
    return math.fsum(weight(rank) for rank in range(customers))


def log_begin(now: datetime, minutes: int) -> datetime:
    """Where the raw log of a fresh demo begins and its usage history ends: a full UTC hour, `minutes` ago or more."""
    return (now.astimezone(UTC) - timedelta(minutes=minutes)).replace(minute=0, second=0, microsecond=0)


async def simulation_seed(connection: AsyncConnection[TupleRow]) -> int:
    """Seed this database was populated with. Raises Refused unless its customers were invented by us."""
    cursor = await connection.execute(_MARKER)
    row = await cursor.fetchone()
    if row is None or row[0] is None:
        if row is not None and row[1]:
            raise Refused(
                "this database holds customers that were not simulated; nothing is ever simulated beside them"
            )
        raise Refused("this database holds no simulated customers yet; populate it first (`opsdeck demo` does)")
    return int(row[0])


_MARKER: Final = "SELECT (SELECT seed FROM console.simulation), EXISTS (SELECT FROM public.customers)"


@dataclass(frozen=True, slots=True)
class Sender:
    """One API key as its owner's programs use it. `weight` is relative; `service` and `network` are log codes.

    `key_metadata` is the signed 16 bits of the log column. `steady_since` is when the key or its customer last changed:
    rows with an earlier time may not show the key's present standing.
    """

    fp: int
    customer_id: int
    service: int
    network: int
    key_metadata: int
    weight: float
    clients: tuple[str, ...]
    steady_since: datetime


@dataclass(frozen=True, slots=True)
class Cast:
    """All senders, with the running sum of their weights for quick draws; the busiest customer's keys come first."""

    customers: tuple[int, ...]
    senders: tuple[Sender, ...]
    running: tuple[float, ...]

    def pick(self, random: Random) -> Sender:
        """One sender, by weight. The cast must not be empty."""
        return random.choices(self.senders, cum_weights=self.running)[0]

    def unchanged_since(self, at: datetime) -> "Cast":
        """Only the senders whose key and customer have not changed since `at`."""
        return _cast(self.customers, [sender for sender in self.senders if sender.steady_since < at])

    def joined_by(self, later: "Cast") -> "Cast":
        """These senders and those that only `later` knows. Who was here keeps the weight it had: the programs of a key
        that was revoked meanwhile go on calling."""
        known = {sender.fp for sender in self.senders}
        return _cast(later.customers, [*self.senders, *(one for one in later.senders if one.fp not in known)])

    def keys_of(self, customer_id: int) -> tuple[Sender, ...]:
        """The senders of one customer."""
        return tuple(sender for sender in self.senders if sender.customer_id == customer_id)


async def load_cast(connection: AsyncConnection[TupleRow], seed: int) -> Cast:
    """Reads the busiest funded customers and their keys. `seed` is that of the population, not of the run."""
    cursor = await connection.execute(_BUSIEST, {"offset": _offset(seed), "most": _MOST_CUSTOMERS})
    customers = tuple(int(row[0]) for row in await cursor.fetchall())
    ranks = {customer_id: rank for rank, customer_id in enumerate(customers)}
    cursor = await connection.execute(_KEYS, {"customers": list(customers)})
    seen: dict[tuple[int, str], int] = {}
    senders: list[Sender] = []
    for fp, customer_id, service_type, metadata, steady_since, refused in await cursor.fetchall():
        nth = seen[customer_id, service_type] = seen.get((customer_id, service_type), 0) + 1
        bits = KeyMetadata.from_json(metadata).to_bits()
        share = weight(ranks[customer_id]) * SERVICE_SHARES[service_type] / nth
        senders.append(
            Sender(
                fp=fp,
                customer_id=customer_id,
                service=SERVICE_CODES[service_type],
                network=bits >> 13 & 1,
                key_metadata=bits - 0x1_0000 if bits >= 0x8000 else bits,
                weight=share * _FORGOTTEN if refused else share,
                clients=client_addresses(customer_id),
                steady_since=steady_since,
            )
        )
    senders.sort(key=lambda sender: ranks[sender.customer_id])
    return _cast(customers, senders)


# A customer without escrow has never paid: it may hold keys but no program uses them yet.
_BUSIEST: Final = """
    SELECT customer_id FROM public.customers WHERE escrow_contract_id IS NOT NULL
    ORDER BY (customer_id * 1103515245 + %(offset)s) %% 4294967296 LIMIT %(most)s
"""
_KEYS: Final = """
    SELECT k.api_key_fp, k.customer_id, k.service_type, k.metadata,
           greatest(k.created_at, k.revoked_at, c.updated_at), NOT k.is_active OR c.status <> 'active'
    FROM public.api_keys k JOIN public.customers c USING (customer_id)
    WHERE k.customer_id = ANY(%(customers)s) ORDER BY k.customer_id, k.created_at, k.api_key_fp
"""


def client_addresses(customer_id: int) -> tuple[str, ...]:
    """1 to 4 addresses a customer's programs call from, always the same ones; documentation ranges only."""
    random = Random(customer_id)
    nets: Sequence[str] = ("192.0.2.", "198.51.100.")
    return tuple(
        f"2001:db8:{random.randrange(0x10000):x}::{random.randrange(1, 0x10000):x}"
        if random.random() < 0.3
        else f"{random.choice(nets)}{random.randrange(1, 255)}"
        for _ in range(random.randint(1, 4))
    )


def _cast(customers: tuple[int, ...], senders: Sequence[Sender]) -> Cast:
    return Cast(customers, tuple(senders), tuple(accumulate(sender.weight for sender in senders)))


def _offset(seed: int) -> int:
    return seed * 12_345 % _IDS

"""The simulated gateways: each serves from its own copy of what was published, some seconds old.

So a revoked key is refused (event 31) a few seconds after the publication, not at once and not everywhere together.
"""

import math
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from enum import Enum, auto
from random import Random
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from db.suiftly.log.codes import server_label
from db.suiftly.log.row import RequestRow
from db.suiftly.simulation import traffic
from db.suiftly.simulation.access import NOT_IN_MAP, Access, Offer, Standing
from db.suiftly.simulation.cast import Cast, Sender

# region -> (hours its customers are ahead of UTC, share of the traffic): America, Europe, Asia. Four servers each.
REGIONS: Final = {1: (-5, 0.30), 2: (1, 0.45), 3: (8, 0.25)}
SERVERS_PER_REGION: Final = 4
LABELS: Final = tuple(
    server_label(region << 4 | number) for region in REGIONS for number in range(1, SERVERS_PER_REGION + 1)
)

# Seconds between the read of what is new and the moment a gateway serves from it.
LAG_SECONDS: Final = (1.0, 5.0)


class Load(Enum):
    """What a request meets at the gateway: an ordinary moment, a customer over its limits, a failing backend."""

    ORDINARY = auto()
    OVER_LIMIT = auto()
    FAILING = auto()


async def read_configuration(connection: AsyncConnection[TupleRow], customers: Sequence[int]) -> dict[int, Standing]:
    """Standing of every key of these customers by fingerprint.

    6,000 keys are read in about 15 ms, cheap enough to read all of it every two seconds and compare: nothing that
    changes a key, a service or a customer can be overlooked, by whatever path it was changed.
    """
    cursor = await connection.execute(_CONFIGURATION, {"customers": list(customers)})
    return {fp: Standing(event, tier) for fp, event, tier in await cursor.fetchall()}


# Closed before revoked: a closed customer is no longer in the map, whatever its keys are.
_CONFIGURATION: Final = """
    SELECT k.api_key_fp,
           CASE WHEN c.status = 'closed' THEN 32
                WHEN NOT k.is_active THEN 31
                WHEN c.status <> 'active' OR i.is_enabled IS NOT TRUE THEN 30
                ELSE 0 END,
           coalesce(i.tier, 'starter')
    FROM public.api_keys k JOIN public.customers c USING (customer_id)
    LEFT JOIN public.service_instances i USING (customer_id, service_type)
    WHERE k.customer_id = ANY(%(customers)s)
"""


class Gateway:
    """One simulated HAProxy. `server_id` is region << 4 | number, as logged."""

    def __init__(self, server_id: int, lag: float, random: Random, cast: Cast) -> None:
        self.server_id = server_id
        self.region = server_id >> 4
        self.lag = lag
        self.applied_seq = 0
        self.error: str | None = None
        self.stuck = False  # takes nothing more
        self._random = random
        self._cast = cast
        self._access: Access | None = None
        self._pending: deque[tuple[float, Offer]] = deque()

    def install(self, offer: Offer) -> None:
        """Takes it at once (a gateway that was just switched on)."""
        self._pending.clear()
        self._take(offer)

    def publish(self, offer: Offer, at: float) -> None:
        """Puts it before the gateway, which takes it `lag` seconds after `at` (any clock)."""
        if not self.stuck:
            self._pending.append((at + self.lag, offer))

    def apply(self, at: float) -> bool:
        """Takes what is due at `at`; True when the gateway now answers differently."""
        changed = False
        while self._pending and self._pending[0][0] <= at:
            changed |= self._take(self._pending.popleft()[1])
        return changed

    def _take(self, offer: Offer) -> bool:
        """What cannot be used is refused, and so is a version older than its own: what it has stays."""
        self.error = offer.error
        if offer.access is None or offer.seq < self.applied_seq:
            return False
        self._access, self.applied_seq = offer.access, offer.seq
        return True

    def recast(self, cast: Cast) -> None:
        """Replaces who sends requests: keys were added."""
        self._cast = cast

    def standing(self, sender: Sender) -> Standing | None:
        """What this gateway's copy says of a key; None: it has not heard of it. No vault, no service."""
        return None if self._access is None else self._access.standing(sender)

    def everyday(self) -> RequestRow:
        """A request of an ordinary moment: nearly always a customer's, else a probe or a stray."""
        dice = self._random.random()
        if dice < 0.03:
            return traffic.stray(self._random, self.server_id)
        if dice < 0.034:
            return traffic.probe(self._random, self.server_id)
        return self.answer(self._cast.pick(self._random), Load.ORDINARY)

    def answer(self, sender: Sender, load: Load) -> RequestRow:
        """The request of this key as this gateway, with the configuration it holds, answers it now."""
        random, server_id = self._random, self.server_id
        standing = self.standing(sender)
        if standing is None:
            return traffic.refused(random, server_id, sender, None, NOT_IN_MAP)
        if standing.event:
            return traffic.refused(random, server_id, sender, standing.tier, standing.event)
        serve = {Load.FAILING: self._fail, Load.OVER_LIMIT: self._strain, Load.ORDINARY: self._serve}[load]
        return serve(sender, standing.tier)

    def _serve(self, sender: Sender, tier: str) -> RequestRow:
        dice = self._random.random()
        if dice < 0.0012:
            return traffic.failed(self._random, self.server_id, sender, tier, self._random.choice((50, 51, 53, 54)))
        burst = dice < 0.03 and tier != "starter"
        return traffic.answered(
            self._random, self.server_id, sender, tier, traffic.BURST if burst else traffic.GUARANTEED
        )

    def _fail(self, sender: Sender, tier: str) -> RequestRow:
        event = self._random.choices((50, 51, 52, 53, 54, 60, 61, 62, 63), (8, 14, 10, 10, 4, 26, 6, 8, 14))[0]
        return traffic.failed(self._random, self.server_id, sender, tier, event)

    def _strain(self, sender: Sender, tier: str) -> RequestRow:
        """Over the guaranteed limit: starters have no burst and are denied; others go to the burst queue."""
        random, server_id = self._random, self.server_id
        dice = random.random()
        if tier == "starter" and dice < 0.6:
            return traffic.refused(random, server_id, sender, tier, 21)
        if tier == "starter" or dice < 0.25:
            return traffic.answered(random, server_id, sender, tier)
        if dice < 0.29:
            return traffic.failed(random, server_id, sender, tier, 63, traffic_type=traffic.BURST)
        return traffic.answered(random, server_id, sender, tier, traffic.BURST)


def build_gateways(random: Random, cast: Cast) -> tuple[Gateway, ...]:
    """The fleet: 4 gateways in each of 3 regions, each with its own lag."""
    return tuple(
        Gateway(region << 4 | number, random.uniform(*LAG_SECONDS), random, cast)
        for region in REGIONS
        for number in range(1, SERVERS_PER_REGION + 1)
    )


def daylight(hour: float) -> float:
    """Traffic of a local hour of day relative to its mean, 0.4 (3 at night) to 1.6 (15 h)."""
    return 1 + 0.6 * math.cos((hour - 15) * math.pi / 12)


def region_shares(at: datetime) -> dict[int, float]:
    """Each region's share of all traffic at this moment; the sum is 1: night there is day elsewhere."""
    hour = at.hour + at.minute / 60
    raw = {region: share * daylight(hour + ahead) for region, (ahead, share) in REGIONS.items()}
    total = sum(raw.values())
    return {region: share / total for region, share in raw.items()}

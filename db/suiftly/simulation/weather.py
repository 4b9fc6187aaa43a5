"""What disturbs the everyday: failing backends, attackers, customers that suddenly send much more."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from db.suiftly.log.row import RequestRow
from db.suiftly.simulation import traffic
from db.suiftly.simulation.cast import Cast
from db.suiftly.simulation.gateways import Gateway, Load
from db.suiftly.simulation.lines import Line, LinePool

# Mean seconds between two beginnings, and bounds of the duration in seconds.
_OUTAGE: Final = (240.0, 20.0, 60.0)
_ATTACK: Final = (100.0, 10.0, 40.0)
_SURGE: Final = (60.0, 10.0, 40.0)


@dataclass(slots=True)
class Episode:
    """One disturbance. `servers` are the gateways it is seen on, `share` the part of their rows it takes over."""

    kind: str
    until: float
    share: float
    servers: frozenset[int]
    make: Callable[[Gateway], RequestRow]
    pools: dict[int, LinePool] = field(default_factory=dict[int, LinePool])

    def take(self, random: Random, gateway: Gateway, count: int) -> list[Line]:
        """`count` lines of this disturbance on this gateway."""
        pool = self.pools.get(gateway.server_id)
        if pool is None:
            pool = self.pools[gateway.server_id] = LinePool(lambda: self.make(gateway), size=256, fresh=40)
        return pool.take(random, count)


class Weather:
    """Begins and ends episodes as time passes. Time is seconds on any clock, so that a backfill can run ahead."""

    def __init__(self, random: Random, cast: Cast, gateways: tuple[Gateway, ...], at: float) -> None:
        self._random = random
        self._gateways = gateways
        self._cast = cast
        self._at = at
        self.episodes: list[Episode] = []

    def advance(self, at: float) -> None:
        """Moves to `at`: ends what is over, and begins what chance begins."""
        passed, self._at = max(0.0, at - self._at), at
        self.episodes = [episode for episode in self.episodes if episode.until > at]
        random = self._random
        for (gap, shortest, longest), begin in (
            (_OUTAGE, self._outage),
            (_ATTACK, self._attack),
            (_SURGE, self._surge),
        ):
            if random.random() < passed / gap:
                self.episodes.append(begin(at + random.uniform(shortest, longest)))

    def forget(self, server_id: int, cast: Cast) -> None:
        """The configuration of a gateway changed: what was prepared for it no longer holds."""
        self._cast = cast
        for episode in self.episodes:
            episode.pools.pop(server_id, None)

    def _outage(self, until: float) -> Episode:
        gateway = self._random.choice(self._gateways)
        return Episode(
            "outage",
            until,
            self._random.uniform(0.3, 0.7),
            frozenset({gateway.server_id}),
            lambda at: at.answer(self._cast.pick(self._random), Load.FAILING),
        )

    def _attack(self, until: float) -> Episode:
        random = self._random
        region = random.choice(self._gateways).region
        addresses = tuple(f"203.0.113.{random.randrange(1, 255)}" for _ in range(random.randint(1, 4)))
        if random.random() < 0.3:
            addresses += (f"2001:db8:bad::{random.randrange(1, 0x10000):x}",)
        return Episode(
            "attack",
            until,
            random.uniform(0.1, 0.3),
            frozenset(gateway.server_id for gateway in self._gateways if gateway.region == region),
            lambda at: traffic.attack(random, at.server_id, addresses),
        )

    def _surge(self, until: float) -> Episode:
        random = self._random
        # Half of the surges are small customers': the busiest are seldom starters, which alone are denied.
        customer_id = (
            random.choice(self._cast.senders) if random.random() < 0.5 else self._cast.pick(random)
        ).customer_id
        keys = self._cast.keys_of(customer_id)
        return Episode(
            "surge",
            until,
            random.uniform(0.08, 0.25),
            frozenset(gateway.server_id for gateway in self._gateways),
            lambda at: at.answer(random.choice(keys), Load.OVER_LIMIT),
        )

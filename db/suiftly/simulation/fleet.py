"""The whole fleet at work: gives rows of a gateway when asked, and passes the published configuration on."""

from datetime import datetime
from random import Random
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from db.errors import Refused
from db.suiftly.simulation.cast import Cast, load_cast, simulation_seed
from db.suiftly.simulation.gateways import (
    SERVERS_PER_REGION,
    Gateway,
    Load,
    Standing,
    build_gateways,
    changes,
    read_configuration,
    region_shares,
)
from db.suiftly.simulation.lines import Line, LinePool, encode
from db.suiftly.simulation.weather import Weather

# Tries per row of an old batch, which may hold only served keys that have not changed since its time.
_TRIES: Final = 3


class Fleet:
    """Gateways, their prepared lines and the weather over them. Made by `open_fleet`."""

    def __init__(
        self,
        *,
        random: Random,
        population_seed: int,
        cast: Cast,
        configuration: dict[int, Standing],
        at: float,
        fresh: int,
    ) -> None:
        self.gateways = build_gateways(random, cast)
        self._random = random
        self._population_seed = population_seed
        self._cast = cast
        self._configuration = configuration
        self._pools = {gateway.server_id: LinePool(gateway.everyday, fresh=fresh) for gateway in self.gateways}
        self._weather = Weather(random, cast, self.gateways, at)
        for gateway in self.gateways:
            gateway.install(configuration)

    def advance(self, at: float) -> None:
        """Moves the weather and the gateways' own copies to `at` (seconds)."""
        self._weather.advance(at)
        for gateway in self.gateways:
            if gateway.apply(at):
                self._pools[gateway.server_id].clear()
                self._weather.forget(gateway.server_id, self._cast)

    def lines(self, gateway: Gateway, count: int) -> list[Line]:
        """`count` rows of this gateway as it works now; disturbances take their share of them."""
        random = self._random
        lines: list[Line] = []
        for episode in self._weather.episodes:
            if gateway.server_id in episode.servers:
                share = episode.share * (count - len(lines))
                lines += episode.take(random, gateway, int(share + random.random()))
        lines += self._pools[gateway.server_id].take(random, count - len(lines))
        if len(lines) > 1:
            random.shuffle(lines)
        return lines

    def old_lines(self, gateway: Gateway, count: int, at: datetime) -> list[Line]:
        """Up to `count` answered rows for a time long past: only keys whose standing has not changed since `at`."""
        lines: list[Line] = []
        for _ in range(count * _TRIES):
            sender = self._cast.pick(self._random)
            standing = gateway.standing(sender.fp)
            if sender.steady_since < at and standing is not None and standing.event == 0:
                lines.append(encode(gateway.answer(sender, Load.ORDINARY)))
            if len(lines) == count:
                break
        return lines

    def shares(self, at: datetime) -> list[float]:
        """Each gateway's part of the traffic at this moment, in the order of `gateways`; the sum is 1."""
        regions = region_shares(at)
        # 10 % more and less within a region: no fleet is balanced.
        lean = {1: 1.1, 2: 1.0, 3: 1.0, 4: 0.9}
        return [
            regions[gateway.region] * lean[gateway.server_id & 15] / SERVERS_PER_REGION for gateway in self.gateways
        ]

    async def refresh(self, connection: AsyncConnection[TupleRow], at: float) -> None:
        """Reads the published configuration; each gateway gets what changed and applies it after its own lag."""
        configuration = await read_configuration(connection, self._cast.customers)
        changed = changes(self._configuration, configuration)
        if not changed:
            return
        if any(fp not in self._configuration for fp in changed):
            # New keys: their owners begin to use them at once, and meet event 32 until the gateways know them.
            self._cast = self._cast.joined_by(await load_cast(connection, self._population_seed))
        self._configuration = configuration
        for gateway in self.gateways:
            gateway.recast(self._cast)
            gateway.publish(changed, at)


async def open_fleet(
    connection: AsyncConnection[TupleRow],
    random: Random,
    at: float,
    *,
    fresh: int = 150,
    before: datetime | None = None,
) -> Fleet:
    """Reads who there is and how each key stands. Raises Refused on a database that we did not populate.

    `fresh`: rows made anew per take (see LinePool). `before`: leave out keys that changed after that time.
    """
    population_seed = await simulation_seed(connection)
    cast = await load_cast(connection, population_seed)
    if before is not None:
        cast = cast.unchanged_since(before)
    if not cast.senders:
        raise Refused("no simulated customer holds an API key, so there is nobody to send requests")
    configuration = await read_configuration(connection, cast.customers)
    return Fleet(
        random=random, population_seed=population_seed, cast=cast, configuration=configuration, at=at, fresh=fresh
    )

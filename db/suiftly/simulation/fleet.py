"""The whole fleet at work: gives rows of a gateway when asked, and passes the published configuration on."""

from datetime import datetime
from random import Random
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from db.errors import Refused
from db.suiftly.log.codes import server_label
from db.suiftly.simulation.access import Offer, Standing, TableAccess, VaultFeed, vault_feed
from db.suiftly.simulation.cast import Cast, load_cast, simulation_seed
from db.suiftly.simulation.gateways import (
    SERVERS_PER_REGION,
    Gateway,
    Load,
    build_gateways,
    read_configuration,
    region_shares,
)
from db.suiftly.simulation.lines import Line, LinePool, encode
from db.suiftly.simulation.weather import Weather

# Seconds between two reports of a gateway that has nothing new to tell.
_REPORT_SECONDS: Final = 10.0
_REPORT: Final = """
    INSERT INTO console.gateway_vault (gateway, vault, applied_seq, seen_at, error)
    SELECT gateway, 'ma', seq, now(), error
    FROM unnest(%(gateways)s::text[], %(seqs)s::bigint[], %(errors)s::text[]) AS told (gateway, seq, error)
    ON CONFLICT (gateway, vault) DO UPDATE
    SET applied_seq = excluded.applied_seq, seen_at = excluded.seen_at, error = excluded.error
"""
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
        keys: dict[int, Standing],
        feed: VaultFeed | None,
        offer: Offer,
        at: float,
        fresh: int,
        stuck: str | None,
    ) -> None:
        self.gateways = build_gateways(random, cast)
        self._random = random
        self._population_seed = population_seed
        self._cast = cast
        self._keys = keys
        self._feed = feed
        self._offer = offer
        self._reports: dict[str, tuple[int, str | None]] = {}
        self._reported = at
        self._pools = {gateway.server_id: LinePool(gateway.everyday, fresh=fresh) for gateway in self.gateways}
        self._weather = Weather(random, cast, self.gateways, at)
        for gateway in self.gateways:
            gateway.install(offer)
            gateway.stuck = server_label(gateway.server_id) == stuck

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
            standing = gateway.standing(sender)
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
        """Looks at what is published; each gateway takes what is new after its own lag, and reports what it serves."""
        keys = await read_configuration(connection, self._cast.customers)
        if keys.keys() - self._keys.keys():
            # New keys: their owners begin to use them at once, and are refused until the gateways know them.
            self._cast = self._cast.joined_by(await load_cast(connection, self._population_seed))
            for gateway in self.gateways:
                gateway.recast(self._cast)
        if self._feed is not None:
            offer = await self._feed.look()
        else:
            offer = self._offer if keys == self._keys else Offer(0, TableAccess(keys))
        self._keys = keys
        if offer is not self._offer:
            self._offer = offer
            for gateway in self.gateways:
                gateway.publish(offer, at)
        await self._report(connection, at)

    async def _report(self, connection: AsyncConnection[TupleRow], at: float) -> None:
        """What changed at once, and every gateway from time to time."""
        if self._feed is None:
            return
        now = {server_label(gateway.server_id): (gateway.applied_seq, gateway.error) for gateway in self.gateways}
        due = at - self._reported >= _REPORT_SECONDS
        told = {name: report for name, report in now.items() if due or self._reports.get(name) != report}
        if not told:
            return
        await connection.execute(
            _REPORT,
            {
                "gateways": list(told),
                "seqs": [seq for seq, _ in told.values()],
                "errors": [error for _, error in told.values()],
            },
        )
        self._reports = now
        if due:
            self._reported = at


async def open_fleet(
    connection: AsyncConnection[TupleRow],
    random: Random,
    at: float,
    *,
    fresh: int = 150,
    before: datetime | None = None,
    stuck: str | None = None,
) -> Fleet:
    """Reads who there is and how each key stands. Raises Refused on a database that we did not populate.

    Where the database says that vaults are published, the gateways serve from the newest file and report what they
    have applied; else from the tables, and report nothing.
    `fresh`: rows made anew per take (see LinePool). `before`: leave out keys that changed after that time, and serve
    from the tables. `stuck`: the label of a gateway that takes nothing new.
    """
    population_seed = await simulation_seed(connection)
    cast = await load_cast(connection, population_seed)
    if before is not None:
        cast = cast.unchanged_since(before)
    if not cast.senders:
        raise Refused("no simulated customer holds an API key, so there is nobody to send requests")
    keys = await read_configuration(connection, cast.customers)
    feed = None if before is not None else await vault_feed(connection)
    return Fleet(
        random=random,
        population_seed=population_seed,
        cast=cast,
        keys=keys,
        feed=feed,
        offer=Offer(0, TableAccess(keys)) if feed is None else await feed.look(),
        at=at,
        fresh=fresh,
        stuck=stuck,
    )

"""What each gateway reports of the vaults it serves from, held against what was published."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import LiteralString

from psycopg.rows import class_row

from db.database import Connection, Database
from db.moments import span
from db.suiftly.log.codes import server_label


class GatewayState(StrEnum):
    """How a gateway stands with a vault."""

    IN_SYNC = "in_sync"
    APPLYING = "applying"  # reported since a newer version was published, and still has time to apply it
    PENDING = "pending"  # not heard of since then
    LATE = "late"  # longer than the allowance without the newer version
    AHEAD = "ahead"  # of what is on record: the database was restored, or somebody else publishes
    ERROR = "error"
    UNKNOWN = "unknown"  # no report within the allowance


@dataclass(frozen=True, slots=True)
class GatewayVault:
    """One gateway and one vault. `applied_seq` None: it is in the log, but never reported."""

    gateway: str
    vault: str
    applied_seq: int | None
    seen_at: datetime | None
    error: str | None
    current_seq: int  # on record; 0: none was published
    behind_since: datetime | None  # when the first version that it has not applied was published
    at: datetime  # of the look, by the database's clock
    allowance: timedelta  # within it a version is applied, and a gateway that works reports again

    @property
    def reporting(self) -> bool:
        """Heard of within the allowance."""
        return self.seen_at is not None and self.at - self.seen_at <= self.allowance

    @property
    def state(self) -> GatewayState:
        if not self.reporting or self.applied_seq is None or self.seen_at is None:
            return GatewayState.UNKNOWN
        if self.error is not None:
            return GatewayState.ERROR
        if self.applied_seq > self.current_seq:
            return GatewayState.AHEAD
        if self.behind_since is None:
            return GatewayState.IN_SYNC
        if self.at - self.behind_since > self.allowance:
            return GatewayState.LATE
        return GatewayState.APPLYING if self.seen_at >= self.behind_since else GatewayState.PENDING

    @property
    def words(self) -> str:
        """`r1-s03 at 41, 2m`: where it stands, and for how long it has been behind or silent."""
        if self.applied_seq is None or self.seen_at is None:
            return f"{self.gateway} never reported"
        since = self.behind_since if self.reporting else self.seen_at
        how_long = "" if since is None else f", {'' if self.reporting else 'silent '}{span(_whole(self.at - since))}"
        return f"{self.gateway} at {self.applied_seq}{how_long}"

    @property
    def trouble(self) -> str | None:
        """A sentence when somebody should look: late, in error, or silent after it had reported."""
        told = {
            GatewayState.LATE: f"has not applied the {self.vault} vault: {self.words}, published is {self.current_seq}",
            GatewayState.ERROR: f"cannot apply the {self.vault} vault: {self.error}",
            GatewayState.UNKNOWN: f"reports nothing: {self.words}",
        }.get(self.state)
        return None if told is None or self.applied_seq is None else f"gateway {self.gateway} {told}"


def fleet_words(gateways: Iterable[GatewayVault]) -> str:
    """`12 of 12 reporting, 11 in_sync, 1 late (r1-s03 at 41, 2m)`."""
    known = tuple(gateways)
    if all(one.applied_seq is None for one in known):
        return "none reports what it applies"
    parts = [f"{sum(one.reporting for one in known)} of {len(known)} reporting"]
    for state in GatewayState:
        these = [one for one in known if one.state is state]
        named = ""
        if these and state is not GatewayState.IN_SYNC:
            named = f" ({'; '.join(one.words for one in these[:3])}{'; …' if len(these) > 3 else ''})"
        parts += [f"{len(these)} {state}{named}"] * bool(these)
    return ", ".join(parts)


def _whole(age: timedelta) -> timedelta:
    """To the second, and above two minutes to the minute."""
    seconds = max(0, round(age.total_seconds()))
    return timedelta(seconds=seconds if seconds < 120 else seconds - seconds % 60)


# Who was silent for a day is gone: it counts no more.
_REPORTS: LiteralString = """
    SELECT g.gateway, g.vault, g.applied_seq, g.seen_at, g.error,
           coalesce((SELECT max(v.seq) FROM console.vault_version v WHERE v.vault = g.vault), 0) AS current_seq,
           (SELECT v.published_at FROM console.vault_version v WHERE v.vault = g.vault AND v.seq > g.applied_seq
            ORDER BY v.seq LIMIT 1) AS behind_since,
           now() AS at, m.gateway_allowance AS allowance
    FROM console.gateway_vault g, console.metering m WHERE g.seen_at > now() - interval '1 day'
    ORDER BY g.vault, g.gateway LIMIT 1000
"""
# Gateways that answered requests lately, by the rollups: a few hundred rows.
_IN_THE_LOG: LiteralString = """
    SELECT DISTINCT server_id FROM console.traffic_minute
    WHERE bucket > now() - interval '10 minutes' AND bucket <= now()
"""
_CURRENT: LiteralString = """
    SELECT coalesce((SELECT max(seq) FROM console.vault_version WHERE vault = 'ma'), 0)::bigint, now(),
           gateway_allowance FROM console.metering
"""


class Gateways:
    """Questions about the gateways."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def states(self) -> tuple[GatewayVault, ...]:
        """Every gateway that reported within a day, by vault; and for MA those that only the log knows."""
        async with self._database.reading() as connection:
            reports = await read_reports(connection)
            seen = {row[0] for row in await (await connection.execute(_IN_THE_LOG)).fetchall()}
            row = await (await connection.execute(_CURRENT)).fetchone()
        assert row is not None  # noqa: S101 - the migration writes the only row
        silent = {server_label(server) for server in seen} - {one.gateway for one in reports if one.vault == "ma"}
        unknown = [GatewayVault(name, "ma", None, None, None, row[0], None, row[1], row[2]) for name in silent]
        return tuple(sorted([*reports, *unknown], key=lambda one: (one.vault, one.gateway)))


async def read_reports(connection: Connection) -> list[GatewayVault]:
    """What gateways reported within a day, in the caller's transaction."""
    cursor = connection.cursor(row_factory=class_row(GatewayVault))
    await cursor.execute(_REPORTS)
    return await cursor.fetchall()

"""How the replica stands to the primary."""

from dataclasses import dataclass

from db.database import Database

_LATE_S = 10.0


@dataclass(frozen=True, slots=True)
class Replica:
    """The second server, as both of them tell."""

    place: str
    same_cluster: bool
    standby: bool  # False also once it was promoted: it then goes its own way
    behind_bytes: int
    behind_s: float | None  # at the most: since the last commit it replayed; None when that is not known

    @property
    def trouble(self) -> str:
        """Why it should not be read at all, in words; "" when it may."""
        if not self.same_cluster:
            return "is another database than the primary"
        if not self.standby:
            return "is no standby: it was promoted, or it is the primary itself"
        return ""

    @property
    def late(self) -> bool:
        """Whether what is read there is older than a screen may show without saying so."""
        return bool(self.behind_bytes) and (self.behind_s is None or self.behind_s > _LATE_S)

    @property
    def delay(self) -> str:
        """How far behind it is, in words."""
        if not self.behind_bytes:
            return "up to date"
        size = f"{self.behind_bytes / 1024:,.0f} kB"
        return f"{size} behind" if self.behind_s is None else f"{size}, at most {self.behind_s:,.1f} s behind"


async def replica_state(database: Database) -> Replica | None:
    """Asks both servers; None without a replica. Raises ReplicaUnavailable when that one does not answer."""
    if database.replica is None:
        return None
    async with database.reading() as connection:
        # First the primary: what it writes afterwards is not counted as a delay.
        row = await (
            await connection.execute(
                """SELECT system_identifier, CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                                  ELSE pg_current_wal_flush_lsn() END::text
                   FROM pg_control_system()"""
            )
        ).fetchone()
    assert row is not None  # noqa: S101 - the function returns one row
    cluster, written = row
    async with database.reading(may_lag=True) as connection:
        row = await (
            await connection.execute(
                """SELECT system_identifier = %(cluster)s, pg_is_in_recovery(),
                          greatest(pg_wal_lsn_diff(%(written)s::pg_lsn, pg_last_wal_replay_lsn()), 0)::bigint,
                          extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8
                   FROM pg_control_system()""",
                {"cluster": cluster, "written": written},
            )
        ).fetchone()
    assert row is not None  # noqa: S101 - as above
    same, standby, behind_bytes, behind_s = row
    return Replica(database.replica, same, standby, behind_bytes or 0, behind_s)

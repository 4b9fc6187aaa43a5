"""How far the counting of the request log is: what is dropped from the log uncounted would never be paid."""

from dataclasses import dataclass

from psycopg.rows import class_row

from db.database import Connection
from db.errors import Refused

_JOBS = {"usage": ("metering", "aggregate-usage"), "traffic": ("rollups", "roll-up-traffic")}

LIVE_S = 300.0
"""How much of the log itself charts read behind the rollups; older rows that are not rolled up are missing there."""


@dataclass(frozen=True, slots=True)
class CursorState:
    """One cursor over the log (console.capture_state)."""

    name: str
    same_cluster: bool
    recounting: bool
    age_s: float  # since it caught up
    retention_s: float  # how long the log is kept

    @property
    def what(self) -> str:
        """metering or rollups."""
        return _JOBS[self.name][0]

    @property
    def job(self) -> str:
        """The job that moves it."""
        return _JOBS[self.name][1]

    @property
    def severity(self) -> str:
        """good, warn (a quarter of the log's retention not counted) or bad (half of it, or not counting at all)."""
        if not self.same_cluster or self.recounting:
            return "bad"
        share = self.age_s / self.retention_s
        if share < 0.25:
            return "warn" if self._gaps else "good"
        return "warn" if share < 0.5 else "bad"

    @property
    def _gaps(self) -> bool:
        return self.name == "traffic" and self.age_s > LIVE_S

    @property
    def sentence(self) -> str:
        """What is the matter and what to do."""
        job = self.job
        if not self.same_cluster:
            return f"this database was restored from another cluster; run `opsdeck jobs run {job} --rebaseline`"
        if self.recounting:
            return f"a re-baseline is half done; run `opsdeck jobs run {job} --rebaseline` to finish it"
        share = self.age_s / self.retention_s
        ago = f"{self.age_s / 60:,.0f} min ago" if self.age_s >= 60 else "just now"
        text = f"caught up {ago}, {100 * share:.0f} % of the log's retention"
        if self._gaps:
            return f"{text}; charts have gaps; run `opsdeck jobs run {job}`"
        if share < 0.25:
            return text
        # From 100 % on maintain-partitions keeps hours that should go, and the disk fills.
        urgency = "; the log soon outgrows its retention" if share >= 0.75 else ""
        return f"{text}{urgency}; run `opsdeck jobs run {job}`"


def no_cursor(name: str) -> Refused:
    """For who looks for a cursor that is not there."""
    return Refused(f"console.capture_state has no row '{name}'; run `opsdeck migrate`")


async def cursor_states(connection: Connection) -> tuple[CursorState, ...]:
    """Every cursor, metering first."""
    cursor = connection.cursor(row_factory=class_row(CursorState))
    await cursor.execute(
        """SELECT s.name, s.system_identifier = c.system_identifier AS same_cluster,
                  s.recount_from IS NOT NULL AS recounting,
                  extract(epoch FROM now() - coalesce(s.caught_up_at, s.baselined_at))::float8 AS age_s,
                  extract(epoch FROM m.retention)::float8 AS retention_s
           FROM console.capture_state s, pg_control_system() c, console.metering m
           WHERE s.name = ANY(%s) ORDER BY s.name DESC""",
        (list(_JOBS),),
    )
    return tuple(await cursor.fetchall())

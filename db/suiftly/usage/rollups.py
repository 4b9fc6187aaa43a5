"""How far the traffic rollups are, and the log rows that they have not counted."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from db.capture import Mark, rows_since
from db.database import Connection
from db.suiftly.metering import LIVE_S

_LATE = timedelta(minutes=1)  # rows of gateways come this much later than their time, seldom more
_LOG_AT_MOST = timedelta(seconds=LIVE_S) + _LATE


@dataclass(frozen=True, slots=True)
class RolledUp:
    """The rollups as one REPEATABLE READ transaction sees them: they hold the rows that `mark` saw, and no other.

    Rows that came later than a minute after their time, behind the mark, show once they are rolled up.
    """

    now: datetime
    mark: Mark
    until: datetime | None  # before this nothing is lacking; None when the cursor means nothing

    @property
    def log_from(self) -> datetime:
        """From here on the log has what the rollups lack; before it only where roll-up-traffic stands still."""
        bound = self.now - _LOG_AT_MOST
        return bound if self.until is None else max(self.until, bound)

    def cover(self, end: datetime) -> bool:
        """Whether nothing before `end` is missing in the rollups and the log behind them."""
        return self.until is not None and (self.until >= self.log_from or end <= self.until)

    def parameters(self) -> dict[str, object]:
        """For not_rolled_up(), which wants `end` besides."""
        return {"log_from": self.log_from, **self.mark.parameters()}


async def rolled_up(connection: Connection) -> RolledUp:
    """How far they are now."""
    row = await (
        await connection.execute(
            """SELECT now(), snap::text, CASE WHEN console.cursors_sound() THEN caught_up_at - %(late)s END
               FROM console.capture_state WHERE name = 'traffic'""",
            {"late": _LATE},
        )
    ).fetchone()
    assert row is not None  # noqa: S101 - the migration writes the row
    now, snap, until = row
    return RolledUp(now, Mark.stored(snap), until)


def not_rolled_up(columns: LiteralString) -> LiteralString:
    """The query for the log's rows that no rollup has yet, from `log_from` to `end`."""
    return rows_since(columns, "haproxy_raw_logs", "timestamp >= %(log_from)s AND timestamp < %(end)s")

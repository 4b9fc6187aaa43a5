"""The singleton row of system-wide flags: what it says, who made it say so, and what an expiry makes of it."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import LiteralString
from uuid import uuid4

from psycopg.rows import class_row

from db import audit
from db.audit import Actor, AuditRow, Entry
from db.changes import notify
from db.database import Connection, Database
from db.moments import rfc3339, utc

MAINTENANCE = "control:maintenance_mode"
"""As the audit record names the flag."""


@dataclass(frozen=True, slots=True)
class SystemControl:
    """system_control as it is. Vault versions are what was last published, not what gateways run."""

    ma_vault_version: str | None
    mm_vault_version: str | None
    last_monthly_reset: date | None
    maintenance_mode: bool
    maintenance_until: datetime | None  # when it ends by itself; None: when somebody ends it
    updated_at: datetime
    now: datetime  # of the database, to which the times above belong
    role: str  # the database role of this console
    can_write: bool  # whether that role may revoke a key

    @property
    def maintenance_is_over(self) -> bool:
        """Whether its time has passed while nobody was there to end it."""
        return self.maintenance_mode and self.maintenance_until is not None and self.maintenance_until <= self.now


@dataclass(frozen=True, slots=True)
class ControlField:
    """One field of system_control with its meaning, and the entry of the record that made it what it is."""

    name: str
    value: str
    meaning: str
    is_set: bool  # False: as it was born, so nobody need have set it
    entry: AuditRow | None  # None: nothing on record, so another program set it


@dataclass(frozen=True, slots=True)
class LogKeeping:
    """How long the request log is kept, as configured and as it is. `oldest` and `newest` are ends of hours (UTC)."""

    retention: timedelta
    compress_after: timedelta
    hypertable: bool
    parts: int  # partitions or chunks that have begun
    overdue: int  # of them past the retention
    uncompressed: int | None  # past compress_after and not compressed; None where nothing is compressed
    oldest: datetime | None
    newest: datetime | None  # of those made ahead too


CAN_WRITE: LiteralString = """
    has_table_privilege('public.api_keys', 'UPDATE') AND has_column_privilege('console.audit', 'action', 'INSERT')
"""
"""Whether the current role may revoke a key, as a condition in SQL."""

_SELECT: LiteralString = (
    "SELECT c.ma_vault_version, c.mm_vault_version, c.last_monthly_reset, c.maintenance_mode,"
    " CASE WHEN c.maintenance_mode THEN f.until END AS maintenance_until, c.updated_at, now(),"
    " current_user AS role, "
    + CAN_WRITE
    + " AS can_write FROM system_control c LEFT JOIN console.control_flag f ON f.name = 'maintenance_mode'"
    " WHERE c.id = 1"
)
_KEEPING: LiteralString = """
    SELECT m.retention, m.compress_after, console.log_is_hypertable() AS hypertable,
           count(p.part) FILTER (WHERE p.ends <= now() + interval '1 hour') AS parts,
           count(p.part) FILTER (WHERE p.ends <= now() - m.retention) AS overdue,
           NULL::bigint AS uncompressed, min(p.ends) AS oldest, max(p.ends) AS newest
    FROM console.metering m LEFT JOIN console.log_parts_before('infinity') p ON true GROUP BY 1, 2, 3
"""
_UNCOMPRESSED: LiteralString = """
    SELECT count(*) FROM timescaledb_information.chunks, console.metering m
    WHERE hypertable_schema = 'public' AND hypertable_name = 'haproxy_raw_logs'
      AND range_end <= now() - m.compress_after AND NOT is_compressed
"""
# The locks come in the order in which SetMaintenance takes them.
_END: LiteralString = """
    WITH flag AS (
        SELECT f.until FROM system_control c JOIN console.control_flag f ON f.name = 'maintenance_mode'
        WHERE c.id = 1 AND c.maintenance_mode AND f.until <= now() FOR UPDATE OF c, f
    ), ended AS (
        UPDATE system_control SET maintenance_mode = false, updated_at = now() FROM flag WHERE id = 1 RETURNING 1
    ), told AS (
        UPDATE console.control_flag SET until = NULL, revision = revision + 1
        FROM flag WHERE name = 'maintenance_mode' RETURNING 1
    )
    SELECT until FROM flag, ended, told
"""


async def _last_set(connection: Connection, name: str, control: SystemControl) -> AuditRow | None:
    """What is on record about a field, unless another program has set it since."""
    subject, field = _SET_AS[name]
    entry = await audit.last_that_set(connection, subject, field)
    if name != "maintenance_mode" or entry is None or entry.after is None:
        return entry
    return entry if entry.after[subject][field] == control.maintenance_mode else None


class Control:
    """Questions about the flags, and about what this role may do."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> SystemControl:
        """The flags. Raises SchemaMismatch on a database that was not migrated."""
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(SystemControl))
            await cursor.execute(_SELECT)
            found = await cursor.fetchone()
        if found is None:
            # The row is part of the migration; without it nothing is known, which is not the same as "off".
            raise LookupError("system_control has no row; run `opsdeck migrate`")
        return found

    async def fields(self) -> tuple[ControlField, ...]:
        """Every field, with what is on record about it."""
        control = await self.read()
        until = f", until {utc(control.maintenance_until)}" if control.maintenance_until else ""
        values = {
            "maintenance_mode": "on" + until if control.maintenance_mode else None,
            "ma_vault_version": control.ma_vault_version,
            "mm_vault_version": control.mm_vault_version,
            "last_monthly_reset": control.last_monthly_reset and str(control.last_monthly_reset),
        }
        async with self._database.reading() as connection:
            return tuple(
                [
                    ControlField(
                        name,
                        value or _UNSET.get(name, "none published"),
                        _MEANING[name],
                        value is not None,
                        await _last_set(connection, name, control),
                    )
                    for name, value in values.items()
                ]
            )

    async def keeping(self) -> LogKeeping:
        """How the log is kept."""
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(LogKeeping))
            found = await (await cursor.execute(_KEEPING)).fetchone()
            assert found is not None  # noqa: S101 - the migration writes the only row
            if not found.hypertable:
                return found
            row = await (await connection.execute(_UNCOMPRESSED)).fetchone()
        return LogKeeping(
            found.retention, found.compress_after, True, found.parts, found.overdue, row[0] if row else None,
            found.oldest, found.newest,
        )  # fmt: skip

    async def end_expired(self, actor: Actor) -> datetime | None:
        """Ends a maintenance whose time has passed, on record; the time that it had. None when there is nothing to end.

        Whoever comes by does it: each console now and then, each run of a job. Of two at once one does.
        """
        async with self._database.writing() as connection:
            row = await (await connection.execute(_END)).fetchone()
            if row is None:
                return None
            until: datetime = row[0]
            entry = Entry(
                operation_id=uuid4(),
                action="end-maintenance",
                subjects=(MAINTENANCE,),
                actor=actor,
                reason=f"it was set until {utc(until)}",
                outcome="done",
                message="Maintenance mode ended at its time",
                before={MAINTENANCE: {"maintenance_mode": True, "until": rfc3339(until)}},
                after={MAINTENANCE: {"maintenance_mode": False, "until": None}},
            )
            await audit.write(connection, entry)
            await notify(connection, "control")
            return until


_MEANING = {
    "maintenance_mode": "pauses new signups, nothing else: gateways serve on, jobs run, bills are made",
    "ma_vault_version": "API keys and limits as last published to gateways; not what they run",
    "mm_vault_version": "customers' encryption keys as last published; not what gateways run",
    "last_monthly_reset": "the period of spending limits that has begun (UTC)",
}
_UNSET = {"maintenance_mode": "off", "last_monthly_reset": "never"}
SET_BY = {
    "ma_vault_version": "generate-ma-vault",
    "mm_vault_version": "generate-mm-vault",
    "last_monthly_reset": "monthly-reset",
}
"""The fields that only a job sets."""
_SET_AS = {
    "maintenance_mode": (MAINTENANCE, "maintenance_mode"),
    "ma_vault_version": ("vault:ma", "version"),
    "mm_vault_version": ("vault:mm", "version"),
    "last_monthly_reset": ("job:monthly-reset", "customers"),  # what a run counts that found something to do
}

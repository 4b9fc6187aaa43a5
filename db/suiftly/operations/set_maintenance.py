"""Maintenance mode on, with an end or without one, and off."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from db.audit import Actor, last_that_set
from db.database import Connection
from db.errors import Refused, Stale
from db.moments import rfc3339, span, utc
from db.operations import Change, Operation, Preview
from db.suiftly.control import MAINTENANCE

LONGEST = timedelta(days=30)

_SELECT: LiteralString = """
    SELECT c.maintenance_mode, CASE WHEN c.maintenance_mode THEN f.until END, f.revision, now()
    FROM system_control c JOIN console.control_flag f ON f.name = 'maintenance_mode' WHERE c.id = 1
"""


@dataclass(frozen=True, slots=True)
class SetMaintenance(Operation):
    """Pauses new signups, or lets them go on. `lasts` None: until somebody turns it off."""

    action = "set-maintenance"
    topic = "control"
    writes = ("UPDATE public.system_control", "UPDATE console.control_flag")

    on: bool
    lasts: timedelta | None = None
    version: str | None = None

    def __post_init__(self) -> None:
        if self.lasts is not None and not (self.on and timedelta(0) < self.lasts <= LONGEST):
            raise ValueError(f"maintenance can be on for more than nothing and up to {span(LONGEST)}; off has no end")

    @property
    def subjects(self) -> tuple[str, ...]:
        return (MAINTENANCE,)

    @property
    def shell(self) -> str:
        lasts = "" if self.lasts is None else f" --for {span(self.lasts)}"
        return f"opsdeck control set maintenance_mode {_word(self.on)}{lasts}"

    async def preview(self, connection: Connection) -> Preview:
        on, until, version, now = await self._read(connection, _SELECT)
        ends = (
            "It stays on until somebody turns it off." if self.lasts is None else f"It ends at {utc(now + self.lasts)}."
        )
        return Preview(
            title=f"Turn maintenance mode {_word(self.on)}",
            verb=f"Turn {_word(self.on)}",
            changes=(f"maintenance_mode: {_state(on, until)} → {_state(self.on, self._until(now))}",),
            consequences=(
                ("New signups are paused; gateways serve on, jobs run, bills are made.", ends)
                if self.on
                else ("New signups go on.",)
            ),
            version=version,
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        on, until, version, now = await self._read(connection, _SELECT + " FOR UPDATE OF c, f")
        if self.version is not None and version != self.version:
            raise Stale(f"maintenance_mode was changed since it was shown: {await _by_whom(connection, on, until)}")
        await connection.execute(
            "UPDATE system_control SET maintenance_mode = %s, updated_at = now() WHERE id = 1", (self.on,)
        )
        await connection.execute(
            "UPDATE console.control_flag SET until = %s, revision = revision + 1 WHERE name = 'maintenance_mode'",
            (self._until(now),),
        )
        return Change(
            before={MAINTENANCE: _fields(on, until)},
            after={MAINTENANCE: _fields(self.on, self._until(now))},
            message=f"Maintenance mode is {_state(self.on, self._until(now))}",
        )

    def _until(self, now: datetime) -> datetime | None:
        return None if self.lasts is None else now + self.lasts

    async def _read(self, connection: Connection, query: LiteralString) -> tuple[bool, datetime | None, str, datetime]:
        row = await (await connection.execute(query)).fetchone()
        if row is None:
            raise Refused("system_control has no row; run `opsdeck migrate`")
        on, until, revision, now = row
        version = f"{revision}:{_word(on)}"  # the flag itself too: other programs know nothing of revisions
        if self.version in (None, version) and on == self.on and until is None and self.lasts is None:
            raise Refused(f"maintenance mode is {_word(on)} already")
        return bool(on), until, version, now


async def _by_whom(connection: Connection, on: bool, until: datetime | None) -> str:
    entry = await last_that_set(connection, MAINTENANCE, "maintenance_mode")
    told = None if entry is None or entry.after is None else entry.after[MAINTENANCE]
    if entry is None or told != _fields(on, until):
        return f"it is {_state(on, until)} now, set by another program; look at it again"
    return f"{entry.os_user} made it {_state(on, until)} at {utc(entry.at)} ({entry.reason}); look at it again"


def _fields(on: bool, until: datetime | None) -> dict[str, object]:
    return {"maintenance_mode": on, "until": None if until is None else rfc3339(until)}


def _word(on: bool) -> str:
    return "on" if on else "off"


def _state(on: bool, until: datetime | None) -> str:
    return _word(on) + (f" until {utc(until)}" if until else "")

"""Ending another session: what it has not committed is rolled back."""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row

from db.audit import Actor
from db.database import Connection
from db.errors import Refused, Stale
from db.moments import rfc3339
from db.operations import Change, Operation, Preview
from db.server.query_text import masked

# Within one transaction the list of sessions is remembered otherwise.
_LOOK_AGAIN: LiteralString = "SELECT pg_stat_clear_snapshot()"
_SELECT: LiteralString = """
    SELECT a.pid, a.backend_start AS started, coalesce(a.backend_type, 'hidden') AS kind,
           coalesce(a.usename, '') AS owner,
           coalesce(a.application_name, '') AS application, coalesce(a.state, 'hidden') AS state,
           left(coalesce(a.query, ''), 4000) AS statement,
           clock_timestamp() - a.xact_start AS transaction_age, a.backend_xid IS NOT NULL AS wrote,
           (SELECT count(*) FROM pg_stat_activity w
            WHERE w.wait_event_type = 'Lock' AND a.pid = ANY(pg_blocking_pids(w.pid)))::int AS blocks,
           r.rolsuper AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS beyond_us
    FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
    WHERE a.pid = %(pid)s
"""
# The number of a session is used again once it ended; with its start it is that of one alone.
_TERMINATE: LiteralString = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %(pid)s AND backend_start = %(started)s
"""


@dataclass(frozen=True, slots=True)
class _Target:
    pid: int
    started: datetime | None
    kind: str
    owner: str
    application: str
    state: str
    statement: str
    transaction_age: object
    wrote: bool
    blocks: int
    beyond_us: bool | None

    @property
    def refusal(self) -> str | None:
        """Why it is left alone, or None."""
        if self.kind == "walsender":
            return f"session {self.pid} feeds a replica; end replication on the server, not here"
        if self.kind == "hidden":
            return f"what session {self.pid} is, and since when, is hidden from this role; pg_monitor shows it"
        if self.kind != "client backend":
            return f"session {self.pid} is the server's own ({self.kind}); only those of clients are ended here"
        if self.application.startswith("opsdeck "):
            return f"session {self.pid} is a console's own; leave that console, or stop its job on the jobs screen"
        if self.beyond_us:
            return f"session {self.pid} is a superuser's, whom only a superuser may end"
        return None


@dataclass(frozen=True, slots=True)
class TerminateBackend(Operation):
    """Ends one session of a client, told by its pid and its start."""

    action = "terminate-backend"
    topic = "database"
    writes = ("USAGE pg_signal_backend",)

    pid: int
    started: datetime
    version: str | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        return (f"backend:{self.pid}",)

    @property
    def shell(self) -> str:
        return f"opsdeck database terminate {self.pid} --started {rfc3339(self.started)}"

    async def preview(self, connection: Connection) -> Preview:
        target = await self._target(connection)
        age = (
            f"its transaction is {str(target.transaction_age).partition('.')[0]} old" if target.transaction_age else ""
        )
        return Preview(
            title=f"End session {self.pid} of {target.owner or 'nobody'}",
            verb="End",
            changes=(f"{target.application or 'no name'}: {target.state} → gone",),
            consequences=(
                f"What it wrote since its transaction began is rolled back; {age}."
                if target.wrote
                else "It has written nothing that would be lost" + (f"; {age}." if age else "."),
                f"{target.blocks} session(s) wait for it." if target.blocks else "Nobody waits for it.",
                f"Statement: {masked(target.statement) or 'none, or hidden from this role'}",
                "Its program sees its connection break, and may connect again.",
            ),
            version=rfc3339(self.started),
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        target = await self._target(connection)
        (subject,) = self.subjects
        return Change(
            before={
                subject: {
                    "started": rfc3339(self.started),
                    "owner": target.owner,
                    "application": target.application,
                    "state": target.state,
                    "blocked_others": target.blocks,
                }
            },
            after={subject: {"state": "told to end"}},
            message=f"Told session {self.pid} of {target.owner} ({target.application or 'no name'}) to end",
        )

    async def conclude(self, connection: Connection) -> None:
        """The signal cannot be taken back: it goes out once all that could fail has been done."""
        row = await (await connection.execute(_TERMINATE, {"pid": self.pid, "started": self.started})).fetchone()
        if row is None or not row[0]:
            raise Stale(f"session {self.pid} ended by itself meanwhile")

    async def _target(self, connection: Connection) -> _Target:
        """The session, if it is still that one and may be ended. Raises Refused or Stale."""
        await connection.execute(_LOOK_AGAIN)
        cursor = connection.cursor(row_factory=class_row(_Target))
        await cursor.execute(_SELECT, {"pid": self.pid})
        target = await cursor.fetchone()
        if target is None:
            raise Refused(f"there is no session {self.pid} any more; look with `opsdeck database show`")
        if target.refusal is not None:
            raise Refused(target.refusal)
        if target.started != self.started:
            raise Stale(f"session {self.pid} ended, and its number is another's now; look again")
        return target

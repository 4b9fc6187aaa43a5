"""The record of what operators did, tried and were refused (table console.audit)."""

import getpass
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.audit_chain import Checkpoint, Tell, Verification, checkpoint, verify
from db.database import Connection, Database
from db.page import Page, page_of


@dataclass(frozen=True, slots=True)
class Actor:
    """Who sits at the terminal. The database role is added by the database itself."""

    os_user: str
    ssh_source: str | None  # address of the SSH client; None on a local terminal

    @classmethod
    def from_environment(cls) -> "Actor":
        """The login behind sudo, and the client end of SSH_CONNECTION."""
        ssh = os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_CLIENT") or ""
        return cls(os.environ.get("SUDO_USER") or getpass.getuser(), ssh.split()[0] if ssh.split() else None)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One operation, done or not. `before` and `after` hold the changed fields keyed by subject."""

    seq: int
    operation_id: UUID
    at: datetime
    action: str
    subjects: tuple[str, ...]
    os_user: str
    ssh_source: str | None
    db_role: str
    reason: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    outcome: str  # done, partial, refused, stale, failed, cancelled, abandoned
    message: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "subjects", tuple(self.subjects))


@dataclass(frozen=True, slots=True)
class AuditSearch:
    """What a list of the record is narrowed to. Fields combine; several values of one field are alternatives."""

    subject: str | None = None  # "key:2711124630", "customer:42", "job:clean-up"
    actions: tuple[str, ...] = ()
    who: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    without_actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be written about one operation."""

    operation_id: UUID
    action: str
    subjects: tuple[str, ...]
    actor: Actor
    reason: str
    outcome: str
    message: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


async def write(connection: Connection, entry: Entry) -> bool:
    """Adds the entry inside the caller's transaction; False when this operation id is on record already.

    While another transaction holds the same id uncommitted, this waits for its end: that is what makes the
    marker of an unanswered commit safe.
    """
    cursor = await connection.execute(
        """INSERT INTO console.audit
               (operation_id, action, subjects, os_user, ssh_source, reason, before, after, outcome, message)
           VALUES (%(operation_id)s, %(action)s, %(subjects)s, %(os_user)s, %(ssh_source)s, %(reason)s,
                   %(before)s, %(after)s, %(outcome)s, %(message)s)
           ON CONFLICT (operation_id) DO NOTHING""",
        {
            "operation_id": entry.operation_id,
            "action": entry.action,
            "subjects": list(entry.subjects),
            "os_user": entry.actor.os_user,
            "ssh_source": entry.actor.ssh_source,
            "reason": entry.reason,
            "before": None if entry.before is None else Jsonb(entry.before),
            "after": None if entry.after is None else Jsonb(entry.after),
            "outcome": entry.outcome,
            "message": entry.message,
        },
    )
    return cursor.rowcount == 1


_SELECT: LiteralString = """
    SELECT seq, operation_id, at, action, subjects, os_user, ssh_source, db_role, reason,
           before, after, outcome, message
    FROM console.audit
"""


async def about(connection: Connection, subjects: Sequence[str], *, limit: int = 20) -> tuple[AuditRow, ...]:
    """What is on record about any of these subjects, newest first, in the caller's transaction."""
    cursor = connection.cursor(row_factory=class_row(AuditRow))
    await cursor.execute(_SELECT + " WHERE subjects && %s ORDER BY seq DESC LIMIT %s", (list(subjects), limit))
    return tuple(await cursor.fetchall())


async def last_that_set(connection: Connection, subject: str, field: str) -> AuditRow | None:
    """The newest entry that says what `field` of the subject became; dry runs said it and did not do it."""
    cursor = connection.cursor(row_factory=class_row(AuditRow))
    await cursor.execute(
        _SELECT
        + """ WHERE subjects @> ARRAY[%(subject)s] AND outcome = 'done' AND after -> %(subject)s ? %(field)s
                AND NOT coalesce((after #>> ARRAY[%(subject)s, 'dry_run'])::boolean, false)
              ORDER BY seq DESC LIMIT 1""",
        {"subject": subject, "field": field},
    )
    return await cursor.fetchone()


class Audit:
    """Reads the record."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, operation_id: UUID) -> AuditRow | None:
        """The row of one operation, or None when it is not on record."""
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(AuditRow))
            await cursor.execute(_SELECT + " WHERE operation_id = %s", (operation_id,))
            return await cursor.fetchone()

    async def of(self, subjects: Sequence[str], *, limit: int = 20) -> tuple[AuditRow, ...]:
        """What is on record about any of these subjects, newest first."""
        async with self._database.reading() as connection:
            return await about(connection, subjects, limit=limit)

    async def page(
        self, search: AuditSearch | None = None, *, before: int | None = None, limit: int = 100
    ) -> Page[AuditRow]:
        """Newest first; `before` is the seq of the last row already shown."""
        wanted = search or AuditSearch()
        conditions: list[LiteralString] = ["true"]
        if wanted.subject is not None:
            conditions.append("subjects @> ARRAY[%(subject)s]")
        if wanted.actions:
            conditions.append("action = ANY(%(actions)s)")
        if wanted.without_actions:
            conditions.append("action <> ALL(%(without_actions)s)")
        if wanted.who:
            conditions.append("os_user = ANY(%(who)s)")
        if wanted.outcomes:
            conditions.append("outcome = ANY(%(outcomes)s)")
        if before is not None:
            conditions.append("seq < %(before)s")
        query = _SELECT + " WHERE " + " AND ".join(conditions) + " ORDER BY seq DESC LIMIT %(limit)s"
        parameters = {
            "subject": wanted.subject,
            "actions": list(wanted.actions),
            "without_actions": list(wanted.without_actions),
            "who": list(wanted.who),
            "outcomes": list(wanted.outcomes),
            "before": before,
            "limit": limit + 1,
        }
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(AuditRow))
            await cursor.execute(query, parameters)
            return page_of(await cursor.fetchall(), limit)

    async def checkpoint(self) -> Checkpoint:
        """The end of the record now, to be kept where nobody who could rewrite the record can write."""
        return await checkpoint(self._database)

    async def verify(self, checkpoints: Sequence[Checkpoint] = (), tell: Tell | None = None) -> Verification:
        """Checks the whole record; see db.audit_chain for what that can see."""
        return await verify(self._database, checkpoints, tell)

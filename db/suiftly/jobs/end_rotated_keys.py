"""The end of an overlap: a key that was rotated is revoked when its time has come."""

from dataclasses import dataclass
from typing import ClassVar, LiteralString
from uuid import uuid4

from psycopg.rows import class_row

from db import audit
from db.audit import Actor, Entry
from db.changes import notify
from db.database import Connection
from db.jobs.job import Job, Run
from db.moments import rfc3339
from db.suiftly.keys.format import format_fingerprint
from db.suiftly.operations.revoke_keys import UNDO_WINDOW

_BATCH = 100

# A key that an operator works on just now is left to the next run.
_DUE: LiteralString = """
    SELECT e.api_key_fp AS fingerprint, k.customer_id, e.replaced_by, e.os_user, e.ssh_source, e.reason
    FROM console.key_end e JOIN api_keys k USING (api_key_fp)
    WHERE e.ends_at <= now() AND k.is_active
    ORDER BY e.ends_at LIMIT %(batch)s FOR UPDATE OF k SKIP LOCKED
"""
_REVOKE: LiteralString = """
    UPDATE api_keys SET is_active = false, revoked_at = now(), revoked_by = %(os_user)s, revocation_reason = %(reason)s
    WHERE api_key_fp = %(fingerprint)s RETURNING revoked_at
"""
_FORGET: LiteralString = """
    DELETE FROM console.key_end e USING api_keys k
    WHERE k.api_key_fp = e.api_key_fp AND NOT k.is_active AND k.revoked_at < now() - %(window)s
"""


@dataclass(frozen=True, slots=True)
class _Due:
    fingerprint: int
    customer_id: int
    replaced_by: int
    os_user: str
    ssh_source: str | None
    reason: str


class EndRotatedKeys(Job):
    """Revokes what a rotation ends, in the name of who rotated it, each key with its audit row."""

    name: ClassVar[str] = "end-rotated-keys"
    title: ClassVar[str] = "Revoke rotated keys whose overlap is over"
    number: ClassVar[int] = 18
    every_s: ClassVar[int] = 60

    async def run(self, run: Run) -> str:
        run.begin("keys")
        more = True
        while more:
            async with run.step() as connection:
                await connection.execute(_FORGET, {"window": UNDO_WINDOW})
                cursor = connection.cursor(row_factory=class_row(_Due))
                await cursor.execute(_DUE, {"batch": _BATCH})
                due = await cursor.fetchall()
                for key in due:
                    await _end(connection, key)
                if due:
                    await notify(connection, "keys")
            await run.report("revoking", done=len(due), keys=len(due))
            # A dry run is rolled back: the next step would find the same keys again.
            more = len(due) == _BATCH and not run.dry_run
        return f"{'would revoke' if run.dry_run else 'revoked'} {run.counts['keys']:,} rotated keys"


async def _end(connection: Connection, key: _Due) -> None:
    reason = f"replaced by {format_fingerprint(key.replaced_by)}: {key.reason}"
    cursor = await connection.execute(
        _REVOKE, {"os_user": key.os_user, "reason": reason, "fingerprint": key.fingerprint}
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - the row is locked
    subject, whose = f"key:{key.fingerprint}", {"customer_id": key.customer_id}
    entry = Entry(
        operation_id=uuid4(),
        action="end-rotated-key",
        subjects=(subject, f"key:{key.replaced_by}"),
        actor=Actor(key.os_user, key.ssh_source),
        reason=reason,
        outcome="done",
        message=f"Revoked {format_fingerprint(key.fingerprint)}: the overlap of its rotation is over",
        before={subject: whose | {"is_active": True, "revoked_at": None}},
        after={subject: whose | {"is_active": False, "revoked_at": rfc3339(row[0])}},
    )
    await audit.write(connection, entry)

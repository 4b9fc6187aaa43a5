"""Rotating an API key: a new one now, the end of the old one after an overlap."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg.rows import class_row

from db.audit import Actor
from db.database import Connection
from db.errors import Refused, Stale
from db.moments import rfc3339, span, utc
from db.operations import Change, Operation, Preview
from db.suiftly.keys.format import Service, format_fingerprint
from db.suiftly.keys.issuer import Issued, Issuer
from db.suiftly.keys.metadata import KeyFormatError, KeyMetadata

LONGEST_OVERLAP = timedelta(days=90)

_LOCK: LiteralString = """
    SELECT FROM customers WHERE customer_id = (SELECT customer_id FROM api_keys WHERE api_key_fp = %(fingerprint)s)
    FOR NO KEY UPDATE
"""
_SELECT: LiteralString = """
    SELECT k.customer_id, c.status AS customer_status, k.service_type, k.metadata, k.is_active, k.xmin::text AS version,
           e.ends_at, e.replaced_by
    FROM api_keys k JOIN customers c USING (customer_id) LEFT JOIN console.key_end e USING (api_key_fp)
    WHERE k.api_key_fp = %(fingerprint)s
"""
_END: LiteralString = """
    INSERT INTO console.key_end (api_key_fp, ends_at, replaced_by, os_user, ssh_source, reason)
    VALUES (%(fingerprint)s, now() + %(overlap)s, %(replaced_by)s, %(os_user)s, %(ssh_source)s, %(reason)s)
    RETURNING ends_at
"""


@dataclass(frozen=True, slots=True)
class _Old:
    customer_id: int
    customer_status: str
    service_type: str
    metadata: dict[str, Any]
    is_active: bool
    version: str
    ends_at: datetime | None
    replaced_by: int | None


@dataclass(frozen=True, slots=True)
class RotateKey(Operation):
    """Makes a key like this one, which then ends after `overlap`: the job end-rotated-keys revokes it.

    It does not count against the limit of keys: the old one is on its way out. The receipt holds the new key in full.
    """

    action = "rotate-key"
    writes = ("INSERT public.api_keys", "INSERT console.key_end")
    topic = "keys"
    reaches_gateways = True

    fingerprint: int
    overlap: timedelta
    issuer: Issuer
    version: str | None = None

    @property
    def label(self) -> str:
        return format_fingerprint(self.fingerprint)

    @property
    def subjects(self) -> tuple[str, ...]:
        return (f"key:{self.fingerprint}",)

    @property
    def shell(self) -> str:
        return f"opsdeck keys rotate {self.label} --overlap {span(self.overlap)}"

    async def preview(self, connection: Connection) -> Preview:
        old = await self._read(connection, _SELECT)
        return Preview(
            title=f"Rotate key {self.label}",
            verb="Rotate",
            changes=(
                f"new key: {old.service_type}, made for the same, of customer {old.customer_id}",
                f"{self.label}: live → revoked in {span(self.overlap)}",
            ),
            consequences=(
                f"Both are served for {span(self.overlap)}, then gateways refuse {self.label} with 403, event 31.",
                "The full new key is shown once, right after this. It cannot be shown again.",
            ),
            version=old.version,
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        # The customer first, as whoever makes or closes anything of it does: so nobody waits for each other.
        await connection.execute(_LOCK, {"fingerprint": self.fingerprint})
        old = await self._read(connection, _SELECT + " FOR UPDATE OF k")
        if self.version is not None and old.version != self.version:
            raise Stale("the key was changed by someone else since it was shown; look again")
        service, metadata = Service(old.service_type), KeyMetadata.from_json(old.metadata)
        issued = await self.issuer.issue(connection, old.customer_id, service, metadata)
        ends_at = await self._end(connection, issued, actor, reason)
        subject = self.subjects[0]
        return Change(
            before={subject: {"ends_at": None}},
            after={
                subject: {"ends_at": rfc3339(ends_at), "replaced_by": issued.label},
                issued.subject: {
                    "customer_id": old.customer_id,
                    "service_type": service,
                    "is_active": True,
                    "metadata": metadata.to_json(),
                },
            },
            message=f"Key {issued.label} replaces {self.label}, which lives for another {span(self.overlap)}",
            created=(issued.subject, f"customer:{old.customer_id}"),
            issued=issued.key,
        )

    async def _end(self, connection: Connection, issued: Issued, actor: Actor, reason: str) -> datetime:
        cursor = await connection.execute(
            _END,
            {
                "fingerprint": self.fingerprint,
                "overlap": self.overlap,
                "replaced_by": issued.fingerprint,
                "os_user": actor.os_user,
                "ssh_source": actor.ssh_source,
                "reason": reason,
            },
        )
        row = await cursor.fetchone()
        assert row is not None  # noqa: S101 - RETURNING of one inserted row
        ends_at: datetime = row[0]
        return ends_at

    async def _read(self, connection: Connection, query: LiteralString) -> _Old:
        """The key, live and not yet replaced. Raises Refused otherwise."""
        await self.issuer.secret.here(connection)
        if not timedelta(minutes=1) <= self.overlap <= LONGEST_OVERLAP:
            raise Refused(f"the overlap must be from 1m to {LONGEST_OVERLAP.days}d; to end a key at once, revoke it")
        cursor = connection.cursor(row_factory=class_row(_Old))
        await cursor.execute(query, {"fingerprint": self.fingerprint})
        old = await cursor.fetchone()
        if old is None:
            raise Refused(f"there is no key with fingerprint {self.label}; look with `opsdeck keys find`")
        if not old.is_active:
            raise Refused(f"key {self.label} is revoked; create a new one instead")
        if old.ends_at is not None and old.replaced_by is not None:
            raise Refused(
                f"key {self.label} is being replaced already by {format_fingerprint(old.replaced_by)}, "
                f"and ends at {utc(old.ends_at)}"
            )
        if old.customer_status != "active":
            raise Refused(f"customer {old.customer_id} is {old.customer_status}, and only active ones get new keys")
        try:
            KeyMetadata.from_json(old.metadata)
        except KeyFormatError as error:
            raise Refused(
                f"what key {self.label} was made for cannot be read ({error}); create a key instead"
            ) from None
        return old

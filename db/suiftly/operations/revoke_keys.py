"""Revoking API keys: one or many, all or none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from db.audit import Actor
from db.database import Connection
from db.errors import Refused, Stale
from db.moments import rfc3339
from db.operations import Change, Preview
from db.suiftly.operations.of_keys import NamedKey, OfKeys, labels_of, version_of

UNDO_WINDOW = timedelta(minutes=15)
"""For how long a revocation can be undone, if no gateway has applied it."""


_SELECT: LiteralString = """
    SELECT api_key_fp AS fingerprint, customer_id, service_type, is_active, revoked_at, revoked_by,
           xmin::text AS version
    FROM api_keys WHERE api_key_fp = ANY(%(fingerprints)s) ORDER BY api_key_fp
"""


@dataclass(frozen=True, slots=True)
class RevokeKeys(OfKeys):
    """Revokes the keys of these fingerprints (unsigned 32 bit).

    With `customer_id`, a key of another customer is refused: a list was pasted under the wrong name. With `version`
    (from preview), a change in between is Stale.
    """

    action = "revoke-keys"
    writes = ("UPDATE public.api_keys",)

    fingerprints: tuple[int, ...]
    customer_id: int | None = None
    version: str | None = None

    @property
    def shell(self) -> str:
        return f"opsdeck keys revoke {self.words}"

    async def preview(self, connection: Connection) -> Preview:
        targets = await self._read(connection, _SELECT)
        many = len(targets) > 1
        return Preview(
            title=f"Revoke {len(targets)} keys" if many else f"Revoke key {targets[0].label}",
            verb=f"Revoke {len(targets)} keys" if many else "Revoke",
            changes=tuple(f"{target.label} ({target.service_type}): live → revoked" for target in targets),
            consequences=(
                f"Gateways refuse {'these keys' if many else 'it'} with 403, event 31, "
                "once the next configuration reaches them.",
                await _what_is_left(connection, targets),
            ),
            version=version_of(targets),
            typed_phrase=f"revoke {len(targets)}" if many else targets[0].label[-4:],
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        targets = await self._read(connection, _SELECT + " FOR UPDATE")
        if self.version is not None and version_of(targets) != self.version:
            which = "one of the keys" if len(targets) > 1 else "the key"
            raise Stale(f"{which} was changed by someone else since it was shown; look again")
        cursor = await connection.execute(
            """UPDATE api_keys SET is_active = false, revoked_at = now(), revoked_by = %(actor)s,
                                   revocation_reason = %(reason)s
               WHERE api_key_fp = ANY(%(fingerprints)s) AND is_active
               RETURNING api_key_fp, revoked_at""",
            {"actor": actor.os_user, "reason": reason, "fingerprints": list(self.fingerprints)},
        )
        revoked: dict[int, datetime] = dict(await cursor.fetchall())
        return Change(
            before={
                target.subject: {"customer_id": target.customer_id, "is_active": True, "revoked_at": None}
                for target in targets
            },
            after={
                target.subject: {
                    "customer_id": target.customer_id,
                    "is_active": False,
                    "revoked_at": rfc3339(revoked[target.fingerprint]),
                }
                for target in targets
            },
            message=f"Revoked {labels_of(targets)}",
        )

    async def _read(self, connection: Connection, query: LiteralString) -> Sequence[NamedKey]:
        """The keys, all of them live and of the right customer. Raises Refused otherwise."""
        targets = await self.named(connection, NamedKey, query)
        for target in targets:
            if self.customer_id not in (None, target.customer_id):
                whose = f"belongs to customer {target.customer_id}, not {self.customer_id}"
                raise Refused(f"key {target.label} {whose}")
            if target.revoked_at is not None:
                by = target.revoked_by or "an unknown operator"
                since = f"since {target.revoked_at:%Y-%m-%d %H:%M:%S} UTC by {by}"
                raise Refused(f"key {target.label} is revoked already, {since}")
        return targets


async def _what_is_left(connection: Connection, targets: Sequence[NamedKey]) -> str:
    customers = sorted({target.customer_id for target in targets})
    cursor = await connection.execute(
        """SELECT count(*) FROM api_keys
           WHERE customer_id = ANY(%s) AND is_active AND NOT api_key_fp = ANY(%s)""",
        (customers, [target.fingerprint for target in targets]),
    )
    row = await cursor.fetchone()
    left = int(row[0]) if row else 0
    several = len(customers) > 1
    whose = f"Customer{'s' if several else ''} " + ", ".join(str(customer) for customer in customers[:3])
    whose += f" and {len(customers) - 3} more" if len(customers) > 3 else ""
    if not left:
        return f"{whose} {'have' if several else 'has'} no other live key."
    return f"{whose} {'keep' if several else 'keeps'} {left} other live key{'s' if left > 1 else ''}."

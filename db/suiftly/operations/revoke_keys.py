"""Revoking API keys: one or many, all or none."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from psycopg.rows import class_row

from db.audit import Actor
from db.database import Connection
from db.errors import Refused, Stale
from db.moments import rfc3339
from db.operations import Change, Operation, Preview
from db.suiftly.keys.format import format_fingerprint

UNDO_WINDOW = timedelta(minutes=15)
"""For how long a revocation can be undone, if no gateway has applied it."""
_MOST_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class _Target:
    fingerprint: int
    customer_id: int
    service_type: str
    is_active: bool
    revoked_at: datetime | None
    revoked_by: str | None
    version: str

    @property
    def label(self) -> str:
        return format_fingerprint(self.fingerprint)

    @property
    def subject(self) -> str:
        return f"key:{self.fingerprint}"

    def refusal(self, customer_id: int | None) -> str | None:
        """Why this key cannot be revoked, or None."""
        if customer_id is not None and self.customer_id != customer_id:
            return f"key {self.label} belongs to customer {self.customer_id}, not {customer_id}"
        if self.revoked_at is not None:
            by = self.revoked_by or "an unknown operator"
            return f"key {self.label} is revoked already, since {self.revoked_at:%Y-%m-%d %H:%M:%S} UTC by {by}"
        return None


_SELECT: LiteralString = """
    SELECT api_key_fp AS fingerprint, customer_id, service_type, is_active, revoked_at, revoked_by,
           xmin::text AS version
    FROM api_keys WHERE api_key_fp = ANY(%(fingerprints)s) ORDER BY api_key_fp
"""


@dataclass(frozen=True, slots=True)
class RevokeKeys(Operation):
    """Revokes the keys of these fingerprints (unsigned 32 bit).

    With `customer_id`, a key of another customer is refused: a list was pasted under the wrong name. With `version`
    (from preview), a change in between is Stale.
    """

    action = "revoke-keys"
    topic = "keys"
    reaches_gateways = True
    writes = ("UPDATE public.api_keys",)

    fingerprints: tuple[int, ...]
    customer_id: int | None = None
    version: str | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(f"key:{fingerprint}" for fingerprint in self.fingerprints)

    @property
    def shell(self) -> str:
        return "opsdeck keys revoke " + " ".join(map(format_fingerprint, self.fingerprints))

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
            version=_version(targets),
            typed_phrase=f"revoke {len(targets)}" if many else targets[0].label[-4:],
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        targets = await self._read(connection, _SELECT + " FOR UPDATE")
        if self.version is not None and _version(targets) != self.version:
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
        labels = ", ".join(target.label for target in targets[:5])
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
            message=f"Revoked {labels}" + (f" and {len(targets) - 5} more" if len(targets) > 5 else ""),
        )

    async def _read(self, connection: Connection, query: LiteralString) -> list[_Target]:
        """The keys, all of them live and of the right customer. Raises Refused otherwise."""
        if not 1 <= len(self.fingerprints) <= _MOST_AT_ONCE:
            raise Refused(f"name between 1 and {_MOST_AT_ONCE} keys to revoke")
        cursor = connection.cursor(row_factory=class_row(_Target))
        await cursor.execute(query, {"fingerprints": list(self.fingerprints)})
        targets = await cursor.fetchall()
        if missing := sorted(set(self.fingerprints) - {target.fingerprint for target in targets}):
            raise Refused(
                f"there is no key with fingerprint {format_fingerprint(missing[0])}; look with `opsdeck keys find`"
            )
        for target in targets:
            if refusal := target.refusal(self.customer_id):
                raise Refused(refusal)
        return targets


def _version(targets: list[_Target]) -> str:
    return ",".join(f"{target.fingerprint}:{target.version}" for target in targets)


async def _what_is_left(connection: Connection, targets: list[_Target]) -> str:
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

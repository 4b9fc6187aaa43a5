"""Undoing a revocation: one key or many, all or none, soon after and while no gateway has applied it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from db.audit import Actor
from db.database import Connection
from db.errors import Refused, Stale
from db.moments import rfc3339, span, utc
from db.operations import Change, Preview
from db.suiftly.keys.format import format_fingerprint
from db.suiftly.operations.of_keys import NamedKey, OfKeys, labels_of, version_of
from db.suiftly.operations.revoke_keys import UNDO_WINDOW

_SELECT: LiteralString = """
    SELECT k.api_key_fp AS fingerprint, k.customer_id, c.status AS customer_status, k.service_type, k.is_active,
           k.revoked_at, k.revoked_by, k.revocation_reason, k.xmin::text AS version,
           k.revoked_at < now() - %(window)s AS too_late, e.ends_at, e.ends_at <= now() AS is_over
    FROM api_keys k JOIN customers c USING (customer_id) LEFT JOIN console.key_end e USING (api_key_fp)
    WHERE k.api_key_fp = ANY(%(fingerprints)s) ORDER BY k.api_key_fp
"""
# The first version published after the revocation that no longer held the key, and who serves from that or a later one.
# A key that was in no version has none: then there is nothing to apply.
_APPLIED: LiteralString = """
    SELECT k.api_key_fp, g.gateway, g.applied_seq
    FROM api_keys k CROSS JOIN console.gateway_vault g
    WHERE k.api_key_fp = ANY(%(fingerprints)s) AND g.vault = 'ma'
      AND g.applied_seq >= (SELECT min(r.seq)
                            FROM console.vault_removed_key r JOIN console.vault_version v USING (vault, seq)
                            WHERE r.vault = g.vault AND r.api_key_fp = k.api_key_fp AND v.published_at >= k.revoked_at)
    ORDER BY k.api_key_fp, g.gateway LIMIT 1
"""
_REPORTING: LiteralString = "SELECT count(*) FROM console.gateway_vault WHERE vault = 'ma'"
_HOLD_REPORTS: LiteralString = "SELECT console.hold_gateway_reports()"
_REVIVE: LiteralString = """
    UPDATE api_keys SET is_active = true, revoked_at = NULL, revoked_by = NULL, revocation_reason = NULL
    WHERE api_key_fp = ANY(%(fingerprints)s) AND NOT is_active
"""
# A rotation whose time has come would end the key again at once; one that is still to come goes on.
_FORGET_END: LiteralString = """
    DELETE FROM console.key_end WHERE api_key_fp = ANY(%(fingerprints)s) AND ends_at <= now()
"""


@dataclass(frozen=True, slots=True)
class _Target(NamedKey):
    customer_status: str
    revocation_reason: str | None
    too_late: bool | None
    ends_at: datetime | None  # of its rotation
    is_over: bool | None

    @property
    def rotation(self) -> str | None:
        """What becomes of its rotation, if there was one."""
        if self.ends_at is None:
            return None
        goes_on = "no longer ends by itself" if self.is_over else f"still ends at {utc(self.ends_at)}"
        return f"{self.label} was rotated: it {goes_on}."

    @property
    def refusal(self) -> str | None:
        """Why this revocation cannot be undone, or None."""
        if self.is_active or self.revoked_at is None:
            return f"key {self.label} is live; there is no revocation to undo"
        if self.too_late:
            return (
                f"key {self.label} was revoked at {utc(self.revoked_at)}, and that can be undone for "
                f"{span(UNDO_WINDOW)}; create a new key instead"
            )
        if self.customer_status == "closed":
            return f"customer {self.customer_id} is closed, and its keys stay revoked"
        return None


@dataclass(frozen=True, slots=True)
class UndoRevocation(OfKeys):
    """Makes revoked keys live again, as they were."""

    action = "undo-revocation"
    writes = ("UPDATE public.api_keys", "DELETE console.key_end")

    fingerprints: tuple[int, ...]
    version: str | None = None

    @property
    def shell(self) -> str:
        return f"opsdeck keys undo-revoke {self.words}"

    async def preview(self, connection: Connection) -> Preview:
        targets = await self._read(connection, _SELECT)
        await self._refuse_applied(connection)
        row = await (await connection.execute(_REPORTING)).fetchone()
        reporting = int(row[0]) if row else 0
        many = len(targets) > 1
        return Preview(
            title=f"Undo the revocation of {len(targets)} keys"
            if many
            else f"Undo the revocation of {targets[0].label}",
            verb="Undo",
            changes=tuple(f"{target.label} ({target.service_type}): revoked → live" for target in targets),
            consequences=(
                f"{reporting} gateway(s) report what they apply, and none has applied the revocation."
                if reporting
                else "No gateway reports what it applies: some may refuse it until the next configuration.",
                "Who has the key can use it again. The revocation and this stay on record.",
                *(target.rotation for target in targets if target.rotation is not None),
            ),
            version=version_of(targets),
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        targets = await self._read(connection, _SELECT + " FOR UPDATE OF k")
        if self.version is not None and version_of(targets) != self.version:
            raise Stale("what is to be undone was changed by someone else since it was shown; look again")
        await connection.execute(_HOLD_REPORTS)
        await self._refuse_applied(connection)
        parameters = {"fingerprints": list(self.fingerprints)}
        await connection.execute(_REVIVE, parameters)
        await connection.execute(_FORGET_END, parameters)
        return Change(
            before={
                target.subject: {
                    "is_active": False,
                    "revoked_at": target.revoked_at and rfc3339(target.revoked_at),
                    "revoked_by": target.revoked_by,
                    "revocation_reason": target.revocation_reason,
                }
                for target in targets
            },
            after={target.subject: {"is_active": True, "revoked_at": None} for target in targets},
            message=f"Live again: {labels_of(targets)}",
        )

    async def _read(self, connection: Connection, query: LiteralString) -> Sequence[_Target]:
        """The keys, all of them revoked within the window. Raises Refused otherwise."""
        targets = await self.named(connection, _Target, query, window=UNDO_WINDOW)
        for target in targets:
            if target.refusal is not None:
                raise Refused(target.refusal)
        return targets

    async def _refuse_applied(self, connection: Connection) -> None:
        """Raises Refused when a gateway reports that it serves without one of the keys."""
        row = await (await connection.execute(_APPLIED, {"fingerprints": list(self.fingerprints)})).fetchone()
        if row is not None:
            fingerprint, gateway, seq = row
            raise Refused(
                f"gateway {gateway} has applied the revocation of {format_fingerprint(fingerprint)} already "
                f"(version {seq}); create a new key instead"
            )

"""Suspending a customer and resuming one: the two ways between active and suspended."""

from dataclasses import dataclass
from typing import ClassVar, LiteralString

from db.audit import Actor
from db.database import Connection
from db.errors import Refused, Stale
from db.operations import Change, Preview
from db.suiftly.operations.next_vault import TELL_GATEWAYS
from db.suiftly.operations.of_customer import OfCustomer

_SELECT: LiteralString = """
    SELECT c.status, c.xmin::text,
           (SELECT count(*) FROM api_keys k WHERE k.customer_id = c.customer_id AND k.is_active)
    FROM customers c WHERE c.customer_id = %(id)s
"""
# Not the key of the row: metering adds usage of the customer all the time, for a minute when it has fallen behind.
_LOCK: LiteralString = " FOR NO KEY UPDATE OF c"


@dataclass(frozen=True, slots=True)
class _ChangeStatus(OfCustomer):
    """Moves one customer from `source` to `target` status; the subclasses say which way."""

    topic = "customers"
    reaches_gateways = True
    writes = ("UPDATE public.customers",)
    source: ClassVar[str]
    target: ClassVar[str]
    verb: ClassVar[str]
    consequences: ClassVar[tuple[str, ...]]

    customer_id: int
    version: str | None = None

    @property
    def shell(self) -> str:
        return f"opsdeck customers {self.verb.lower()} {self.customer_id}"

    async def preview(self, connection: Connection) -> Preview:
        version, keys = await self._read(connection, _SELECT)
        return Preview(
            title=f"{self.verb} customer {self.customer_id}",
            verb=self.verb,
            changes=(f"status: {self.source} → {self.target}",),
            consequences=(
                *self.consequences,
                f"{keys} live key(s) are affected; none of them is revoked.",
                TELL_GATEWAYS,
            ),
            version=version,
            typed_phrase=str(self.customer_id) if self.target == "suspended" else None,
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        version, _ = await self._read(connection, _SELECT + _LOCK)
        if self.version is not None and version != self.version:
            raise Stale("the customer was changed by someone else since it was shown; look at it again")
        await connection.execute(
            "UPDATE customers SET status = %(status)s, updated_at = now() WHERE customer_id = %(id)s",
            {"status": self.target, "id": self.customer_id},
        )
        subject = f"customer:{self.customer_id}"
        return Change(
            before={subject: {"status": self.source}},
            after={subject: {"status": self.target}},
            message=f"Customer {self.customer_id} is now {self.target}",
        )

    async def _read(self, connection: Connection, query: LiteralString) -> tuple[str, int]:
        row = await (await connection.execute(query, {"id": self.customer_id})).fetchone()
        if row is None:
            raise self.unknown
        status, version, keys = row
        if status == self.target:
            raise Refused(f"customer {self.customer_id} is {status} already")
        if status != self.source:
            raise Refused(f"customer {self.customer_id} is {status}; that cannot be undone")
        return str(version), int(keys)


@dataclass(frozen=True, slots=True)
class SuspendCustomer(_ChangeStatus):
    """Stops service for a customer; reversible."""

    action = "suspend-customer"
    source = "active"
    target = "suspended"
    verb = "Suspend"
    consequences = ("Gateways will refuse all its requests; no new charges.",)


@dataclass(frozen=True, slots=True)
class ResumeCustomer(_ChangeStatus):
    """Lets a suspended customer be served again."""

    action = "resume-customer"
    source = "suspended"
    target = "active"
    verb = "Resume"
    consequences = ("Gateways will serve its live keys again, of services that are enabled.",)

"""Closing a customer, for good."""

from dataclasses import dataclass
from typing import LiteralString

from psycopg.rows import class_row

from db.audit import Actor
from db.database import Connection
from db.errors import Refused, Stale
from db.operations import Change, Preview
from db.suiftly.money import in_dollars
from db.suiftly.operations.next_vault import TELL_GATEWAYS
from db.suiftly.operations.of_customer import OfCustomer

_LOCK: LiteralString = "SELECT FROM customers WHERE customer_id = %(id)s FOR UPDATE"
_SELECT: LiteralString = """
    SELECT c.status, c.current_balance_usd_cents AS balance_cents,
           ARRAY(SELECT s.service_type FROM service_instances s
                 WHERE s.customer_id = c.customer_id AND s.is_enabled ORDER BY 1) AS enabled,
           (SELECT count(*) FROM api_keys k WHERE k.customer_id = c.customer_id AND k.is_active) AS live_keys,
           (SELECT count(*) FROM billing_records b
            WHERE b.customer_id = c.customer_id AND b.status IN ('pending', 'failed')) AS unpaid_bills,
           (SELECT coalesce(sum(b.amount_usd_cents), 0)::bigint FROM billing_records b
            WHERE b.customer_id = c.customer_id AND b.status IN ('pending', 'failed')) AS unpaid_cents,
           EXISTS (SELECT FROM usage_records u
                   WHERE u.customer_id = c.customer_id AND u.billing_record_id IS NULL
                     AND u.charged_amount IS NULL) AS unbilled,
           (SELECT count(*) FROM refresh_tokens t
            WHERE t.customer_id = c.customer_id AND t.expires_at > now()) AS sessions
    FROM customers c WHERE c.customer_id = %(id)s
"""


@dataclass(frozen=True, slots=True)
class _Standing:
    status: str
    balance_cents: int | None
    enabled: list[str]
    live_keys: int
    unpaid_bills: int
    unpaid_cents: int
    unbilled: bool
    sessions: int

    @property
    def version(self) -> str:
        """The status and the money that is shown."""
        return f"{self.status} {self.balance_cents} {self.unpaid_bills} {self.unpaid_cents}"

    @property
    def in_the_way(self) -> str:
        """What has to be ended first; empty when nothing is."""
        services = f"enabled services ({', '.join(self.enabled)}): disable them first" if self.enabled else ""
        keys = f"{self.live_keys} live key(s): revoke them first" if self.live_keys else ""
        return "; ".join(part for part in (services, keys) if part)

    @property
    def consequences(self) -> tuple[str, ...]:
        """What is left behind, a line each."""
        balance = "not on record" if self.balance_cents is None else in_dollars(self.balance_cents)
        owed = f"{self.unpaid_bills} unpaid bill(s), {in_dollars(self.unpaid_cents)}" if self.unpaid_bills else ""
        lines = [
            "This is for good: no operation opens a closed customer again.",
            f"Balance in escrow: {balance}. {owed or 'No unpaid bill'}. Neither is settled by this.",
        ]
        if self.unbilled:
            lines.append("Usage that is metered and not billed yet comes on a final bill.")
        if self.sessions:
            lines.append(f"{self.sessions} dashboard session(s) stay until they are ended: customers end-sessions.")
        return (*lines, TELL_GATEWAYS)


@dataclass(frozen=True, slots=True)
class CloseCustomer(OfCustomer):
    """The end of a customer without live keys and enabled services."""

    action = "close-customer"
    topic = "customers"
    reaches_gateways = True
    writes = ("UPDATE public.customers",)

    customer_id: int
    version: str | None = None

    @property
    def shell(self) -> str:
        return f"opsdeck customers close {self.customer_id}"

    async def preview(self, connection: Connection) -> Preview:
        found = await self._read(connection)
        return Preview(
            title=f"Close customer {self.customer_id}",
            verb="Close",
            changes=(f"status: {found.status} → closed",),
            consequences=found.consequences,
            version=found.version,
            typed_phrase=f"close {self.customer_id}",
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        # First, in a statement of its own: a key or a service that comes meanwhile is then seen by the checks.
        await connection.execute(_LOCK, {"id": self.customer_id})
        found = await self._read(connection)
        if self.version is not None and found.version != self.version:
            raise Stale("the customer, its balance or its bills changed since they were shown; look at it again")
        await connection.execute(
            "UPDATE customers SET status = 'closed', updated_at = now() WHERE customer_id = %s", (self.customer_id,)
        )
        subject = f"customer:{self.customer_id}"
        left = {"current_balance_usd_cents": found.balance_cents, "unpaid_usd_cents": found.unpaid_cents}
        return Change(
            before={subject: {"status": found.status, **left}},
            after={subject: {"status": "closed", **left}},
            message=f"Customer {self.customer_id} is closed",
        )

    async def _read(self, connection: Connection) -> _Standing:
        cursor = connection.cursor(row_factory=class_row(_Standing))
        await cursor.execute(_SELECT, {"id": self.customer_id})
        found = await cursor.fetchone()
        if found is None:
            raise self.unknown
        if found.status == "closed":
            raise Refused(f"customer {self.customer_id} is closed already")
        if found.in_the_way:
            raise Refused(f"customer {self.customer_id} still has {found.in_the_way}")
        return found

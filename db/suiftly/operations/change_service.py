"""What a customer has of a service: on or off, and in which tier."""

from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, LiteralString

from psycopg.rows import class_row

from db.audit import Actor
from db.database import Connection
from db.errors import Refused, Stale
from db.operations import Change, Preview
from db.suiftly.keys.format import Service
from db.suiftly.money import in_dollars
from db.suiftly.operations.next_vault import TELL_GATEWAYS
from db.suiftly.operations.of_customer import OfCustomer
from db.suiftly.pricing import PriceBook, Tier

TIERS = ("starter", "pro", "enterprise")
"""As the database knows them; which of them can be had is for the price book to say."""

# The customer first: while it is being suspended or closed, its services stay as they are.
_LOCKS: tuple[LiteralString, ...] = (
    "SELECT FROM customers WHERE customer_id = %(customer)s FOR SHARE",
    "SELECT FROM service_instances WHERE customer_id = %(customer)s AND service_type = %(service)s FOR UPDATE",
)
_SELECT: LiteralString = """
    SELECT c.status, i.tier, i.is_enabled, i.config ->> 'suspended_for' AS suspended_for,
           (SELECT count(*) FROM api_keys k
            WHERE k.customer_id = c.customer_id AND k.service_type = i.service_type AND k.is_active) AS live_keys
    FROM customers c LEFT JOIN service_instances i
         ON i.customer_id = c.customer_id AND i.service_type = %(service)s
    WHERE c.customer_id = %(customer)s
"""
_STAYS_OFF = "It is off already; it will not come back by itself when the next period of the limit begins."


@dataclass(frozen=True, slots=True)
class _Standing:
    status: str  # of the customer
    tier: str | None  # None: the customer does not have the service
    is_enabled: bool | None
    suspended_for: str | None  # "limit": it comes back when the next period begins
    live_keys: int

    @property
    def version(self) -> str:
        # Not the xmin of the customer: billing writes that row all the time, and nothing shown here depends on it.
        return f"{self.status} {self.tier} {self.state}"

    @property
    def words(self) -> str:
        return f"{self.tier}, {self.state}"

    @property
    def state(self) -> str:
        if self.is_enabled:
            return "enabled"
        return f"suspended ({self.suspended_for})" if self.suspended_for else "disabled"


@dataclass(frozen=True, slots=True)
class _ChangeService(OfCustomer):
    """One change of one service; the subclasses say which."""

    topic = "customers"
    reaches_gateways = True
    writes = ("UPDATE public.service_instances", "UPDATE public.customers")

    customer_id: int
    service: Service
    version: str | None = field(default=None, kw_only=True)

    @abstractmethod
    def refusal(self, found: _Standing) -> str | None:
        """Why it cannot be done, or None."""

    @abstractmethod
    async def change(self, connection: Connection, found: _Standing) -> Change:
        """Writes it."""

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        for lock in _LOCKS:
            await connection.execute(lock, self._parameters)
        found = await self.read(connection)
        if self.version is not None and found.version != self.version:
            raise Stale(
                f"{self.service} of customer {self.customer_id} was changed by someone else since it was shown: it is "
                f"{found.words} now, the customer {found.status}; look at it again"
            )
        return await self.change(connection, found)

    async def read(self, connection: Connection) -> _Standing:
        """How it stands. Raises Refused when that does not allow the change."""
        cursor = connection.cursor(row_factory=class_row(_Standing))
        await cursor.execute(_SELECT, self._parameters)
        found = await cursor.fetchone()
        if found is None:
            raise self.unknown
        if found.status == "closed":
            raise Refused(f"customer {self.customer_id} is closed; that cannot be undone")
        if found.tier is None:
            raise Refused(f"customer {self.customer_id} does not have the service {self.service}")
        if refusal := self.refusal(found):
            raise Refused(refusal)
        return found

    def changed(self, name: str, before: Any, after: Any, message: str) -> Change:
        """For the record: one field of the service, under its customer."""
        subject, fact = f"customer:{self.customer_id}", f"{self.service}_{name}"
        return Change(before={subject: {fact: before}}, after={subject: {fact: after}}, message=message)

    @property
    def _parameters(self) -> dict[str, Any]:
        return {"customer": self.customer_id, "service": self.service.value}


@dataclass(frozen=True, slots=True)
class _Switch(_ChangeService):
    """On or off."""

    verb: ClassVar[str]
    on: ClassVar[bool]
    consequences: ClassVar[tuple[str, ...]]

    @property
    def shell(self) -> str:
        return f"opsdeck customers {self.verb.lower()} {self.customer_id} {self.service}"

    def refusal(self, found: _Standing) -> str | None:
        if found.state == self._word(self.on):
            return f"{self.service} of customer {self.customer_id} is {found.state} already"
        if self.on and found.status != "active":
            return f"customer {self.customer_id} is {found.status}; resume it before you enable a service"
        return None

    async def preview(self, connection: Connection) -> Preview:
        found = await self.read(connection)
        return Preview(
            title=f"{self.verb} {self.service} of customer {self.customer_id}",
            verb=self.verb,
            changes=(f"{self.service} ({found.tier}): {found.state} → {self._word(self.on)}",),
            consequences=(
                f"{found.live_keys} live {self.service} key(s) are affected; none of them is revoked.",
                *(self.consequences if found.is_enabled != self.on else (_STAYS_OFF,)),
                TELL_GATEWAYS,
            ),
            version=found.version,
            typed_phrase=str(self.customer_id) if found.is_enabled else None,
        )

    async def change(self, connection: Connection, found: _Standing) -> Change:
        await connection.execute(
            """UPDATE service_instances
               SET is_enabled = %(on)s, enabled_at = CASE WHEN %(on)s THEN now() ELSE enabled_at END,
                   disabled_at = CASE WHEN is_enabled THEN now() ELSE disabled_at END,
                   config = CASE WHEN config ? 'suspended_for' THEN config - 'suspended_for' ELSE config END
               WHERE customer_id = %(customer)s AND service_type = %(service)s""",
            {"on": self.on, "customer": self.customer_id, "service": self.service.value},
        )
        message = f"{self.service} of customer {self.customer_id} is {self._word(self.on)} now"
        if found.is_enabled == self.on:
            return self.changed("suspended_for", found.suspended_for, None, message)
        return self.changed("is_enabled", not self.on, self.on, message)

    @staticmethod
    def _word(on: bool) -> str:
        return "enabled" if on else "disabled"


@dataclass(frozen=True, slots=True)
class EnableService(_Switch):
    """Lets a service that the customer has be used."""

    action = "enable-service"
    verb = "Enable"
    on = True
    consequences = ("Its monthly fee counts the days from today.",)


@dataclass(frozen=True, slots=True)
class DisableService(_Switch):
    """Stops one service; reversible."""

    action = "disable-service"
    verb = "Disable"
    on = False
    consequences = ("Gateways will refuse their requests. The monthly fee counts the days until today.",)


@dataclass(frozen=True, slots=True)
class ChangeTier(_ChangeService):
    """Another tier, with its rates and its monthly fee, at once."""

    action = "change-tier"

    tier: str
    prices: PriceBook

    @property
    def shell(self) -> str:
        return f"opsdeck customers tier {self.customer_id} {self.service} {self.tier}"

    def refusal(self, found: _Standing) -> str | None:
        if found.tier == self.tier:
            return f"{self.service} of customer {self.customer_id} is in the tier {self.tier} already"
        if self._priced(self.tier) is None:
            return f"the price book {self.prices.label} has no tier {self.tier}, so no gateway would know its rates"
        return None

    async def preview(self, connection: Connection) -> Preview:
        found = await self.read(connection)
        before, after = self._priced(found.tier or ""), self._priced(self.tier)
        return Preview(
            title=f"Change the tier of {self.service} of customer {self.customer_id}",
            verb="Change",
            changes=(
                f"{self.service}: {found.tier} → {self.tier}",
                f"rates: {_rates(before)} → {_rates(after)}",
                f"monthly fee: {_fee(before)} → {_fee(after)}",
            ),
            consequences=(
                f"{found.live_keys} live {self.service} key(s) get the new rates; the service is {found.state} and "
                "stays so.",
                "The fee is charged by the day, each at the dearest tier that it saw.",
                TELL_GATEWAYS,
            ),
            version=found.version,
        )

    async def change(self, connection: Connection, found: _Standing) -> Change:
        await connection.execute(
            "UPDATE service_instances SET tier = %s WHERE customer_id = %s AND service_type = %s",
            (self.tier, self.customer_id, self.service.value),
        )
        message = f"{self.service} of customer {self.customer_id} is in the tier {self.tier} now"
        return self.changed("tier", found.tier, self.tier, message)

    def _priced(self, tier: str) -> Tier | None:
        return self.prices.tier(tier, datetime.now(UTC).date())


def _rates(tier: Tier | None) -> str:
    if tier is None:
        return "not in the price book"
    burst = f" and {tier.burst_rps:,}/s burst" if tier.burst_rps else ""
    return f"{tier.guaranteed_rps:,}/s{burst}"


def _fee(tier: Tier | None) -> str:
    if tier is None:
        return "none"
    return "agreed with each customer" if tier.month_cents is None else in_dollars(tier.month_cents)

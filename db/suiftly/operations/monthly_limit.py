"""The most that a customer can be charged in a month."""

from dataclasses import dataclass
from typing import LiteralString

from psycopg.rows import class_row

from db.audit import Actor
from db.database import Connection
from db.errors import Refused, Stale
from db.operations import Change, Preview
from db.suiftly.billing.spending import SPENT, UNPAID
from db.suiftly.money import in_dollars, parse_cents
from db.suiftly.operations.of_customer import OfCustomer
from db.suiftly.pricing import PriceBook

_SELECT: LiteralString = (
    "SELECT c.status, c.max_monthly_usd_cents AS limit_cents, "
    + SPENT
    + " + "
    + UNPAID
    + """ AS spent_cents
    FROM customers c WHERE c.customer_id = %(id)s"""
)


def parse_limit(text: str, prices: PriceBook) -> int | None:
    """Cents of "500" or "$12.50", of `default` what the price book says; None, no limit, of `unlimited` and of nothing.

    Raises ValueError with one sentence.
    """
    word = text.strip().lower()
    if word in ("", "unlimited"):
        return None
    if word == "default":
        if prices.default_limit_cents is None:
            raise ValueError("the price book names no default limit; write an amount in dollars, or unlimited")
        return prices.default_limit_cents
    if not word.strip("$0."):
        raise ValueError("a limit of 0 cannot be set: write unlimited for none, or suspend to stop all charges")
    try:
        return parse_cents(word)
    except ValueError:
        raise ValueError("write a limit in dollars, such as 500 or 12.50, or default, or unlimited") from None


def _words(cents: int | None) -> str:
    return "unlimited" if cents is None else in_dollars(cents)


@dataclass(frozen=True, slots=True)
class _Standing:
    status: str
    limit_cents: int | None
    spent_cents: int


@dataclass(frozen=True, slots=True)
class SetMonthlyLimit(OfCustomer):
    """Sets the limit to `cents`, within the bounds of the price book; None is no limit."""

    action = "set-limit"
    topic = "customers"
    writes = ("UPDATE public.customers",)

    customer_id: int
    cents: int | None
    prices: PriceBook
    version: str | None = None

    @property
    def shell(self) -> str:
        amount = "unlimited" if self.cents is None else f"{self.cents // 100}.{self.cents % 100:02}"
        return f"opsdeck customers limit {self.customer_id} {amount}"

    async def preview(self, connection: Connection) -> Preview:
        found = await self._read(connection, _SELECT)
        return Preview(
            title=f"Set the monthly limit of customer {self.customer_id}",
            verb="Set",
            changes=(f"monthly limit: {_words(found.limit_cents)} → {_words(self.cents)}",),
            consequences=(
                self._against(found.spent_cents),
                "The escrow contract keeps the limit that the customer set there. Gateways know no limit of money.",
            ),
            version=_words(found.limit_cents),
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        found = await self._read(connection, _SELECT + " FOR NO KEY UPDATE OF c")
        now = _words(found.limit_cents)
        if self.version is not None and now != self.version:
            raise Stale(f"the limit was changed by someone else since it was shown: it is {now} now; look at it again")
        await connection.execute(
            "UPDATE customers SET max_monthly_usd_cents = %s, updated_at = now() WHERE customer_id = %s",
            (self.cents, self.customer_id),
        )
        subject = f"customer:{self.customer_id}"
        return Change(
            before={subject: {"max_monthly_usd_cents": found.limit_cents}},
            after={subject: {"max_monthly_usd_cents": self.cents}},
            message=f"The monthly limit of customer {self.customer_id} is {_words(self.cents)} now",
        )

    def _against(self, spent: int) -> str:
        so_far = f"Spent in this period, with unpaid bills: {in_dollars(spent)}"
        if self.cents is None:
            return f"{so_far}. Without a limit every bill is made, whatever it comes to."
        if spent >= self.cents:
            return f"{so_far}, which uses the limit up: nothing more is billed before the next period."
        return f"{so_far}, {100 * spent // self.cents} % of the limit."

    async def _read(self, connection: Connection, query: LiteralString) -> _Standing:
        least, most = self.prices.minimum_limit_cents, self.prices.maximum_limit_cents
        if self.cents is not None and self.cents < least:
            raise Refused(f"the lowest limit of the price book is {in_dollars(least)}; write that much, or unlimited")
        if self.cents is not None and most is not None and self.cents > most:
            raise Refused(f"the highest limit of the price book is {in_dollars(most)}; write less, or unlimited")
        cursor = connection.cursor(row_factory=class_row(_Standing))
        await cursor.execute(query, {"id": self.customer_id, "period_days": self.prices.limit_period_days})
        found = await cursor.fetchone()
        if found is None:
            raise self.unknown
        if found.status == "closed":
            raise Refused(f"customer {self.customer_id} is closed; that cannot be undone")
        if found.limit_cents == self.cents:
            raise Refused(f"the monthly limit of customer {self.customer_id} is {_words(self.cents)} already")
        return found

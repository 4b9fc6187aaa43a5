"""Moving a bill from one status to another: what all such operations share, and those that touch no money."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, LiteralString
from uuid import UUID

from psycopg.rows import class_row

from db.audit import Actor
from db.database import Connection
from db.errors import Refused, Stale
from db.operations import Change, Operation, Preview
from db.suiftly.money import in_dollars

# The customer first, as everything that handles money locks.
_LOCK: LiteralString = "SELECT FROM customers WHERE customer_id = %(customer)s FOR NO KEY UPDATE"
_SELECT: LiteralString = """
    SELECT b.status, b.type, b.amount_usd_cents AS cents, b.billing_period_start AS begin, b.billing_period_end AS end,
           b.xmin::text || '.' || c.xmin::text AS version, c.current_balance_usd_cents AS balance,
           coalesce(c.current_month_start
                    < console.limit_period(c.current_month_start, %(period_days)s, current_date), false) AS period_over
    FROM billing_records b JOIN customers c USING (customer_id) WHERE b.id = %(bill)s AND customer_id = %(customer)s
"""


@dataclass(frozen=True, slots=True)
class Bill:
    status: str
    type: str
    cents: int
    begin: datetime
    end: datetime
    version: str
    balance: int | None
    period_over: bool  # monthly-reset is still to come: what is charged now would count to the month before


@dataclass(frozen=True, slots=True)
class MoveBill(Operation):
    """Moves one bill to the `target` status from one of `sources`; the subclasses say which."""

    topic = "billing"
    writes = ("UPDATE public.billing_records",)
    sources: ClassVar[tuple[str, ...]]
    target: ClassVar[str]
    verb: ClassVar[str]

    bill: UUID
    customer_id: int
    version: str | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        return (f"bill:{self.bill}", f"customer:{self.customer_id}")

    @property
    def shell(self) -> str:
        return f"opsdeck billing {self.verb.lower()} {self.bill}"

    async def preview(self, connection: Connection) -> Preview:
        found = await self.read(connection)
        return Preview(
            title=f"{self.verb} the bill of customer {self.customer_id} over {in_dollars(found.cents)}",
            verb=self.verb,
            changes=(f"{found.begin:%Y-%m-%d} to {found.end:%Y-%m-%d}: {found.status} → {self.target}",),
            consequences=await self.consequences(connection, found),
            version=found.version,
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        await connection.execute(_LOCK, {"customer": self.customer_id})
        found = await self.read(connection)
        if self.version is not None and found.version != self.version:
            raise Stale("the bill or its customer was changed by someone else since it was shown; look at it again")
        before, after = await self.move(connection, found)
        subject = f"bill:{self.bill}"
        return Change(
            before={subject: {"status": found.status}, **before},
            after={subject: {"status": self.target}, **after},
            message=f"The bill of customer {self.customer_id} over {in_dollars(found.cents)} is now {self.target}"
            + self.told,
        )

    @property
    def told(self) -> str:
        """What else the receipt says."""
        return ""

    async def consequences(self, connection: Connection, found: Bill) -> tuple[str, ...]:
        """What follows, a line each."""
        raise NotImplementedError

    async def move(self, connection: Connection, found: Bill) -> tuple[dict[str, object], dict[str, object]]:
        """Changes the bill; returns what else was before and is after, by subject."""
        await connection.execute("UPDATE billing_records SET status = %s WHERE id = %s", (self.target, self.bill))
        return {}, {}

    @property
    def limit_days(self) -> int:
        return 0

    async def read(self, connection: Connection) -> Bill:
        cursor = connection.cursor(row_factory=class_row(Bill))
        parameters = {"bill": self.bill, "customer": self.customer_id, "period_days": self.limit_days}
        found = await (await cursor.execute(_SELECT, parameters)).fetchone()
        if found is None:
            raise Refused(f"customer {self.customer_id} has no bill {self.bill}; look with `opsdeck billing list`")
        if found.type != "charge":
            raise Refused(f"this is a {found.type}, not a charge; it was settled when it was made")
        if found.status not in self.sources:
            raise Refused(
                f"the bill is {found.status}; only one that is {' or '.join(self.sources)} can be {self.target}"
            )
        return found


@dataclass(frozen=True, slots=True)
class FailBill(MoveBill):
    """Says that a charge did not go through."""

    action = "fail-bill"
    sources = ("pending",)
    target = "failed"
    verb = "Fail"

    async def consequences(self, connection: Connection, found: Bill) -> tuple[str, ...]:
        return ("It stays unpaid and counts against the spending limit; it can be retried or paid.",)


@dataclass(frozen=True, slots=True)
class RetryBill(MoveBill):
    """Puts a failed charge up for another try."""

    action = "retry-bill"
    sources = ("failed",)
    target = "pending"
    verb = "Retry"

    async def consequences(self, connection: Connection, found: Bill) -> tuple[str, ...]:
        return ("It waits for its payment again. Nothing is charged by this.",)

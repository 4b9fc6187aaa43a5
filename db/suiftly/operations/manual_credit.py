"""Giving a customer money back by hand."""

from dataclasses import dataclass
from typing import LiteralString

from db.audit import Actor
from db.database import Connection
from db.errors import Refused, Stale
from db.operations import Change, Preview
from db.suiftly.money import in_dollars
from db.suiftly.operations.of_customer import OfCustomer

_SELECT: LiteralString = """
    SELECT status, current_balance_usd_cents, xmin::text FROM customers WHERE customer_id = %(customer)s
"""


@dataclass(frozen=True, slots=True)
class ManualCredit(OfCustomer):
    """A credit on record: a bill of less than nothing for this month, a ledger entry, and the balance."""

    action = "manual-credit"
    topic = "billing"
    writes = ("INSERT public.billing_records", "INSERT public.ledger_entries", "UPDATE public.customers")

    customer_id: int
    cents: int
    version: str | None = None

    @property
    def shell(self) -> str:
        return f"opsdeck billing credit {self.customer_id} --amount {self.cents // 100}.{self.cents % 100:02}"

    async def preview(self, connection: Connection) -> Preview:
        balance, version = await self._read(connection, _SELECT)
        change = "the balance is not on record and stays so"
        if balance is not None:
            change = f"balance: {in_dollars(balance)} → {in_dollars(balance + self.cents)}"
        return Preview(
            title=f"Credit {in_dollars(self.cents)} to customer {self.customer_id}",
            verb="Credit",
            changes=(change,),
            consequences=(
                "The ledger gets a credit, and this month a bill of less than nothing. Neither is ever taken back.",
                "Nothing moves on the chain by this.",
            ),
            version=version,
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        balance, version = await self._read(connection, _SELECT + " FOR NO KEY UPDATE")
        if self.version is not None and version != self.version:
            raise Stale("the customer was changed by someone else since it was shown; look at it again")
        cursor = await connection.execute(
            """INSERT INTO billing_records
                   (customer_id, billing_period_start, billing_period_end, amount_usd_cents, type, status)
               VALUES (%s, date_trunc('month', now(), 'UTC'),
                       date_trunc('month', now(), 'UTC') + interval '1 month', %s, 'credit', 'paid') RETURNING id""",
            (self.customer_id, -self.cents),
        )
        row = await cursor.fetchone()
        assert row is not None  # noqa: S101 - INSERT RETURNING
        await connection.execute(
            """INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, description, invoice_id)
               VALUES (%s, 'credit', %s, %s, %s)""",
            (self.customer_id, self.cents, reason, str(row[0])),
        )
        await connection.execute(
            """UPDATE customers SET current_balance_usd_cents = current_balance_usd_cents + %s
               WHERE customer_id = %s""",
            (self.cents, self.customer_id),
        )
        subject = f"customer:{self.customer_id}"
        return Change(
            before={subject: {"current_balance_usd_cents": balance}},
            after={
                subject: {"current_balance_usd_cents": None if balance is None else balance + self.cents},
                f"bill:{row[0]}": {"type": "credit", "amount_usd_cents": -self.cents},
            },
            message=f"Customer {self.customer_id} was credited {in_dollars(self.cents)}",
        )

    async def _read(self, connection: Connection, query: LiteralString) -> tuple[int | None, str]:
        if self.cents <= 0:
            raise Refused("a credit is more than nothing")
        row = await (await connection.execute(query, {"customer": self.customer_id})).fetchone()
        if row is None:
            raise self.unknown
        status, balance, version = row
        if status == "closed":
            raise Refused(f"customer {self.customer_id} is closed; its account is settled outside of opsdeck")
        return balance, str(version)

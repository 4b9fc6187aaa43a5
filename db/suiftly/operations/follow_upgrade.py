"""Putting the account on record that a customer's escrow account was upgraded to."""

from dataclasses import dataclass, replace
from typing import LiteralString, Self

from db.audit import Actor
from db.chain.values import ObjectId
from db.database import Connection, Database
from db.errors import DatabaseError, Refused, Stale
from db.operations import Change, Preview
from db.suiftly.escrow.books import EscrowBooks, Successor
from db.suiftly.escrow.contract import EscrowChain
from db.suiftly.operations.asks_chain import AsksChain
from db.suiftly.operations.of_customer import OfCustomer

_ON_RECORD: LiteralString = "SELECT escrow_contract_id FROM customers WHERE customer_id = %(customer)s"
_SOMEBODY_ELSE: LiteralString = "SELECT customer_id FROM customers WHERE escrow_contract_id = %(account)s"
_WAITING: LiteralString = """
    SELECT count(*) FROM console.chain_event
    WHERE account_id = %(account)s AND outcome = 'unmatched' AND kind IS NOT NULL
"""
_MOVE: LiteralString = "UPDATE customers SET escrow_contract_id = %(account)s WHERE customer_id = %(customer)s"


@dataclass(frozen=True, slots=True)
class FollowUpgrade(OfCustomer, AsksChain):
    """The chain says which account that is; nobody types it."""

    action = "follow-upgrade"
    topic = "customers"
    writes = ("UPDATE public.customers",)

    customer_id: int
    to: ObjectId | None = None  # refused when it is any other
    found: Successor | None = None
    trouble: str | None = None
    version: str | None = None

    async def informed(self, database: Database, chain: EscrowChain | None) -> Self:
        """With the account that goes on now, or with why that cannot be told."""
        try:
            found = await EscrowBooks(database, chain).successor(self.customer_id)
        except DatabaseError as error:
            return replace(self, found=None, trouble=str(error))
        return replace(self, found=found, trouble=None)

    @property
    def shell(self) -> str:
        """With the account, so that an approval is for it alone."""
        to = self.to or (self.found and self.found.after.account)
        return f"opsdeck chain follow {self.customer_id}" + (f" --to {to}" if to else "")

    async def preview(self, connection: Connection) -> Preview:
        found = await self._checked(connection)
        parameters = {"account": found.after.account}
        waiting = await (await connection.execute(_WAITING, parameters)).fetchone()
        count = waiting[0] if waiting else 0
        follow = f"{count} event(s) of it wait, and follow with the next `opsdeck chain sync`."
        return Preview(
            title=f"Follow the upgrade of customer {self.customer_id}'s escrow account",
            verb="Follow",
            changes=(f"escrow account: {found.before} → {found.after.account}",),
            consequences=(
                f"It holds {found.after.balance} and belongs to the same wallet.",
                *((follow,) if count else ()),
                "What is on the books stays there.",
            ),
            version=_version(found),
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        found = await self._checked(connection, lock=True)
        if self.version is not None and self.version != _version(found):
            raise Stale("the account was upgraded again since it was shown; look at it again")
        account, subject = found.after.account, f"customer:{self.customer_id}"
        await connection.execute(_MOVE, {"account": account, "customer": self.customer_id})
        return Change(
            before={subject: {"escrow_contract_id": found.before}},
            after={subject: {"escrow_contract_id": account}},
            message=f"The escrow account of customer {self.customer_id} is {account} now",
        )

    async def _checked(self, connection: Connection, *, lock: bool = False) -> Successor:
        """The account that goes on, while nothing speaks against it. Raises Refused or Stale."""
        found = self.found
        if found is None:
            raise Refused(self.trouble or "the chain was not asked")
        account = found.after.account
        parameters = {"customer": self.customer_id, "account": account}
        query: LiteralString = _ON_RECORD + (" FOR NO KEY UPDATE" if lock else "")
        if await (await connection.execute(query, parameters)).fetchone() != (found.before,):
            raise Stale("the account on record has changed since the chain was asked; look at it again")
        other = await (await connection.execute(_SOMEBODY_ELSE, parameters)).fetchone()
        if other is not None:
            raise Refused(f"the account {account} is on record for customer {other[0]}; correct that first")
        if self.to not in (None, account):
            raise Refused(f"the account goes on as {account}, not as {self.to}")
        return found


def _version(found: Successor) -> str:
    return f"{found.before} {found.after.account}"

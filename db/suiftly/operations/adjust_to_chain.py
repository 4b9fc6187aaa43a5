"""Bringing ledger and cached balance of one customer to what the escrow account on the chain says."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Self

from db.audit import Actor
from db.chain.units import Cents, Usdc
from db.database import Connection, Database
from db.errors import DatabaseError, Refused, Stale
from db.operations import Change, Preview
from db.suiftly.escrow.books import EscrowBooks, read_books
from db.suiftly.escrow.contract import EscrowChain
from db.suiftly.escrow.drift import AccountBooks, CheckedAccount
from db.suiftly.money import exact_dollars
from db.suiftly.operations.asks_chain import AsksChain
from db.suiftly.operations.of_customer import OfCustomer

_MOVED = "the books or the account moved since they were compared; look at it again"


@dataclass(frozen=True, slots=True)
class Correction:
    """What it takes. What is below a cent stays: no ledger holds it."""

    target: Cents  # of the ledger, and of the cached balance where there is one
    ledger: Cents
    cached: Cents | None
    below: Usdc

    @property
    def needed(self) -> bool:
        return bool(self.ledger) or bool(self.cached)


def correction(books: AccountBooks, expected_usd: Decimal) -> Correction:
    """From what the account should amount to, the rests that the ledger never held aside."""
    units = Usdc(int(expected_usd * 1_000_000)) - Usdc(books.rest_usdc)
    target, below = units.cents()
    cached = None if books.cached_cents is None else target - Cents(books.cached_cents)
    return Correction(target, target - Cents(books.ledger_cents), cached, below)


@dataclass(frozen=True, slots=True)
class AdjustToChain(OfCustomer, AsksChain):
    """One ledger entry over the difference, and the cached balance. Never while events wait or were not read yet: they
    would count twice."""

    action = "adjust-to-chain"
    topic = "customers"
    writes = ("INSERT public.ledger_entries", "UPDATE public.customers")

    customer_id: int
    to: Cents | None = None  # refused when it comes to anything else
    found: CheckedAccount | None = None
    trouble: str | None = None
    version: str | None = None

    async def informed(self, database: Database, chain: EscrowChain | None) -> Self:
        """With the account as it is now, or with why that cannot be told."""
        try:
            found = await EscrowBooks(database, chain).checked_one(self.customer_id)
        except DatabaseError as error:
            return replace(self, found=None, trouble=str(error))
        return replace(self, found=found, trouble=None if found else "no escrow account is on record")

    @property
    def weight(self) -> int:
        """The cents that it moves."""
        if self.found is None or self.found.expected_usd is None:
            return 1
        needed = correction(self.found.books, self.found.expected_usd)
        return max(1, abs(needed.ledger.value), abs(needed.cached.value if needed.cached else 0))

    @property
    def shell(self) -> str:
        """With the sum, so that an approval is for it alone."""
        to = self.to
        if to is None and self.found is not None and self.found.expected_usd is not None:
            to = correction(self.found.books, self.found.expected_usd).target
        return f"opsdeck chain adjust {self.customer_id}" + ("" if to is None else f" --to {to.dollars.value:.2f}")

    async def preview(self, connection: Connection) -> Preview:
        found, needed = await self._needed(connection)
        books = found.books
        causes = tuple(f"The {drift.figure} is {drift.words}: {drift.cause}." for drift in found.drifts)
        return Preview(
            title=f"Adjust customer {self.customer_id} to the chain: {needed.target}",
            verb="Adjust",
            changes=_changes(books, needed),
            consequences=(
                f"The account holds {_usd(found.balance_usd)}, {_usd(found.after_charges_usd)} less charges; "
                f"{_usd(found.expected_usd)} is expected. The mirror says {_usd(books.mirror_usd)} and stays.",
                *causes,
                *((f"{needed.below} are below a cent and stay out of the books.",) if needed.below else ()),
                *(("The entry is never taken back.",) if needed.ledger else ()),
                "Nothing moves on the chain by this.",
            ),
            version=_version(found),
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        await connection.execute("SELECT FROM customers WHERE customer_id = %s FOR NO KEY UPDATE", (self.customer_id,))
        found, needed = await self._needed(connection)
        if self.version is not None and self.version != _version(found):
            raise Stale(_MOVED)
        books, after = found.books, {"ledger_usd_cents": needed.target.value}
        if needed.ledger:
            await connection.execute(
                "INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, description) VALUES (%s, %s, %s, %s)",
                (
                    self.customer_id,
                    "credit" if needed.ledger > Cents(0) else "charge",
                    needed.ledger.value,
                    f"Adjusted to the chain: {reason}",
                ),
            )
        if needed.cached is not None:
            after["current_balance_usd_cents"] = needed.target.value
            await connection.execute(
                "UPDATE customers SET current_balance_usd_cents = %s WHERE customer_id = %s",
                (needed.target.value, self.customer_id),
            )
        before = {"ledger_usd_cents": books.ledger_cents, "current_balance_usd_cents": books.cached_cents}
        subject = f"customer:{self.customer_id}"
        return Change(
            before={subject: {name: before[name] for name in after}},
            after={subject: after | {"account": books.account, "account_usd": str(found.balance_usd)}},
            message=f"The books of customer {self.customer_id} come to {needed.target} now, as the chain does",
        )

    async def _needed(self, connection: Connection) -> tuple[CheckedAccount, Correction]:
        """What there is to correct, while that is safe."""
        found = self.found
        if found is None or found.expected_usd is None:
            why = self.trouble or (found.drifts[0].cause if found else "the chain was not asked")
            raise Refused(f"the account cannot be read: {why}")
        if found.goes_on_as is not None:
            raise Refused(f"the account was upgraded: `opsdeck chain follow {self.customer_id}` first")
        now = await read_books(connection, self.customer_id, found.newest)
        if now is None or replace(now, at=found.books.at) != found.books:
            raise Stale(_MOVED)
        if now.waiting:
            raise Refused(f"{now.waiting} event(s) of the account wait for a decision: `opsdeck chain events` first")
        if not now.newest_is_known:
            raise Refused("the account's last transaction is not in the inbox: run `opsdeck chain sync` first")
        needed = correction(now, found.expected_usd)
        if not needed.needed:
            raise Refused(f"ledger and cached balance come to {needed.target} already, as the chain does")
        if self.to not in (None, needed.target):
            raise Refused(f"the chain comes to {needed.target}, not to {self.to}")
        return found, needed


def _changes(books: AccountBooks, needed: Correction) -> tuple[str, ...]:
    entry = "a credit" if needed.ledger > Cents(0) else "a charge"
    ledger = f"ledger: {Cents(books.ledger_cents)} → {needed.target}, by {entry} of {needed.ledger}"
    if not needed.ledger:
        ledger = f"ledger: {needed.target}, as it is"
    if books.cached_cents is None:
        return ledger, "the cached balance is not on record and stays so"
    return ledger, f"cached balance: {Cents(books.cached_cents)} → {needed.target}"


def _usd(amount: Decimal | None) -> str:
    return "-" if amount is None else exact_dollars(amount)


def _version(found: CheckedAccount) -> str:
    books = found.books
    figures = (found.balance_usd, books.ledger_cents, books.cached_cents, books.mirror_usd, books.charged_usd)
    return " ".join(map(str, figures))

"""The money of invented customers, as values: bills from usage, the ledger, and its mirror on the chain.

Rules, so that every later screen can recompute what it shows, with the prices and the rounding of the price book:
- Every midnight a customer is billed whose open usage reached the threshold; on the 1st everybody is, with the fees of
  the month. A bill is the sum of its records and fees, rounded, and never spans two calendar months (UTC).
- A paid bill has one ledger charge (negative) and one escrow charge (positive, USDC) with the same digest.
- A charge counts to the month in which it was made, as on the chain, not to the month it bills.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final
from uuid import UUID

from db.chain.base58 import encode as base58
from db.errors import Refused
from db.suiftly.billing.rules import Fee, OpenItem, draft, month_of
from db.suiftly.pricing import PriceBook, UsagePrice
from db.suiftly.simulation.usage import Usage

SUI: Final = f"0x{2:064x}::sui::SUI"
USDC: Final = "0xdba34672e30cb065b1f93e3ab55318768fd6fef66c15942c9f7cb846e2f900e7::usdc::USDC"

_RUN_DELAY: Final = timedelta(minutes=5)


@dataclass(slots=True)
class Bill:
    """One future billing record. Cents are positive for a charge, negative for a credit or refund."""

    id: UUID
    begin: datetime
    end: datetime
    cents: int
    type: str
    status: str
    created_at: datetime
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One future ledger entry and its escrow row: cents signed as in the ledger, mist and rate only for SUI."""

    id: UUID
    type: str
    cents: int
    at: datetime
    digest: str
    description: str
    invoice: str | None = None
    mist: int | None = None
    rate_cents: int | None = None

    @property
    def coins(self) -> Decimal:
        """Amount of the escrow row: SUI coins for a deposit in SUI, else USD; never negative."""
        return Decimal(abs(self.cents)) / 100 if self.mist is None else Decimal(self.mist) / 1_000_000_000


@dataclass(slots=True)
class Account:
    """Bills and ledger of one customer. `usage` is in order of time and points into `bills`.

    `fees` are what each month costs beside the usage; `billed_fees` those that are on a bill, with their month.
    """

    customer_id: int
    usage: list[Usage]
    fees: dict[datetime, list[Fee]] = field(default_factory=dict[datetime, list[Fee]])
    billed_fees: list[tuple[datetime, Fee, UUID]] = field(default_factory=list[tuple[datetime, Fee, UUID]])
    bills: list[Bill] = field(default_factory=list[Bill])
    entries: list[Entry] = field(default_factory=list[Entry])

    @property
    def balance(self) -> int:
        """Cents: the sum of the ledger."""
        return sum(entry.cents for entry in self.entries)

    def charged(self, since: datetime, until: datetime) -> int:
        """Cents charged in [since, until), positive."""
        return -sum(entry.cents for entry in self.entries if entry.type == "charge" and since <= entry.at < until)


def bill_usage(random: Random, account: Account, prices: PriceBook, begin: datetime, until: datetime) -> None:
    """Makes the account's bills by the rules above, all of them `paid` for now; `begin` is hour 0 of the usage.

    Nights after `until` are left to calculate-bills.
    """
    items: list[OpenItem] = []
    since, following = begin, 0
    for boundary in range(-begin.hour % 24 or 24, int((until - begin) / timedelta(hours=1)) + 1, 24):
        at = begin + timedelta(hours=boundary)
        month = month_of(at - timedelta(hours=1))
        usage_prices = _usage_prices(prices, at)
        while following < len(account.usage) and account.usage[following].hour < boundary:
            row = account.usage[following]
            row.units = usage_prices[row.service].units(row.requests, row.bytes_sent)
            items.append(OpenItem("usage", following, begin + timedelta(hours=row.hour), row.units))
            following += 1
        fees = account.fees.get(month, []) if at.day == 1 else []
        items += [OpenItem("fee", nth, at - timedelta(hours=1), fee.units) for nth, fee in enumerate(fees)]
        found = draft(prices, items, max(since, month), at, final=at.day == 1, room_cents=None)
        if found is None:
            continue
        for item in found.items:
            if item.kind == "usage":
                account.usage[item.row].bill = len(account.bills)
        bill = Bill(
            id=_uuid(random),
            begin=found.begin,
            end=found.end,
            cents=found.cents,
            type="charge",
            status="paid",
            created_at=at + _RUN_DELAY + timedelta(seconds=random.random() * 60),
        )
        account.bills.append(bill)
        account.billed_fees += [(month, fee, bill.id) for fee in fees]
        since, items = at, []


def _usage_prices(prices: PriceBook, at: datetime) -> dict[str, UsagePrice]:
    """In force on the day that ends at `at`."""
    found = prices.at(at - timedelta(hours=1))
    if found is None:
        raise Refused(f"the price book {prices.name} has no prices for {at:%Y-%m-%d}; nothing can be invented there")
    return found.usage


def void_duplicate(random: Random, account: Account) -> None:
    """Adds a voided bill: the last one's period was billed twice by mistake. No usage belongs to it."""
    last = account.bills[-1]
    wrong = Bill(_uuid(random), last.begin, last.end, last.cents * 2, "charge", "voided", last.created_at)
    account.bills.append(wrong)


def settle(random: Random, account: Account, joined: datetime) -> None:
    """Writes the ledger: deposits early enough that the balance never is below zero, then a charge per paid bill.

    A failed bill finds less money than it asks for: the customer withdrew the rest a day before.
    """
    balance = 0
    for bill in account.bills:
        if bill.type != "charge" or bill.status not in {"paid", "failed"}:
            continue
        if bill.status == "failed":
            surplus = balance - random.randrange(max(1, min(balance + 1, bill.cents)))
            if surplus > 0:
                account.entries.append(_withdrawal(random, surplus, bill.created_at - timedelta(hours=20)))
                balance -= surplus
            continue
        if balance < bill.cents:
            # Sized so that most customers top up a few times a month.
            cents = max(2_000, -(-bill.cents * random.randint(3, 8) // 1_000) * 1_000)
            at = max(joined, bill.created_at - timedelta(hours=2 + random.random() * 30))
            account.entries.append(deposit(random, cents, at))
            balance += cents
        bill.digest = base58(random.randbytes(32))
        charged_at = bill.created_at + timedelta(seconds=20 + random.random() * 100)
        description = f"Usage {bill.begin:%Y-%m-%d} to {bill.end:%Y-%m-%d}"
        account.entries.append(
            Entry(_uuid(random), "charge", -bill.cents, charged_at, bill.digest, description, invoice=str(bill.id))
        )
        balance -= bill.cents


def deposit(random: Random, cents: int, at: datetime) -> Entry:
    """A deposit; two in five come in SUI, at 245 to 390 cents. Mist divisible by 10: escrow amounts have 8 places."""
    digest = base58(random.randbytes(32))
    if random.random() < 0.6:
        return Entry(_uuid(random), "deposit", cents, at, digest, "Deposit in USDC")
    rate = random.randint(245, 390)
    mist = cents * 100_000_000 // rate * 10
    return Entry(_uuid(random), "deposit", cents, at, digest, "Deposit in SUI", mist=mist, rate_cents=rate)


def give_back(random: Random, account: Account, kind: str, cents: int, at: datetime) -> None:
    """A credit or a refund: a negative billing record, a positive ledger entry and an escrow credit, one digest."""
    digest = base58(random.randbytes(32))
    last = account.bills[-1]
    bill = Bill(_uuid(random), last.begin, last.end, -cents, kind, "paid", at, digest)
    account.bills.append(bill)
    words = {"credit": "Goodwill credit for the outage", "refund": "Refund of a double charge"}[kind]
    account.entries.append(Entry(_uuid(random), "credit", cents, at, digest, words, invoice=str(bill.id)))


def retired(random: Random, account: Account, joined: datetime, left: datetime) -> None:
    """A closed customer: deposited once, withdrew all of it when leaving."""
    cents = random.randint(2, 20) * 1_000
    account.entries.append(deposit(random, cents, joined))
    account.entries.append(_withdrawal(random, cents, left))


def choose(random: Random, accounts: Sequence[Account], count: int) -> list[Account]:
    """Up to `count` of the accounts, in a random order."""
    return random.sample(accounts, min(count, len(accounts)))


def _withdrawal(random: Random, cents: int, at: datetime) -> Entry:
    return Entry(_uuid(random), "withdrawal", -cents, at, base58(random.randbytes(32)), "Withdrawal to the wallet")


def _uuid(random: Random) -> UUID:
    return UUID(int=random.getrandbits(128), version=4)

"""What every invented customer used, was billed and paid, as values: nothing here touches a database."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from db.suiftly.billing.rules import Fee, ServiceSpan, month_of, monthly_fees
from db.suiftly.pricing import PriceBook, load_prices
from db.suiftly.simulation.accounts import (
    Account,
    bill_usage,
    choose,
    give_back,
    retired,
    settle,
    void_duplicate,
)
from db.suiftly.simulation.cast import total_weight
from db.suiftly.simulation.usage import Consumer, invent_usage, week_shape

# Limits offered to a customer whose charges outgrew its own; None is unlimited.
_LADDER: Final = (50_000, 100_000, 200_000, 500_000)


@dataclass(frozen=True, slots=True)
class Person:
    """A customer with an escrow as read from the database; `services` as they were when the month began."""

    customer_id: int
    status: str
    created_at: datetime
    updated_at: datetime
    limit_cents: int | None
    services: tuple[str, ...]
    spans: tuple[ServiceSpan, ...]
    live_keys: dict[str, int]


def _fees(prices: PriceBook, person: Person, begin: datetime, billed: datetime) -> dict[datetime, list[Fee]]:
    """The fees of the month that ended last, if it ended within the history, and the person was there for it."""
    ended = month_of(billed)
    month = month_of(ended - timedelta(days=1))
    found = prices.at(month)
    gone = person.status != "active" and person.updated_at < ended
    if ended <= begin or found is None or gone:
        return {}
    return {month: monthly_fees(found, person.spans, person.live_keys, 0, month)}


def invent_accounts(
    random: Random, people: list[Person], begin: datetime, end: datetime, billed: datetime
) -> list[Account]:
    prices = load_prices()
    shape = week_shape(begin, int((end - begin) / timedelta(hours=1)))
    total = total_weight(len(people))
    accounts: list[Account] = []
    for rank, person in enumerate(people):
        gone = person.updated_at if person.status != "active" else end
        consumer = Consumer(person.customer_id, rank, person.services, person.created_at, gone)
        usage = invent_usage(random, consumer, begin, shape, total)
        account = Account(person.customer_id, usage, _fees(prices, person, begin, billed))
        bill_usage(random, account, prices, begin, billed)
        accounts.append(account)
    _vary(random, [account for account in accounts if account.bills])
    for person, account in zip(people, accounts, strict=True):
        if person.status == "closed":
            retired(random, account, person.created_at, person.updated_at)
        else:
            settle(random, account, person.created_at)
    settled = [account for account in accounts if account.bills and account.bills[-1].status == "paid"]
    settled.sort(key=lambda account: -account.bills[-1].cents)
    for kind, account in zip(("credit", "refund"), choose(random, settled[:20], 2), strict=False):
        cents = min(250, account.bills[-1].cents)
        give_back(random, account, kind, cents, account.bills[-1].created_at + timedelta(hours=1))
    return accounts


def _vary(random: Random, billed: list[Account]) -> None:
    """Not every last bill is paid: 1.5 % are pending, 1 % failed, 0.3 % followed by a voided duplicate; 2 at least."""
    count = len(billed)
    pending, failed, doubled = max(2, count * 15 // 1000), max(2, count // 100), max(2, count * 3 // 1000)
    for nth, account in enumerate(choose(random, billed, pending + failed + doubled)):
        if nth < pending:
            account.bills[-1].status = "pending"
        elif nth < pending + failed:
            account.bills[-1].status = "failed"
        else:
            void_duplicate(random, account)


@dataclass(frozen=True, slots=True)
class Closing:
    """What is in a customer's row when the history ends, in cents; `limit` None is unlimited."""

    customer_id: int
    balance: int
    current_month: int
    last_month: int
    limit: int | None


def closings(random: Random, people: Sequence[Person], accounts: Sequence[Account], now: datetime) -> Iterator[Closing]:
    month = month_of(now)
    previous = month_of(month - timedelta(days=1))
    for person, one in zip(people, accounts, strict=True):
        current, last = one.charged(month, now + timedelta(days=1)), one.charged(previous, month)
        limit = _limit(random, person.limit_cents, max(current, last))
        yield Closing(one.customer_id, one.balance, current, last, limit)


def _limit(random: Random, limit: int | None, charged: int) -> int | None:
    """Raises a limit that was passed; one such customer in four stands just below its new one (93 to 99 %)."""
    if limit is None or charged <= limit:
        return limit
    if random.random() < 0.25:
        return charged * 100 // random.randint(93, 99)
    return next((step for step in _LADDER if step >= charged), None)

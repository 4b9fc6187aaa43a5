"""The rules of billing, as values: what a month's fees are, and what goes on a bill. Nothing here touches a database.

A bill never spans two months (UTC) and ends at a midnight, or at the hour where the spending limit cut it. It takes
everything open that is older than its end: first what earlier bills left or late rows added, then its own hours.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Literal

from db.suiftly.pricing import UNITS_PER_CENT, PriceBook, PriceList

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class OpenItem:
    """One open usage record, or one open fee. `at` is its hour; a fee's is the last of its month."""

    kind: Literal["usage", "fee"]
    row: int  # record_id or fee_id
    at: datetime
    units: int  # of 10^-8 USD


@dataclass(frozen=True, slots=True)
class Draft:
    """What one run makes of a customer's open items: a bill, or what keeps it from being one.

    The next one begins at `end`. `left_units` is what is old enough but stays open because of the limit.
    """

    begin: datetime
    end: datetime
    items: tuple[OpenItem, ...]
    cents: int
    left_units: int = 0


def month_of(moment: datetime) -> datetime:
    """The begin of its month (UTC)."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(moment: datetime) -> datetime:
    """The begin of the month after it (UTC)."""
    return month_of(month_of(moment) + 31 * _DAY)


def midnight(day: date) -> datetime:
    """The begin of a day (UTC)."""
    return datetime.combine(day, time(), UTC)


def draft(
    book: PriceBook, items: Iterable[OpenItem], begin: datetime, end: datetime, *, final: bool, room_cents: int | None
) -> Draft | None:
    """The bill for [begin, end), or None when nothing is due.

    `final` takes what is below the threshold too: the month closes, or the customer is. `room_cents` is what the
    spending limit leaves, None without one: whole hours and whole fees are taken, oldest first, while they fit.
    """
    due = sorted((item for item in items if item.at < end), key=lambda item: (item.at, item.kind == "fee", item.row))
    total = sum(item.units for item in due)
    if book.cents(total) == 0:
        return None
    threshold = book.charge_threshold_cents
    if not final and (threshold is None or total < threshold * UNITS_PER_CENT):
        # What an earlier run left for want of room is told until there is room.
        fits = room_cents is None or book.cents(total) <= room_cents
        return None if fits else Draft(begin, end, (), 0, total)
    taken, left = _fitting(book, due, room_cents)
    if not taken:
        return Draft(begin, end, (), 0, total)
    cut = left[0].at if left and left[0].kind == "usage" and left[0].at > begin else end
    worth = sum(item.units for item in taken)
    return Draft(begin, cut, tuple(taken), book.cents(worth), total - worth)


def _fitting(
    book: PriceBook, due: Sequence[OpenItem], room_cents: int | None
) -> tuple[list[OpenItem], Sequence[OpenItem]]:
    if room_cents is None:
        return list(due), ()
    taken: list[OpenItem] = []
    worth = 0
    for _, group in groupby(due, key=lambda item: (item.at, item.row if item.kind == "fee" else 0)):
        together = list(group)
        worth += sum(item.units for item in together)
        if book.cents(worth) > room_cents:
            break
        taken += together
    # Alone, items worth less than a cent make no bill.
    return (taken, due[len(taken) :]) if book.cents(sum(item.units for item in taken)) else ([], due)


@dataclass(frozen=True, slots=True)
class ServiceSpan:
    """A time [since, until) in which a service was on, all of it in one tier; None while it lasts."""

    service: str
    tier: str
    since: datetime
    until: datetime | None

    def days_in(self, month: datetime) -> range:
        """Days (UTC) of the month on which it was on for some time."""
        end = next_month(month)
        first, last = max(self.since, month), min(self.until or end, end)
        if last <= first:
            return range(0)
        return range(first.astimezone(UTC).day, (last - timedelta(microseconds=1)).astimezone(UTC).day + 1)


@dataclass(frozen=True, slots=True)
class Fee:
    """One monthly fee. `service` is None for what the customer as a whole pays."""

    service: str | None
    item: str  # "tier", "api_key", "seal_key"
    detail: str
    units: int


def monthly_fees(
    prices: PriceList, spans: Iterable[ServiceSpan], live_keys: Mapping[str, int], seal_keys: int, month: datetime
) -> list[Fee]:
    """What a customer owes for a month beside its usage. Tiers that the list does not price cost nothing here.

    `live_keys` are the API keys of each service that were live when the month ended.
    """
    on = [one for one in spans if one.days_in(month)]
    fees = _tier_fees(prices, on, month)
    for service in dict.fromkeys(one.service for one in on):
        fees += _beyond(prices, "api_key", service, live_keys.get(service, 0))
    if on:
        fees += _beyond(prices, "seal_key", None, seal_keys)
    return [fee for fee in fees if fee.units > 0]


def _tier_fees(prices: PriceList, spans: Iterable[ServiceSpan], month: datetime) -> list[Fee]:
    """A day counts once, for the service or for the customer as the prices say, at the dearest tier that it saw.

    By the tier that a day ends with, who moves down for each midnight would never pay for what it is served by day.
    """
    months = {name: tier.month_cents for name, tier in prices.tiers.items() if tier.month_cents is not None}
    payers: dict[str | None, dict[int, str]] = {}
    for one in spans:
        if one.tier not in months:
            continue
        days = payers.setdefault(one.service if prices.fees_per == "service" else None, {})
        for day in one.days_in(month):
            days[day] = max(days.get(day, one.tier), one.tier, key=months.__getitem__)
    length = (next_month(month) - month).days
    fees: list[Fee] = []
    for payer, days in payers.items():
        cents = sum(months[tier] for tier in days.values())
        fees.append(Fee(payer, "tier", _in_words(days, length), cents * UNITS_PER_CENT // length))
    return fees


def _in_words(tiers: Mapping[int, str], length: int) -> str:
    """The tiers of a month's days, in their order: "pro", "pro, 12 of 30 days", "starter 10, pro 20 of 30 days"."""
    counts = Counter(tiers[day] for day in sorted(tiers))
    if len(counts) > 1:
        return ", ".join(f"{tier} {days}" for tier, days in counts.items()) + f" of {length} days"
    [(tier, days)] = counts.items()
    return tier if days == length else f"{tier}, {days} of {length} days"


def _beyond(prices: PriceList, item: str, service: str | None, count: int) -> list[Fee]:
    add_on = prices.add_ons.get(item)
    if add_on is None or count <= add_on.included:
        return []
    extra = count - add_on.included
    return [Fee(service, item, f"{extra} beyond {add_on.included}", extra * add_on.month_cents * UNITS_PER_CENT)]

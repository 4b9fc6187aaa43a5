"""The rules of billing, as values: what a month's fees are, and what goes on a bill. Nothing here touches a database.

A bill never spans two months (UTC) and ends at a midnight, or at the hour where the spending limit cut it. It takes
everything open that is older than its end: first what earlier bills left or late rows added, then its own hours.
"""

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
    """A service as its row tells: the last time it was switched on and off."""

    service: str
    tier: str
    is_enabled: bool
    enabled_at: datetime | None
    disabled_at: datetime | None
    live_keys: int  # API keys that were live when the month ended

    def days_in(self, month: datetime) -> int:
        """Days (UTC) of the month on which it was on for some time; 0 when its row does not say."""
        end = next_month(month)
        until = end if self.is_enabled else self.disabled_at
        if self.enabled_at is None or until is None:
            return 0
        first, last = max(self.enabled_at, month), min(until, end)
        if last <= first:
            return 0
        return ((last - timedelta(microseconds=1)).astimezone(UTC).date() - first.astimezone(UTC).date()).days + 1


@dataclass(frozen=True, slots=True)
class Fee:
    """One monthly fee. `service` is None for what the customer as a whole pays."""

    service: str | None
    item: str  # "tier", "api_key", "seal_key"
    detail: str
    units: int


def monthly_fees(prices: PriceList, services: Sequence[ServiceSpan], seal_keys: int, month: datetime) -> list[Fee]:
    """What a customer owes for a month beside its usage. Tiers that the list does not price cost nothing here."""
    on = {one: days for one in services if (days := one.days_in(month))}
    fees = _tier_fees(prices, on, (next_month(month) - month).days)
    for one in on:
        fees += _beyond(prices, "api_key", one.service, one.live_keys)
    if on:
        fees += _beyond(prices, "seal_key", None, seal_keys)
    return [fee for fee in fees if fee.units > 0]


def _tier_fees(prices: PriceList, on: Mapping[ServiceSpan, int], length: int) -> list[Fee]:
    fees: list[Fee] = []
    for one, days in on.items():
        tier = prices.tiers.get(one.tier)
        if tier is None or tier.month_cents is None:
            continue
        detail = one.tier if days == length else f"{one.tier}, {days} of {length} days"
        fees.append(Fee(one.service, "tier", detail, tier.month_cents * UNITS_PER_CENT * days // length))
    if prices.fees_per == "customer" and fees:
        dearest = max(fees, key=lambda fee: fee.units)
        return [Fee(None, "tier", dearest.detail, dearest.units)]
    return fees


def _beyond(prices: PriceList, item: str, service: str | None, count: int) -> list[Fee]:
    add_on = prices.add_ons.get(item)
    if add_on is None or count <= add_on.included:
        return []
    extra = count - add_on.included
    return [Fee(service, item, f"{extra} beyond {add_on.included}", extra * add_on.month_cents * UNITS_PER_CENT)]

"""Thirty days of hourly usage, as values: who called what, how often, in which hour."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from db.suiftly.simulation.cast import SERVICE_SHARES, weight

# Requests of all customers in a mean hour: what the demo's live rate of 50 a second makes.
_REQUESTS_PER_HOUR: Final = 180_000
# The 25 busiest customers call in every hour; below, the number of active hours falls as 25 / rank. With 2,000
# customers that keeps the table near 170,000 rows (every hour of everybody would be 2.4 million).
_ALWAYS_ACTIVE: Final = 25
_MEAN_BYTES: Final = {"seal": 610, "grpc": 1_700, "graphql": 3_800}
_DAYS: Final = 30
# Enough of last month for its bills to mean something, on whichever day of the month a demo is started.
_DAYS_OF_LAST_MONTH: Final = 10


@dataclass(frozen=True, slots=True)
class Consumer:
    """A funded customer as read from the database. `rank` 0 is the busiest; usage lies within [begin, end)."""

    customer_id: int
    rank: int
    services: tuple[str, ...]
    begin: datetime
    end: datetime


@dataclass(slots=True)
class Usage:
    """One future row of usage_records. `hour` counts from the begin of the history; `bill` is an index, None = open.

    `units` of 10^-8 USD are its worth, once it was billed.
    """

    service: str
    hour: int
    requests: int
    bytes_sent: int
    bill: int | None = None
    units: int = 0


def history_begin(end: datetime) -> datetime:
    """First hour of the history: 30 days before its end, or earlier so that it holds 10 days of last month."""
    month = end.replace(day=1, hour=0)
    return min(end - timedelta(days=_DAYS), month - timedelta(days=_DAYS_OF_LAST_MONTH))


def week_shape(begin: datetime, hours: int) -> list[float]:
    """Traffic of each hour relative to the mean: peak at 14 UTC, weekends at about 70 %."""
    at = [begin + timedelta(hours=hour) for hour in range(hours)]
    raw = [
        (1 + 0.5 * math.cos((moment.hour - 14) * math.pi / 12)) * (0.7 if moment.weekday() >= 5 else 1.1)
        for moment in at
    ]
    mean = math.fsum(raw) / max(1, len(raw))
    return [value / mean for value in raw]


def invent_usage(random: Random, one: Consumer, begin: datetime, shape: Sequence[float], total: float) -> list[Usage]:
    """The usage of one customer in order of time; `total` is the weight of all customers together."""
    first = max(0, math.ceil((one.begin - begin) / timedelta(hours=1)))
    last = min(len(shape), math.floor((one.end - begin) / timedelta(hours=1)))
    if last <= first:
        return []
    share = weight(one.rank) / total * _REQUESTS_PER_HOUR
    shares = {service: SERVICE_SHARES[service] for service in one.services}
    whole = math.fsum(shares.values())
    usage: list[Usage] = []
    for service, part in shares.items():
        active = min(1.0, _ALWAYS_ACTIVE / (one.rank + 1) * random.uniform(0.6, 1.4))
        hours: Sequence[int] = range(first, last)
        if active < 1:
            wanted = max(1, round(active * len(hours)))
            hours = sorted(set(random.choices(hours, weights=shape[first:last], k=wanted)))
        mean = share * part / whole / active
        usage += [_hour(random, service, hour, mean * shape[hour]) for hour in hours]
    usage.sort(key=lambda row: row.hour)
    return usage


def _hour(random: Random, service: str, hour: int, mean: float) -> Usage:
    requests = max(1, int(mean * random.lognormvariate(0, 0.3)))
    return Usage(service, hour, requests, int(requests * _MEAN_BYTES[service] * random.uniform(0.8, 1.2)))

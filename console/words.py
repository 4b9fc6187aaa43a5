"""Values as operators read them: money, moments, counts."""

import math
from datetime import UTC, datetime
from decimal import Decimal

from db.source import JobRun, Pace, in_dollars
from db.source import exact_dollars as every_cent


def dollars(cents: int | None) -> str:
    """Integer cents as dollars; "-" when unknown."""
    return "-" if cents is None else in_dollars(cents)


def exact_dollars(amount: Decimal | None, *, plus: str = "") -> str:
    """Dollars as exact as they are; "-" when unknown."""
    return "-" if amount is None else every_cent(amount, plus=plus)


def limit_words(cents: int | None) -> str:
    """A monthly limit in cents; None is no limit."""
    return "unlimited" if cents is None else dollars(cents)


def moment(at: datetime | None) -> str:
    """Date and time to the second, UTC; "-" when unknown."""
    return "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def clock(at: datetime | None) -> str:
    """The time of day to the second, UTC."""
    return "-" if at is None else f"{at.astimezone(UTC):%H:%M:%S}"


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago in one unit: "12 s ago", "3 h ago", "in 2 s"; "-" when unknown."""
    if at is None:
        return "-"
    seconds = round((now - at).total_seconds())
    return f"{lasting(seconds)} ago" if seconds >= 0 else f"in {lasting(-seconds)}"


def lasting(seconds: float) -> str:
    """How long in one unit: "9 s", "3 min"."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def pace_words(pace: Pace) -> str:
    """What is known of it, and nothing else: "12,300 of 50,000 rows · 4,100/s · 9 s left"."""
    known = pace.total is not None and pace.total >= pace.done
    words = [f"{pace.done:,} of {pace.total:,} {pace.unit}" if known else f"{pace.done:,} {pace.unit}"]
    if pace.per_s is not None:
        words.append(f"{pace.per_s:,.0f}/s" if pace.per_s >= 1 else f"{60 * pace.per_s:,.0f}/min")
    if pace.left_s is not None:
        words.append(f"{lasting(math.ceil(pace.left_s))} left")
    return " · ".join(words)


def run_words(run: JobRun) -> str:
    """Of a run that goes on: whose it is, how far, and who wants it to stop."""
    pace = run.pace
    asked = f"; {run.cancel_by} asked it to stop" if run.cancel_by else ""
    return f"{run.os_user}: {pace_words(pace) if pace else run.progress or 'starting'}{asked}"


def short(number: float) -> str:
    """Three digits and a letter: 950, 1.2k, 34.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return f"{number:.0f}"

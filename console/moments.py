"""Moments and ages as operators type them, always UTC."""

import re
from datetime import UTC, datetime, time, timedelta

_AGE = re.compile(r"([0-9]{1,9})([smhd])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_age(text: str) -> timedelta:
    """90s, 15m, 2h, 1d. Raises ValueError."""
    age = _AGE.fullmatch(text)
    if age is None:
        raise ValueError(f"{text!r} is not an age; write 90s, 15m, 2h or 1d")
    return timedelta(seconds=int(age[1]) * _UNIT_S[age[2]])


def parse_moment(text: str) -> datetime:
    """2026-11-20T14:00Z; without an offset it is UTC. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a time; write 2026-11-20T14:00Z") from None


def parse_past(text: str, now: datetime) -> datetime:
    """14:05, 14:05:30, 2026-11-20 14:05 or -15m: at or before `now`, so a time of day still to come was yesterday's.

    Raises ValueError with one sentence.
    """
    text = text.strip()
    try:
        at = time.fromisoformat(text)
    except ValueError:
        pass
    else:
        today = datetime.combine(now.astimezone(UTC), at.replace(tzinfo=None), at.tzinfo or UTC)
        return today if today <= now else today - timedelta(days=1)
    try:
        moment = now - parse_age(text[1:]) if text.startswith("-") else parse_moment(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a time; write 14:05, 2026-11-20 14:05 (UTC) or -15m") from None
    if moment > now:
        raise ValueError(f"{text} is in the future")
    return moment

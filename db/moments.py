"""Times and spans as text, the same wherever they leave the program."""

from datetime import UTC, datetime, timedelta
from typing import Final

_UNITS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def rfc3339(moment: datetime) -> str:
    """UTC with a Z: 2026-11-20T14:05:11.123456Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def utc(moment: datetime) -> str:
    """To the second, for sentences: 2026-11-20 14:05:11 UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def span(length: timedelta) -> str:
    """90s, 15m, 2h, 1d: in the greatest unit that divides it."""
    seconds = round(length.total_seconds())
    unit = next(unit for unit, size in _UNITS.items() if seconds % size == 0 and (seconds or unit == "s"))
    return f"{seconds // _UNITS[unit]}{unit}"

"""A moment as operators type it: 14:05, 14:05:30, 2026-11-20 14:05, -15m. Always UTC."""

import re
from datetime import UTC, datetime, time, timedelta

_AGO = re.compile(r"-(\d{1,6})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_moment(text: str, now: datetime) -> datetime:
    """The moment meant, at or before `now`: a bare time of day that is still to come was yesterday's.

    Raises ValueError with one sentence.
    """
    text = text.strip()
    if ago := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        at = time.fromisoformat(text)
    except ValueError:
        pass
    else:
        today = datetime.combine(now.astimezone(UTC), at.replace(tzinfo=None), at.tzinfo or UTC)
        return today if today <= now else today - timedelta(days=1)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time; write 14:05, 2026-11-20 14:05 (UTC) or -15m") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if moment > now:
        raise ValueError(f"{text} is in the future")
    return moment

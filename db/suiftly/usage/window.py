"""Which stretch of time usage is charted over, in which steps, and of which requests."""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from db.moments import rfc3339
from db.suiftly.log.filter import FilterError, RequestFilter
from db.suiftly.log.filter import parse as parse_filter

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SPANS: Final = {"1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
"""The usual ones, shortest first."""
DIMENSIONS: Final = ("customer", "service", "network", "server")
"""What the rollups can tell apart, in the words of RequestFilter."""

_STEPS: Final = (
    *(minutes * MINUTE for minutes in (1, 2, 3, 5, 10, 15, 20, 30)),
    *(hours * HOUR for hours in (1, 2, 3, 4, 6, 8, 12)),
    DAY,
    7 * DAY,
)  # all up to a day divide it, so that steps begin with the day
_LONGEST: Final = 800 * DAY
_UNITS: Final = {"m": MINUTE, "h": HOUR, "d": DAY}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """Usage of the `span` before `end` (None: now), of the requests that `wanted` lets through."""

    span: timedelta = DAY
    end: datetime | None = None
    wanted: RequestFilter = field(default_factory=RequestFilter)

    def __post_init__(self) -> None:
        if not MINUTE <= self.span <= _LONGEST:
            raise FilterError("window: usage is charted over a minute to 800 days")
        if self.end is not None and not 2000 <= self.end.year <= 2100:
            raise FilterError("window: it has to end in the years 2000 to 2100")
        if unknown := sorted(self.wanted.asked - set(DIMENSIONS)):
            raise FilterError(
                f"{unknown[0]}: usage is added up by {', '.join(DIMENSIONS)} only; for this look at the requests (4, b)"
            )

    @property
    def window_word(self) -> str:
        """As parse_usage_question() reads it: `24h`, `90m`, or `A..B`."""
        if self.end is not None:
            return f"{_short(self.end - self.span)}..{_short(self.end)}"
        for word, span in SPANS.items():
            if span == self.span:
                return word
        word, unit = next((w, u) for w, u in reversed(_UNITS.items()) if not self.span % u)
        return f"{self.span // unit}{word}"

    @property
    def words(self) -> str:
        return " ".join((self.window_word, *self.wanted.chips()))


def parse_usage_question(text: str) -> UsageQuestion:
    """Reads `7d customer:42`, `2026-11-01..2026-11-08 service:seal`: a window in front, or 24h, then a filter.

    Raises ValueError with a sentence.
    """
    first, _, rest = text.strip().partition(" ")
    if (question := _window_of(first)) is None:
        return UsageQuestion(wanted=parse_filter(text))
    return replace(question, wanted=parse_filter(rest))


def usage_between(
    start: datetime | None, end: datetime | None, span: timedelta, wanted: RequestFilter
) -> UsageQuestion:
    """With a beginning the span follows from it; an open end is now. Raises ValueError with a sentence."""
    if start is None:
        return UsageQuestion(span, end, wanted)
    until = end or datetime.now(UTC)
    if until <= start:
        raise FilterError("window: it has to begin before it ends, and not in the future")
    return UsageQuestion(max(until - start, MINUTE), until, wanted)


def _window_of(word: str) -> UsageQuestion | None:
    if match := re.fullmatch(r"([0-9]{1,5})([mhd])", word):
        return UsageQuestion(int(match[1]) * _UNITS[match[2]])
    start, dots, end = word.partition("..")
    if not dots:
        return None
    return usage_between(_moment(start), _moment(end) if end else None, DAY, RequestFilter())


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise FilterError("window: write 24h, 7d, 2026-11-01..2026-11-08 or 2026-11-20T14:00Z..") from None


def _short(at: datetime) -> str:
    return rfc3339(at).replace("T00:00:00Z", "").replace(":00Z", "Z")


def floor(at: datetime, unit: timedelta) -> datetime:
    """The last whole unit (of UTC) not after it."""
    return _EPOCH + (at - _EPOCH) // unit * unit


def ceiling(at: datetime, unit: timedelta) -> datetime:
    """The first whole unit not before it."""
    return _EPOCH - (_EPOCH - at) // unit * unit


@dataclass(frozen=True, slots=True)
class Window:
    """Whole steps of [start, end); the last may lie partly after `now`, by the database's clock."""

    start: datetime
    end: datetime
    step: timedelta
    now: datetime

    @property
    def steps(self) -> int:
        return (self.end - self.start) // self.step

    @property
    def elapsed(self) -> timedelta:
        """What has passed of it."""
        return max(min(self.now, self.end) - self.start, timedelta(0))

    @property
    def before(self) -> datetime:
        """Where the period before begins: as long as this one, and in the same phase of the day."""
        return self.start - (self.end - self.start)

    def before_until(self, grain: timedelta) -> datetime:
        """Where to end it, in whole grains, to compare like with like while this one still runs."""
        return self.before + (self.elapsed + grain / 2) // grain * grain


def window_of(question: UsageQuestion, now: datetime, *, columns: int, finest: timedelta) -> Window:
    """At most `columns` steps (more where the longest step is too short), none shorter than `finest`.

    From a week on the window is of whole UTC days, today included.
    """
    wanted = max(question.span / max(1, columns), finest)
    step = next((step for step in _STEPS if step >= wanted), _STEPS[-1])
    unit = DAY if question.span >= 7 * DAY else step
    end = ceiling(question.end or now, unit)
    start = floor((question.end or end) - question.span, unit)
    return Window(end - -((start - end) // step) * step, end, step, now)

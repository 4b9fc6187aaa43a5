"""Usage as pictures, the same on screen and in the shell, where it is imported only to draw."""

from datetime import UTC, datetime, timedelta

from console.usage_words import span_words
from db.source import TrafficClass, Usage
from widgets.line_plot import Line, LinePlot

_TICKS = 8  # at most


def classes_of(usage: Usage) -> tuple[tuple[int, ...], ...]:
    """Requests by class in each step."""
    return tuple(tuple(point.classes[kind] for kind in TrafficClass) for point in usage.points)


def latency_plot(usage: Usage) -> LinePlot:
    """The three percentiles over time."""
    found = [point.latencies for point in usage.points]
    lines = (
        Line("p50", tuple(None if one is None else one.p50 for one in found)),
        Line("p95", tuple(None if one is None else one.p95 for one in found)),
        Line("p99", tuple(None if one is None else one.p99 for one in found)),
    )
    return LinePlot(lines, "ms, logarithmic", ticks(usage), log=True)


def bytes_plot(usage: Usage) -> LinePlot:
    """Bytes sent over time; the step that still runs is left out, as far as it would look like a fall."""
    return LinePlot((Line("sent", _whole(usage, [point.bytes for point in usage.points])),), _per(usage), ticks(usage))


def requests_plot(usage: Usage) -> LinePlot:
    """All requests over time."""
    requests = _whole(usage, [point.requests for point in usage.points])
    return LinePlot((Line("all", requests),), _per(usage), ticks(usage))


def _per(usage: Usage) -> str:
    return f"in {span_words(usage.window.step)}"


def _whole(usage: Usage, values: list[int]) -> tuple[float | None, ...]:
    now, step = usage.window.now, usage.window.step
    return tuple(None if usage.start_of(n) + step > now else float(value) for n, value in enumerate(values))


def ticks(usage: Usage) -> tuple[tuple[int, str], ...]:
    """Words for the axis of time at round moments."""
    window = usage.window
    units = (5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440, 2 * 1440, 5 * 1440, 7 * 1440, 30 * 1440, 90 * 1440)
    most = (window.end - window.start) / _TICKS
    unit = next((size for minutes in units if (size := timedelta(minutes=minutes)) >= most), timedelta(days=180))
    form = "%H:%M" if unit < timedelta(days=1) else "%m-%d"
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    starts = [usage.start_of(step) for step in range(window.steps)]
    return tuple(
        (step, f"{start:{form}}")
        for step, start in enumerate(starts)
        if (start - epoch) // unit != (start - window.step - epoch) // unit
    )

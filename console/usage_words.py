"""Usage in words, the same on screen and in the shell."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from console.words import short
from db.source import (
    Measures,
    Top,
    TopBy,
    TopRow,
    Usage,
    format_fingerprint,
    server_label,
)

_LABELS: dict[TopBy, Callable[[Any], str]] = {
    TopBy.KEY: format_fingerprint,
    TopBy.SERVER: server_label,
    TopBy.PATH: lambda path: f"/{path}",
}
_ABSENT: dict[tuple[TopBy, int | str | None], str] = {
    (TopBy.CUSTOMER, 0): "no known customer",
    (TopBy.KEY, 0): "no key",
    (TopBy.PATH, None): "no path",
}


def share(part: int, whole: int) -> str:
    """In percent, with a digit more where it is small."""
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.2f} %" if 0 < percent < 1 else f"{percent:.1f} %"


def change(now: int, before: int | None) -> str:
    """Against the period before: +12 %, -3 %, new; "-" where that is not known."""
    if before is None:
        return "-"
    if not before:
        return "new" if now else "±0 %"
    percent = 100 * now / before - 100
    return f"{percent:+,.0f} %" if round(percent) else "±0 %"


def latency(measures: Measures) -> str:
    """p50, p95 and p99 in ms."""
    found = measures.latencies
    return "no latency" if found is None else f"p50 {found.p50:,} p95 {found.p95:,} p99 {found.p99:,} ms"


def span_words(span: timedelta) -> str:
    """A step in one unit: 15 min, 2 h, 1 d."""
    for unit, size in (("d", timedelta(days=1)), ("h", timedelta(hours=1))):
        if span >= size and not span % size:
            return f"{span // size} {unit}"
    return f"{span // timedelta(minutes=1)} min"


def window_words(usage: Usage) -> str:
    """From when to when, and what was read."""
    window = usage.window
    year = "" if window.start.year == window.now.year else "%Y-"
    origin = usage.origin.removeprefix("rolled up ")
    return f"{window.start:{year}%m-%d %H:%M} to {window.end:{year}%m-%d %H:%M} UTC, {origin}"


def totals(usage: Usage) -> tuple[str, str]:
    """The sums of the window in two lines, with their change against the period before where that had requests."""
    now = usage.total
    before = usage.before if usage.before is not None and usage.before.requests else None
    if not now.requests:
        return "No request in this window.", ""

    def changed(own: int, was: int | None) -> str:
        return "" if was is None else f" ({change(own, was)})"

    def errors(name: str, own: int, was: int | None) -> str:
        earlier = "" if was is None or before is None else f" (was {share(was, before.requests)})"
        return f"{name} {share(own, now.requests)}{earlier}"

    requests = f"{now.requests:,} requests{changed(now.requests, before and before.requests)}"
    bytes_ = f"{short(now.bytes)}B{changed(now.bytes, before and before.bytes)}"
    server = errors("5xx", now.server_errors, before and before.server_errors)
    client = errors("4xx", now.client_errors, before and before.client_errors)
    return f"{requests}   {bytes_}   {latency(now)}", f"{server}   {client}"


def reading(usage: Usage, step: int) -> tuple[str, str]:
    """One step in numbers: sums and latency, bytes and classes."""
    point, start = usage.points[step], usage.start_of(step)
    words = f"{start:%m-%d %H:%M} {point.requests:,} requests"
    if not point.requests:
        return words, ""
    errors = f"5xx {point.server_errors:,} 4xx {point.client_errors:,}"
    classes = "   ".join(f"{kind} {count:,}" for kind, count in point.classes.items() if count)
    return f"{words} {errors} {latency(point)}", f"{short(point.bytes)}B   {classes}"


def value(by: TopBy, row: TopRow) -> str:
    """What a row is about."""
    return _ABSENT.get((by, row.value)) or _LABELS.get(by, str)(row.value)


def counted_in(top: Top) -> str:
    """Where less than the window was counted: how much."""
    return f"log {top.window.start:%m-%d %H:%M} to {top.window.end:%H:%M}" if top.from_log else ""

"""One log row as one line: what fits at 80 cells, and more where there is room."""

from collections.abc import Sequence
from datetime import UTC, datetime

from console.parts.class_tones import CLASS_TONES
from db.source import (
    RequestRow,
    event_name,
    format_fingerprint,
    server_label,
    service_word,
    traffic_class,
)
from widgets.tone import Tone, clean

_WIDE = 104  # from here on the traffic class and the termination state have room

_TITLE = "stat     ms server service    customer key        path or event"
_WIDE_TITLE = "stat class            ms server service    customer key        path       end  what happened"


def title(width: int, rows: Sequence[RequestRow]) -> str:
    """What stands above these lines on a screen of that width, with the day of the first one unless that is today."""
    day = rows[0].timestamp.astimezone(UTC).date() if rows else None
    time = f"{day}" if day not in (None, datetime.now(UTC).date()) else "time UTC"
    return f"{time:<13}{_WIDE_TITLE if width >= _WIDE else _TITLE}"


def request_line(row: RequestRow, width: int) -> list[tuple[str, Tone]]:
    """Few pieces of colour a line: every change of colour costs bytes on the wire."""
    kind = traffic_class(row.traffic_type, row.status_code)
    at = row.timestamp.astimezone(UTC)
    customer = "-" if row.customer_id is None else str(row.customer_id)
    key = format_fingerprint(row.api_key_fp) if row.api_key_fp else "-"
    what = (f"×{row.repeat} " if row.repeat > 1 else "") + (event_name(row.event_type) if row.event_type else "")
    place = f"{server_label(row.server_id):<6} {service_word(row.service_type):<7} {customer:>11} {key:<10}"
    path = row.path_prefix or "-"
    time = f"{at:%H:%M:%S}.{at.microsecond // 1000:03d} "
    tone = CLASS_TONES[kind]
    if width < _WIDE:
        status = f"{row.status_code:>4}"
        last = (what, tone) if what else (path, Tone.PLAIN)
        return [(time, Tone.DIM), (status, tone), (f" {row.time_total:>6} {place} ", Tone.PLAIN), last]
    status = f"{row.status_code:>4} {kind.value:<12}"
    rest = f" {row.time_total:>6} {place} {path:<10} {row.termination_state or '--':<4} "
    return [(time, Tone.DIM), (status, tone), (rest, Tone.PLAIN), (what, tone)]


def request_text(row: RequestRow, width: int) -> str:
    """The same line as plain text, to be taken away. No client address is in it."""
    return "".join(clean(text) for text, _ in request_line(row, width)).rstrip()


def neighbour_text(row: RequestRow) -> str:
    """A line for a list of requests of one customer."""
    at = row.timestamp.astimezone(UTC)
    times = f"{at:%H:%M:%S}.{at.microsecond // 1000:03d} {row.status_code:>4} {row.time_total:>6} ms"
    key = format_fingerprint(row.api_key_fp) if row.api_key_fp else "-"
    place = f"{server_label(row.server_id):<6} {service_word(row.service_type):<7} {key:<10}"
    what = (f"×{row.repeat} " if row.repeat > 1 else "") + (event_name(row.event_type) if row.event_type else "")
    return clean(f"{times} {place} {row.path_prefix or '-':<10} {what}").rstrip()

"""Escrow events as screens tell them."""

from db.source import InboxEvent
from widgets.tone import Tone

_OUTCOMES = {
    "unmatched": ("! unmatched", Tone.WARN),
    "conflict": ("▲ conflict", Tone.BAD),
    "mirrored": ("mirrored", Tone.GOOD),
    "already_recorded": ("recorded", Tone.GOOD),
}


def outcome_cell(row: InboxEvent) -> tuple[str, Tone]:
    """What became of it; what waits for somebody has a sign of its own."""
    return _OUTCOMES.get(row.outcome, (row.outcome, Tone.DIM))

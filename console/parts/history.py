"""Lines of the audit record under a subject."""

from collections.abc import Sequence

from console.words import moment
from db.source import AuditRow
from widgets.facts import Fact
from widgets.tone import Tone

_TONES = {"done": Tone.PLAIN, "refused": Tone.DIM, "stale": Tone.DIM, "failed": Tone.WARN, "abandoned": Tone.WARN}


def history_facts(rows: Sequence[AuditRow]) -> list[Fact]:
    """When, what, by whom, how it ended and why, newest first."""
    if not rows:
        return [("history", "nothing on record", Tone.DIM)]
    return [
        (
            moment(row.at),
            f"{row.action} by {row.os_user}{f' from {row.ssh_source}' if row.ssh_source else ''}: "
            f"{row.outcome}; {row.reason or row.message or 'no reason asked for'}",
            _TONES.get(row.outcome, Tone.PLAIN),
        )
        for row in rows
    ]

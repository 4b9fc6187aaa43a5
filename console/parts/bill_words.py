"""How bills look wherever they stand."""

from db.source import Bill
from widgets.tone import Tone

SETTLED = {"pending": Tone.NOTICE, "failed": Tone.WARN, "paid": Tone.GOOD, "voided": Tone.DIM}
"""The tone of each status."""


def bill_tone(bill: Bill) -> Tone:
    """That of its status; of one unheard of none."""
    return SETTLED.get(bill.status, Tone.PLAIN)

"""Values of options as typed, that more than one command takes."""

import re
from argparse import ArgumentTypeError
from datetime import date

from console.settings import UsageError
from db.source import MAX_CUSTOMER_ID, parse_fingerprint, read_customer_id

KEY = "fingerprint in decimal or hex, or the full key"

_MOST_ROWS = 2**31 - 1


def rows_at_most(text: str) -> int:
    """How many rows to print, from 1."""
    if not text.isdecimal() or len(text) > 10 or not 1 <= int(text) <= _MOST_ROWS:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 to {_MOST_ROWS}")
    return int(text)


def customer_id(text: str) -> int:
    """A customer id as typed. Raises UsageError."""
    known = read_customer_id(text)
    if known is None:
        # A long word may be a key pasted into the wrong command: it is not repeated.
        what = repr(text) if len(text) <= 16 else "given"
        raise UsageError(f"the customer id {what} is not a number from 1 to {MAX_CUSTOMER_ID}")
    return known


def fingerprint(text: str) -> int:
    """A fingerprint as typed: decimal, signed decimal, hex, or a pasted key. Raises UsageError."""
    try:
        return parse_fingerprint(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def month(text: str) -> date:
    """A month as typed: 2026-11. Raises UsageError."""
    if re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text) is None or text < "2000":
        raise UsageError(f"--month {text!r} is not a month such as 2026-11")
    return date.fromisoformat(f"{text}-01")

"""Values of options as typed, that more than one command takes."""

from argparse import ArgumentTypeError

_MOST_ROWS = 2**31 - 1


def rows_at_most(text: str) -> int:
    """How many rows to print, from 1."""
    if not text.isdecimal() or len(text) > 10 or not 1 <= int(text) <= _MOST_ROWS:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 to {_MOST_ROWS}")
    return int(text)

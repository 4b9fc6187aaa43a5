"""Amounts of money as people type and read them."""

import re
from decimal import Decimal

_AMOUNT = re.compile(r"\$?(\d{1,12})(?:\.(\d{2}))?")


def parse_cents(text: str) -> int:
    """Dollars as typed ("12.50", "$12") in cents. Raises ValueError with one sentence."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or not int(found[1] + (found[2] or "00")):
        raise ValueError("give an amount in dollars above zero, such as 12 or 12.50")
    return int(found[1] + (found[2] or "00"))


def in_dollars(cents: int) -> str:
    """Cents as text: "$12.50", "-$3.00"."""
    return f"{'-' if cents < 0 else ''}${abs(Decimal(cents)) / 100:,.2f}"


def exact_dollars(amount: Decimal, *, plus: str = "") -> str:
    """Dollars to whatever is below a cent: "$12.50", "-$0.000001". `plus` stands before what is not negative."""
    size = abs(amount)
    cents = size.quantize(Decimal("0.01"))
    return f"{'-' if amount < 0 else plus}${cents if cents == size else size.normalize():,f}"

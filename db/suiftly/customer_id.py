"""The id of a customer, as it is typed in many places."""

import re
from typing import Final

MAX_CUSTOMER_ID: Final = 0xFFFF_FFFF


def read_customer_id(text: str) -> int | None:
    """None for what is no number from 1 to MAX_CUSTOMER_ID."""
    # Ten digits hold every id, and Python refuses to read thousands of them.
    number = int(text) if re.fullmatch(r"[0-9]{1,10}", text) else 0
    return number if 1 <= number <= MAX_CUSTOMER_ID else None

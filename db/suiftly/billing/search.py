"""What an operator types to find bills."""

import re
from dataclasses import dataclass
from datetime import date

from db.suiftly.billing.bills import BILL_STATUSES, BillSearch, this_month
from db.suiftly.customer_id import read_customer_id

HINT = "2026-11 | all, pending | failed | paid | voided, customer:42"


@dataclass(frozen=True, slots=True)
class BillQuestion:
    """Bills of a month, or of all. Without a month the one that runs is meant, also when a new one has begun."""

    month: date | None = None
    every_month: bool = False
    status: str | None = None
    customer_id: int | None = None

    @property
    def of_month(self) -> date | None:
        """The month asked for; None for all of them."""
        return None if self.every_month else self.month or this_month()

    @property
    def search(self) -> BillSearch:
        return BillSearch(self.of_month, self.status, self.customer_id)

    @property
    def words(self) -> str:
        """As it would be typed."""
        month = "all" if self.every_month else f"{self.month:%Y-%m}" if self.month else ""
        customer = f"customer:{self.customer_id}" if self.customer_id else ""
        return " ".join(filter(None, (month, self.status, customer)))


def parse_bill_question(text: str) -> BillQuestion:
    """Reads words like those of HINT. Raises ValueError with one sentence; a pasted key never stands in it."""
    month: date | None = None
    every_month = False
    status: str | None = None
    customer: int | None = None
    for word in text.split():
        number = word.removeprefix("customer:")
        if word == "all":
            every_month = True
        elif word in BILL_STATUSES:
            status = word
        elif re.fullmatch(r"2[0-9]{3}-(0[1-9]|1[0-2])", word):
            month = date.fromisoformat(f"{word}-01")
        elif (known := read_customer_id(number)) is not None:
            customer = known
        else:
            raise ValueError("search bills by " + HINT)
    if month is not None and every_month:
        raise ValueError("give one month, or all")
    return BillQuestion(month, every_month, status, customer)

"""Who needs a look for their money, told in a few lines; and what is typed to find bills."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from db.database import Database
from db.errors import Unavailable
from db.suiftly.billing.bills import Billing, Blocked, this_month
from db.suiftly.billing.search import parse_bill_question
from db.suiftly.billing.spending import Spending, SpendingLimits
from db.suiftly.billing.spending_watch import SpendingWatch
from db.suiftly.pricing import load_prices

SINCE = datetime(2026, 6, 4, tzinfo=UTC)


class Limits(SpendingLimits):
    """Customers 1, 2, 3 … have spent 100, 99, 98 … percent."""

    def __init__(self, database: Database, count: int) -> None:
        super().__init__(database, load_prices())
        self.count = count

    async def near(self, *, percent: int = 80, limit: int = 100) -> tuple[Spending, ...]:
        if self.count < 0:
            raise Unavailable("the connection was lost")
        begin, end = date(2026, 6, 1), date(2026, 7, 1)
        return tuple(
            Spending(customer, 10_000, 10_100 - 100 * customer, 0, 0, begin, end, None)
            for customer in range(1, self.count + 1)
        )


class Bills(Billing):
    async def blocked(self, *, limit: int = 100) -> tuple[Blocked, ...]:
        return (Blocked(2, "limit", Decimal("12.3456"), SINCE), Blocked(77, "suspended", Decimal("0.5"), SINCE))


def watch(count: int) -> SpendingWatch:
    database = Database("postgresql://nobody@127.0.0.1:1/x")
    return SpendingWatch(Limits(database, count), Bills(database))


async def test_each_customer_has_one_line_that_opens_its_ledger() -> None:
    lines = await watch(3).attention()
    assert [(line.subject, line.sentence, line.since) for line in lines] == [
        (
            "ledger:2",
            "customer 2: 12.35 USD of usage cannot be billed (spending limit); "
            "99 % of its limit spent, $99.00 of $100.00",
            SINCE,
        ),
        ("ledger:77", "customer 77: 0.50 USD of usage cannot be billed (suspended)", SINCE),
        ("ledger:1", "customer 1: 100 % of its limit spent, $100.00 of $100.00", None),
        ("ledger:3", "customer 3: 98 % of its limit spent, $98.00 of $100.00", None),
    ]


async def test_one_line_stands_for_all_the_others() -> None:
    lines = await watch(12).attention()
    assert len(lines) == 6
    assert (lines[-1].subject, lines[-1].sentence) == (
        "billing:",
        "8 other customers are near their limit or blocked",
    )
    assert (await watch(100).attention())[-1].sentence.startswith("95 or more other")


async def test_what_the_database_does_not_tell_is_a_line() -> None:
    (line,) = await watch(-1).attention()
    assert line.sentence == "who is near a spending limit is not known: the connection was lost"


def test_bills_are_found_by_month_status_and_customer() -> None:
    asked = parse_bill_question("failed 2026-06 customer:42")
    assert (asked.of_month, asked.status, asked.customer_id) == (date(2026, 6, 1), "failed", 42)
    assert parse_bill_question(asked.words) == asked
    assert parse_bill_question("").of_month == this_month()
    assert parse_bill_question("all 42").of_month is None
    assert parse_bill_question("all 42").words == "all customer:42"


@pytest.mark.parametrize("text", ["2026-13", "unpaid", "customer:0", "customer:4294967296", "S" * 37])
def test_what_is_no_search_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="search bills by 2026-11") as caught:
        parse_bill_question(text)
    assert text not in str(caught.value)


def test_all_months_and_one_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="one month, or all"):
        parse_bill_question("all 2026-06")

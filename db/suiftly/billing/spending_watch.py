"""Who is about to reach a spending limit, and whose usage could not be billed."""

from dataclasses import dataclass

from db.errors import DatabaseError
from db.suiftly.attention.line import Attention
from db.suiftly.billing.bills import Billing, Blocked
from db.suiftly.billing.spending import Spending, SpendingLimits
from db.suiftly.money import in_dollars

_AT_MOST = 100  # of each kind
_LINES = 5


@dataclass(frozen=True, slots=True)
class Watched:
    """A customer near its limit, with blocked usage, or both."""

    customer_id: int
    spending: Spending | None  # None when it is far from its limit
    blocked: Blocked | None

    @property
    def sentence(self) -> str:
        """What is the matter."""
        parts: list[str] = []
        if self.blocked is not None:
            why = "spending limit" if self.blocked.reason == "limit" else self.blocked.reason
            parts.append(f"{self.blocked.open_usd:,.2f} USD of usage cannot be billed ({why})")
        if self.spending is not None and self.spending.limit_cents is not None:
            spent, limit = in_dollars(self.spending.spent_cents), in_dollars(self.spending.limit_cents)
            parts.append(f"{self.spending.percent} % of its limit spent, {spent} of {limit}")
        return "; ".join(parts)


class SpendingWatch:
    """Questions about customers whose money needs a look."""

    def __init__(self, spending: SpendingLimits, billing: Billing) -> None:
        self._spending = spending
        self._billing = billing

    async def customers(self) -> tuple[Watched, ...]:
        """Blocked ones first, the most open usage first; then those over 80 %, the nearest to the limit first.

        100 of each kind at the most.
        """
        blocked = await self._billing.blocked(limit=_AT_MOST)
        near = {one.customer_id: one for one in await self._spending.near(limit=_AT_MOST)}
        stuck = tuple(Watched(one.customer_id, near.pop(one.customer_id, None), one) for one in blocked)
        return (*stuck, *(Watched(customer, spending, None) for customer, spending in near.items()))

    async def attention(self) -> tuple[Attention, ...]:
        """The first few as lines that open the customer's ledger; one line that opens billing stands for the others.

        A database that does not tell is a line as well: the rest of the list is worth showing without it.
        """
        try:
            found = await self.customers()
        except DatabaseError as error:
            return (Attention("warn", f"who is near a spending limit is not known: {error}", "billing:"),)
        lines = tuple(
            Attention(
                "warn",
                f"customer {one.customer_id}: {one.sentence}",
                f"ledger:{one.customer_id}",
                one.blocked and one.blocked.since,
            )
            for one in found[:_LINES]
        )
        if more := len(found) - len(lines):
            count = f"{more} or more" if len(found) >= _AT_MOST else f"{more}"
            lines += (Attention("warn", f"{count} other customers are near their limit or blocked", "billing:"),)
        return lines

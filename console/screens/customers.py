"""The list of customers."""

from collections.abc import Sequence
from typing import ClassVar

from console.screens.listing import ListScreen
from console.words import dollars, limit_words, moment
from db.source import Customer, CustomerSearch, Page, parse_customer_search
from widgets.keyset_table import Column
from widgets.tone import Tone

STATUS_TONES = {"active": Tone.GOOD, "suspended": Tone.WARN, "closed": Tone.DIM}


class CustomersScreen(ListScreen[Customer, CustomerSearch]):
    """Find a customer by id, wallet prefix, transaction digest or status; enter opens it."""

    topics: ClassVar[frozenset[str]] = frozenset({"customers", "keys"})
    search_hint: ClassVar[str] = "an id, 0x… wallet prefix, digest, key, active | suspended | closed; they combine"
    empty: ClassVar[str] = "No customer matches. ctrl+l shows all."

    def parse(self, text: str) -> CustomerSearch:
        return parse_customer_search(text)

    async def page(self, search: CustomerSearch, after: Customer | None, limit: int) -> Page[Customer]:
        return await self.source.customers.page(search, after=after, limit=limit)

    def columns(self) -> Sequence[Column[Customer]]:
        return (
            Column("customer", 10, lambda row: str(row.customer_id), align="right"),
            Column("status", 9, lambda row: (row.status, STATUS_TONES[row.status])),
            Column("wallet", 18, lambda row: row.wallet_address, flex=True),
            Column("keys", 4, lambda row: str(row.live_keys), align="right"),
            Column("balance", 12, lambda row: dollars(row.current_balance_usd_cents), align="right"),
            Column("this month", 11, lambda row: dollars(row.current_month_charged_usd_cents), align="right"),
            Column("limit", 11, lambda row: limit_words(row.max_monthly_usd_cents), align="right", hide_below=100),
            Column("since", 19, lambda row: moment(row.created_at), hide_below=130),
        )

    def key(self, row: Customer) -> int:
        return row.customer_id

    def open_row(self, row: Customer) -> None:
        self.go("customer", str(row.customer_id))

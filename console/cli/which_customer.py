"""One customer as typed on a command line, by whatever is at hand."""

from console.cli.values import customer_id
from console.settings import UsageError
from db.errors import Refused
from db.source import CustomerSearch, Source, parse_customer_search

WHO = "the customer's id; or the wallet, a key of it, or a transaction on its books"


def who(text: str) -> CustomerSearch:
    """A customer as typed: the id, or a wallet, a transaction digest or a key. Raises UsageError."""
    if text.isdecimal():
        return CustomerSearch(customer_id=customer_id(text))
    try:
        return parse_customer_search(text)
    except ValueError as error:
        raise UsageError(f"customer id: {error}") from None


async def the_one(source: Source, search: CustomerSearch) -> int:
    """Its id; an id as it is, for what follows to say that there is none. Raises Refused when not just one is meant."""
    if search.customer_id is not None:
        return search.customer_id
    rows = (await source.customers.page(search, limit=2)).rows
    if len(rows) == 1:
        return rows[0].customer_id
    found = "several customers fit" if rows else "no customer fits"
    raise Refused(f"{found}; look with `opsdeck customers list`")

"""What an escrow account holds, held against what the books say: what differs, and the likely cause.

Whether a charge moves USDC on the chain is told differently by different documents of the contract, so it is a setting,
and the balance is shown both ways.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from db.suiftly.escrow.contract import EscrowAccount
from db.suiftly.money import exact_dollars

Figure = Literal["account", "ledger", "cached balance", "mirror"]


@dataclass(frozen=True, slots=True)
class AccountBooks:
    """What the books and the inbox say about one account, in one instant.

    `mirror_usd` has other coins in it at the rate that the ledger recorded, `other_usd` of it; those without a rate are
    `unvalued` and not in it. `charged_usd` is charges less credits as the chain told them. `rest_usdc` is what
    was below a cent and so is in no ledger. `open_usd` is what events on no books would add.
    """

    customer_id: int
    account: str
    at: datetime
    cached_cents: int | None
    ledger_cents: int
    mirror_usd: Decimal
    other_coins: int
    other_usd: Decimal
    unvalued: int
    charged_usd: Decimal
    rest_usdc: int
    open_events: int
    waiting: int  # those that nobody has decided about
    open_usd: Decimal
    initial_unknown: bool
    newest_is_known: bool  # whether the inbox has the transaction that changed the account last


@dataclass(frozen=True, slots=True)
class Drift:
    """One figure of the books that is not what the chain says: `usd` is what it would take to become that."""

    figure: Figure
    usd: Decimal | None
    cause: str

    @property
    def words(self) -> str:
        """How far off it is; nothing for an account that there is nothing to compare with."""
        return "" if self.usd is None else f"{exact_dollars(abs(self.usd))} too {'low' if self.usd > 0 else 'high'}"


@dataclass(frozen=True, slots=True)
class CheckedAccount:
    """An account held against its books. `balance_usd` is what the object holds, `after_charges_usd` that without what
    was charged; the model says which of them is `expected_usd`. All are None when the account cannot be read."""

    books: AccountBooks
    balance_usd: Decimal | None
    after_charges_usd: Decimal | None
    expected_usd: Decimal | None
    drifts: tuple[Drift, ...]
    newest: str | None = None  # digest of the transaction that changed the account last
    goes_on_as: str | None = None  # the account that it was upgraded to


def compare(books: AccountBooks, account: EscrowAccount, *, charges_move_usdc: bool) -> CheckedAccount:
    """Holds the account against its books, to the millionth of a dollar; one that was upgraded measures nothing."""
    balance = account.balance.dollars.value
    after = balance - books.charged_usd
    expected, otherwise = (balance, after) if charges_move_usdc else (after, balance)
    if account.upgraded_to is not None:
        cause = f"it was upgraded and goes on as {account.upgraded_to}: `opsdeck chain follow` puts that on record"
        gone = (Drift("account", None, cause),)
        return CheckedAccount(books, balance, after, expected, gone, goes_on_as=account.upgraded_to)
    rest = Decimal(books.rest_usdc) / 1_000_000
    figures: dict[Figure, Decimal] = {"ledger": Decimal(books.ledger_cents) / 100 + rest, "mirror": books.mirror_usd}
    if books.cached_cents is not None:
        figures["cached balance"] = Decimal(books.cached_cents) / 100 + rest
    right: set[Figure] = {figure for figure, usd in figures.items() if usd == expected}
    moves = f"it fits with charges_move_usdc = {str(not charges_move_usdc).lower()}"
    drifts: list[Drift] = []
    for figure, usd in figures.items():
        if figure not in right:
            other_model = moves if books.charged_usd and usd == otherwise else None
            causes = _causes(books, figure, expected - usd, right=right, other_model=other_model)
            drifts.append(Drift(figure, expected - usd, next(causes)))
    return CheckedAccount(books, balance, after, expected, tuple(drifts))


def _causes(
    books: AccountBooks,
    figure: Figure,
    apart: Decimal,
    *,
    right: set[Figure],
    other_model: str | None,
) -> Iterator[str]:
    """The likely causes: what explains the whole amount before what may."""
    events = f"{books.open_events} event(s) of the account unmatched, in conflict or dismissed"
    if books.open_events and apart == books.open_usd:
        yield f"{events}: they are on no books"
    if not books.newest_is_known:
        yield "the account's last transaction is not in the inbox: run `opsdeck chain sync`"
    if other_model is not None:
        yield other_model
    if figure == "cached balance" and "ledger" in right:
        yield "it is not the sum of the ledger"
    if figure == "ledger" and "mirror" in right:
        yield "it has entries that the mirror has not, or lacks some"
    if books.initial_unknown and apart > 0:
        yield "perhaps the initial deposit, which is unknown: the account was made before the node's history"
    if books.other_usd and apart == -books.other_usd:
        yield f"the books count {books.other_coins} transaction(s) in other coins; the account holds USDC alone"
    if books.unvalued:
        yield f"{books.unvalued} transaction(s) in other coins are in the mirror without a rate in the ledger"
    if figure == "mirror" and "ledger" in right:
        yield "it lacks transactions that the ledger has"
    if books.open_events:
        yield f"{events}, and more"
    yield "unexplained"

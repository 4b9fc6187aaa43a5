"""The money that an escrow account is made with: no event tells it.

It is taken from the account itself as its transaction left it. That transaction's balance changes would tell what left
the wallet, but not that it came here: whoever made the account may have sent it elsewhere in the same transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from db.chain.errors import ChainError, ErrorKind
from db.chain.models import ChainObject, ObjectAt, Transaction
from db.chain.units import Usdc
from db.chain.values import ChainValueError, Digest, ObjectId
from db.suiftly.escrow.contract import INITIAL_UNKNOWN, NO_INITIAL, EscrowChain, EscrowEvent, read_account, read_event
from db.suiftly.escrow.inbox import Arrival


async def with_initial_deposits(chain: EscrowChain, arrivals: Sequence[Arrival]) -> list[Arrival]:
    """The same events; one that made an account with money in it is a deposit now. Raises ChainError where asking again
    may bring it; what no node has is noted as unknown."""
    made = [arrival.event.digest for arrival in arrivals if arrival.says.makes_account]
    if not made:
        return list(arrivals)
    transactions = await chain.reader.transactions(list(dict.fromkeys(made)), whole=True)
    accounts = await _accounts(chain, arrivals, transactions)
    return [replace(arrival, says=_said(chain, arrival, transactions, accounts)) for arrival in arrivals]


async def _accounts(
    chain: EscrowChain, arrivals: Iterable[Arrival], transactions: dict[Digest, Transaction]
) -> dict[ObjectId, ChainObject | ChainError]:
    """The accounts as their transactions left them."""
    wanted: list[ObjectAt] = []
    for arrival in arrivals:
        account, transaction = arrival.says.account, transactions.get(arrival.event.digest)
        if arrival.says.makes_account and account is not None and transaction is not None:
            version = transaction.wrote.get(account)
            wanted += [] if version is None else [(account, version)]
    found = await chain.reader.objects(wanted) if wanted else []
    for one in found:
        if isinstance(one, ChainError) and one.kind not in (ErrorKind.NOT_FOUND, ErrorKind.UNREADABLE):
            raise one
    return {account: one for (account, _), one in zip(wanted, found, strict=True)}


def _said(
    chain: EscrowChain,
    arrival: Arrival,
    transactions: dict[Digest, Transaction],
    accounts: dict[ObjectId, ChainObject | ChainError],
) -> EscrowEvent:
    says = arrival.says
    if not says.makes_account or says.account is None:
        return says
    transaction, account = transactions.get(arrival.event.digest), accounts.get(says.account)
    try:
        if transaction is None or account is None:
            raise ChainValueError("its transaction does not tell the account's version")
        if isinstance(account, ChainError):
            raise ChainValueError(f"the account as it was made cannot be read: {account}")
        amount = read_account(account, chain.packages).balance - _told(chain, says.account, transaction)
        if amount < Usdc(0):
            raise ChainValueError("the account held less than its events tell")
    except ChainValueError as error:
        return replace(says, note=f"{INITIAL_UNKNOWN}: {error}")
    return replace(says, kind="deposit", amount=amount, note=None) if amount else replace(says, note=NO_INITIAL)


def _told(chain: EscrowChain, account: ObjectId, transaction: Transaction) -> Usdc:
    """What events of the same transaction tell of the account's money."""
    told = Usdc(0)
    for event in transaction.events:
        if not chain.emits(event.type):
            continue
        says = read_event(event.type, event.fields)
        if says.upgrades:
            raise ChainValueError(f"{says.name}: the account may have taken over the money of another one")
        if says.account != account or says.kind is None:
            continue
        if not isinstance(says.amount, Usdc):
            raise ChainValueError(f"{says.name}: a charge or credit in the transaction that made the account")
        told = told + says.amount if says.kind == "deposit" else told - says.amount
    return told

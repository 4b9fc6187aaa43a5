"""Whether the chain confirms that a bill was paid: a digest alone proves nothing."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import LiteralString

from db.chain.models import Transaction
from db.chain.units import Cents
from db.chain.values import ChainValueError, Digest
from db.database import Database
from db.errors import DatabaseError
from db.suiftly.escrow.contract import EscrowChain, read_event

# Also accounts that were replaced by an upgrade: the inbox knows whose they were.
_ACCOUNTS: LiteralString = """
    SELECT escrow_contract_id FROM customers WHERE customer_id = %(customer)s AND escrow_contract_id IS NOT NULL
    UNION SELECT account_id FROM console.chain_event WHERE customer_id = %(customer)s AND account_id IS NOT NULL
"""


class Verdict(StrEnum):
    """What the chain says about a payment."""

    VERIFIED = "verified"
    MISMATCH = "mismatch"
    UNKNOWN = "unknown"  # which is not failed: nodes keep recent history only
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class PaymentCheck:
    """A verdict and what it rests on; `charges` counts the transaction's charges of this account and amount."""

    verdict: Verdict
    sentence: str
    amount: Cents
    charges: int = 0


async def check_payment(
    database: Database, chain: EscrowChain | None, *, customer: int, amount: Cents, digest: str
) -> PaymentCheck:
    """Holds a transaction against what it is said to have paid. Raises nothing of the chain or the database."""
    if chain is None:
        return PaymentCheck(Verdict.NOT_CHECKED, "not checked on chain: none is configured", amount)
    try:
        parsed = Digest.parse(digest)
    except ChainValueError as error:
        mock = "a mock digest, of no transaction" if digest.upper().startswith("0XMOCK") else str(error)
        return PaymentCheck(Verdict.UNKNOWN, mock, amount)
    try:
        async with database.reading() as connection:
            found = await (await connection.execute(_ACCOUNTS, {"customer": customer})).fetchall()
        transaction = await chain.reader.transaction(parsed)
        if transaction is None:
            return PaymentCheck(Verdict.UNKNOWN, await _not_found(chain), amount)
    except DatabaseError as error:
        return PaymentCheck(Verdict.UNKNOWN, f"the chain could not be asked: {error}", amount)
    return judge(chain, transaction, {row[0] for row in found}, amount)


async def _not_found(chain: EscrowChain) -> str:
    lowest = (await chain.reader.service_info()).lowest
    return (
        f"no node has the transaction, which may be older than what they keep ({chain.reader.config.target}: from "
        + (f"checkpoint {lowest:,})")
    )


def judge(chain: EscrowChain, transaction: Transaction, accounts: Collection[str], amount: Cents) -> PaymentCheck:
    """What a transaction says about a payment of that amount by one of these accounts."""
    if not transaction.success:
        return PaymentCheck(
            Verdict.MISMATCH, f"the transaction failed: {transaction.error or 'no reason told'}", amount
        )
    if transaction.checkpoint is None:
        return PaymentCheck(Verdict.UNKNOWN, "the transaction is in no checkpoint yet", amount)
    if not accounts:
        return PaymentCheck(Verdict.UNKNOWN, "no escrow account is on record for the customer", amount)
    try:
        says = [read_event(one.type, one.fields) for one in transaction.events if chain.emits(one.type)]
    except ChainValueError as error:
        return PaymentCheck(Verdict.UNKNOWN, f"its events cannot be read: {error}", amount)
    mine = [one.amount for one in says if one.kind == "charge" and one.account in accounts]
    if amount not in mine:
        others = ", ".join(str(one) for one in mine) or "nothing"
        return PaymentCheck(
            Verdict.MISMATCH, f"the transaction charges the customer's account {others}, not {amount}", amount
        )
    sentence = f"the chain has the charge of {amount} in checkpoint {transaction.checkpoint:,}"
    return PaymentCheck(Verdict.VERIFIED, sentence, amount, mine.count(amount))

"""What an operator types to find customers."""

import re
from dataclasses import dataclass

from db.chain.values import EVM_ADDRESS, Digest, is_evm_address, looks_like_digest
from db.suiftly.customer_id import MAX_CUSTOMER_ID, read_customer_id
from db.suiftly.keys.format import KeyFormatError, parse_fingerprint
from db.suiftly.log.filter_words import shown

STATUSES = ("active", "suspended", "closed")


@dataclass(frozen=True, slots=True)
class CustomerSearch:
    """What a list of customers is narrowed to. Fields combine."""

    customer_id: int | None = None
    wallet_prefix: str | None = None
    status: str | None = None
    digest: Digest | None = None  # of a transaction that is on its books
    fingerprint: int | None = None  # of one of its keys


def parse_search(text: str) -> CustomerSearch:
    """Reads what an operator types: an id, a wallet or its beginning, a digest, a key, a status, or several of them.

    Raises ValueError with a sentence that names the word and the remedy.
    """
    customer_id: int | None = None
    wallet_prefix: str | None = None
    status: str | None = None
    digest: Digest | None = None
    fingerprint: int | None = None
    for word in text.split():
        if word in STATUSES:
            _only_one(status, "two statuses")
            status = word
        elif re.fullmatch(r"[0-9]+", word):
            _only_one(customer_id, "two ids")
            customer_id = read_customer_id(word)
            if customer_id is None:
                raise ValueError(f"customer id {shown(word)} is out of range; ids go from 1 to {MAX_CUSTOMER_ID}")
        elif is_evm_address(word):
            raise ValueError(f"{EVM_ADDRESS}. To search by a beginning, type more digits or fewer")
        elif re.fullmatch(r"0x[0-9a-fA-F]{1,64}", word):
            _only_one(wallet_prefix, "two wallets")
            wallet_prefix = word.lower()
        elif looks_like_digest(word):
            _only_one(digest, "two digests")
            digest = Digest.parse(word)
        else:
            _only_one(fingerprint, "two keys")
            fingerprint = _fingerprint(word)
    return CustomerSearch(customer_id, wallet_prefix, status, digest, fingerprint)


def _fingerprint(word: str) -> int:
    try:
        return parse_fingerprint(word)
    except KeyFormatError:
        raise ValueError(
            f"cannot search customers for {shown(word)!r}; "
            "type an id, a wallet prefix (0x…), a digest, a key or a status"
        ) from None


def _only_one(known: object, what: str) -> None:
    if known is not None:
        raise ValueError(f"{what} were given, and no customer has both; type one")

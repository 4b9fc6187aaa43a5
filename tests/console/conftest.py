"""A small business that every screen can be tried on."""

import pytest

from db.suiftly.key_format import KeyMetadata, Service, encode, fingerprint, sha256_hex
from tests.console.screens import query
from tests.db.seed import CUSTOMER, OTHER_CUSTOMER, add_customer, add_key, wallet

SUSPENDED = 8
CLOSED = 9
PASTED_KEY = encode(bytes(range(32)), Service.SEAL, CUSTOMER, KeyMetadata(0, "mainnet", "open", None, 1), b"\1\2\3\4")
PASTED = fingerprint(PASTED_KEY)

__all__ = ["CLOSED", "CUSTOMER", "OTHER_CUSTOMER", "PASTED", "PASTED_KEY", "SUSPENDED", "wallet"]


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's own terminal is set to does not matter here."""
    for name in ("NO_COLOR", "TEXTUAL_THEME", "TEXTUAL_ANIMATIONS", "SSH_CONNECTION", "SSH_CLIENT", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def business(dsn: str) -> str:
    """DSN of a database with four customers: 7 and 4294967295 are active, 8 is suspended, 9 closed. Newest key last."""
    add_customer(dsn, CUSTOMER)
    add_customer(dsn, OTHER_CUSTOMER)
    add_customer(dsn, SUSPENDED, "suspended")
    add_customer(dsn, CLOSED, "closed")
    for number in (42, 43, 4294967295):
        add_key(dsn, number, CUSTOMER)
    add_key(dsn, PASTED, CUSTOMER, key_hash=sha256_hex(PASTED_KEY))
    add_key(dsn, 77, OTHER_CUSTOMER)
    query(dsn, "UPDATE api_keys SET metadata = %s", '{"seal_network": 1, "seal_access": 0, "proc_group": 1}')
    return dsn

"""A small business that every screen can be tried on."""

import gc
from collections.abc import Iterator

import pytest

from db.suiftly.keys.format import Service, encode, fingerprint, sha256_hex
from db.suiftly.keys.metadata import KeyMetadata
from tests.console.screens import query
from tests.databases import copied, name_of
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


@pytest.fixture(autouse=True, scope="session")
def few_collections() -> Iterator[None]:
    """A console makes some 100,000 objects that refer to each other; looking through them again and again is slow."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 20)
    yield
    gc.set_threshold(*before)


@pytest.fixture(scope="session")
def business_template(server_dsn: str, migrated_template: str) -> Iterator[str]:
    """Name of the database that `business` copies."""
    with copied(server_dsn, migrated_template) as dsn:
        _seed(dsn)
        yield name_of(dsn)


@pytest.fixture(scope="session")
def same_business(server_dsn: str, business_template: str) -> Iterator[str]:
    """As `business`, but one for all tests that change nothing."""
    with copied(server_dsn, business_template) as dsn:
        yield dsn


@pytest.fixture
def business(server_dsn: str, business_template: str) -> Iterator[str]:
    """DSN of a database with four customers: 7 and 4294967295 are active, 8 is suspended, 9 closed."""
    with copied(server_dsn, business_template) as dsn:
        yield dsn


def _seed(dsn: str) -> None:
    add_customer(dsn, CUSTOMER)
    add_customer(dsn, OTHER_CUSTOMER)
    add_customer(dsn, SUSPENDED, "suspended")
    add_customer(dsn, CLOSED, "closed")
    for number in (42, 43, 4294967295):
        add_key(dsn, number, CUSTOMER)
    add_key(dsn, PASTED, CUSTOMER, key_hash=sha256_hex(PASTED_KEY))
    add_key(dsn, 77, OTHER_CUSTOMER)
    query(dsn, "UPDATE api_keys SET metadata = %s", '{"seal_network": 1, "seal_access": 0, "proc_group": 1}')

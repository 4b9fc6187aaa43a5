"""Commands that only read: JSON documents, pages that meet, keys that are never printed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from db.suiftly.keys.format import Service, encode, fingerprint, sha256_hex
from db.suiftly.keys.metadata import KeyMetadata
from tests.console.command import Result, all_of, assert_utc, opsdeck
from tests.databases import copied
from tests.db.seed import CUSTOMER, OTHER_CUSTOMER, wallet

SECRET = bytes(range(32))
METADATA = KeyMetadata(version=0, network="mainnet", access="permission", source="derived", proc_group=1)
CUSTOMERS = (OTHER_CUSTOMER, *range(100, 120), 2**31, 2**31 + 1, CUSTOMER)


@dataclass(frozen=True, slots=True)
class Business:
    """A database that these tests share, because they only read, and the keys its customer holds."""

    dsn: str
    keys: tuple[str, ...]

    def json(self, *arguments: str) -> Any:
        result = opsdeck(self.dsn, *arguments, "--json")
        assert result.code == 0, result
        return result.json


def _fill(connection: psycopg.Connection[Any], keys: tuple[str, ...]) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    cursor = connection.cursor()
    cursor.executemany(
        "INSERT INTO customers (customer_id, wallet_address, status, created_at) VALUES (%s, %s, %s, %s)",
        [(number, wallet(number), "suspended" if number == 100 else "active", noon) for number in CUSTOMERS],
    )
    cursor.executemany(
        """INSERT INTO api_keys (api_key_id, api_key_fp, api_key_hash, customer_id, service_type, created_at,
                                 is_active, revoked_at, revoked_by, revocation_reason)
           VALUES (%s, %s, %s, %s, 'seal', %s, %s, %s, 'ann', 'left')""",
        [
            (
                f"sealed-{nth}",
                fingerprint(key),
                sha256_hex(key),
                CUSTOMER,
                noon + timedelta(minutes=nth // 3),  # three share each moment
                nth % 4 != 0,
                None if nth % 4 else noon + timedelta(days=1),  # and all that are revoked share one
            )
            for nth, key in enumerate(keys)
        ],
    )
    cursor.executemany(
        """INSERT INTO console.audit (operation_id, action, subjects, os_user, reason, outcome)
           VALUES (gen_random_uuid(), 'revoke-keys', %s, 'ann', 'left', 'done')""",
        [([f"key:{nth}"],) for nth in range(12)],
    )


@pytest.fixture(scope="module")
def business(server_dsn: str, migrated_template: str) -> Iterator[Business]:
    keys = tuple(encode(SECRET, Service.SEAL, CUSTOMER, METADATA, (nth << 27).to_bytes(4)) for nth in range(1, 24))
    assert len({fingerprint(key) for key in keys}) == len(keys)
    assert max(map(fingerprint, keys)) >= 2**31
    with copied(server_dsn, migrated_template) as dsn:
        with psycopg.connect(dsn) as connection:
            _fill(connection, keys)
        yield Business(dsn, keys)


def pages(business: Business, *arguments: str, rows: str, next_page: str, last: str) -> list[Any]:
    """All rows, a page at a time."""
    found: list[Any] = []
    more: tuple[str, ...] = ()
    for _ in range(30):
        document = business.json(*arguments, "--limit", "8", *more)
        found += document[rows]
        if not document[rows] or document.get("complete"):
            return found
        more = (next_page, str(document[rows][-1][last]))
    raise AssertionError("it never ends")


@pytest.mark.parametrize(
    ("search", "wanted"),
    [((), sorted(CUSTOMERS)), (("active",), sorted(set(CUSTOMERS) - {100})), (("0x0000000000",), sorted(CUSTOMERS))],
)
def test_pages_of_customers_cover_every_row_once(
    business: Business, search: tuple[str, ...], wanted: list[int]
) -> None:
    rows = pages(business, "customers", "list", *search, rows="customers", next_page="--after", last="customer_id")
    assert [row["customer_id"] for row in rows] == wanted


@pytest.mark.parametrize("state", [None, "live", "revoked"])
def test_pages_of_keys_cover_every_row_once(business: Business, state: str | None) -> None:
    narrowed = () if state is None else ("--state", state)
    rows = pages(business, "keys", "list", *narrowed, rows="keys", next_page="--after", last="fingerprint")
    fingerprints = [row["fingerprint"] for row in rows]
    live = {fingerprint(key) for nth, key in enumerate(business.keys) if nth % 4 != 0}
    revoked = {fingerprint(key) for key in business.keys} - live
    assert len(fingerprints) == len(set(fingerprints))
    assert set(fingerprints) == {None: live | revoked, "live": live, "revoked": revoked}[state]
    moments = [row["revoked_at" if state == "revoked" else "created_at"] for row in rows]
    assert moments == sorted(moments, reverse=True)


def test_pages_of_the_record_cover_every_row_once(business: Business) -> None:
    rows = pages(business, "audit", "list", rows="audit", next_page="--before", last="seq")
    assert [row["subjects"] for row in rows] == [[f"key:{nth}"] for nth in reversed(range(12))]


def test_every_document_parses_and_its_times_are_utc_with_a_z(business: Business) -> None:
    commands = [
        ("customers", "list", "--json"),
        ("customers", "show", str(CUSTOMER), "--json"),
        ("keys", "list", "--json"),
        ("keys", "show", str(fingerprint(business.keys[0])), "--json"),
        ("keys", "find", business.keys[1], "--json"),
        ("audit", "list", "--json"),
    ]
    for arguments, result in zip(commands, all_of(business.dsn, commands), strict=True):
        assert (result.code, result.err) == (0, ""), arguments
        assert_utc(result.json)


def test_ids_in_the_upper_half_of_32_bits_are_as_good_as_any(business: Business) -> None:
    shown = business.json("customers", "show", wallet(CUSTOMER))["customer"]
    assert (shown["customer_id"], shown["wallet_address"]) == (CUSTOMER, wallet(CUSTOMER))
    assert shown["live_keys"] == sum(nth % 4 != 0 for nth in range(len(business.keys)))
    found = business.json("customers", "list", str(2**31 + 1))["customers"]
    assert [row["customer_id"] for row in found] == [2**31 + 1]
    found = business.json("customers", "list", wallet(CUSTOMER))["customers"]
    assert [row["customer_id"] for row in found] == [CUSTOMER]
    assert len(business.json("keys", "list", "--customer", str(CUSTOMER))["keys"]) == len(business.keys)
    text = opsdeck(business.dsn, "customers", "show", str(CUSTOMER))
    assert text.code == 0
    assert str(CUSTOMER) in text.out


def _assert_found(result: Result, wanted: int, keys: tuple[str, ...], name: str) -> None:
    assert result.code == 0, (name, result)
    assert [row["fingerprint"] for row in result.json["keys"]] == [wanted], name
    assert not any(key in result.out + result.err for key in keys), name


def test_a_key_is_found_by_whatever_one_has_of_it_and_is_never_printed(business: Business) -> None:
    key = max(business.keys, key=fingerprint)
    wanted = fingerprint(key)
    forms = {
        "decimal": str(wanted),
        "signed decimal": str(wanted - 2**32),
        "hex": f"0x{wanted:08x}",
        "hex in upper case": f"0x{wanted:08X}",
        "the full key": key,
    }
    results = all_of(business.dsn, [("keys", "find", form, "--json") for form in forms.values()])
    for name, result in zip(forms, results, strict=True):
        _assert_found(result, wanted, business.keys, name)
    piped = opsdeck(business.dsn, "keys", "find", "-", "--json", stdin=f"  {key}\n")
    _assert_found(piped, wanted, business.keys, "piped")
    for verb in (("find", key), ("show", key)):
        text = opsdeck(business.dsn, "keys", *verb)
        assert text.code == 0
        assert f"0x{wanted:08x}" in text.out
        assert key not in text.out + text.err


def test_a_key_that_only_shares_the_fingerprint_is_not_taken_for_it(business: Business) -> None:
    key = business.keys[0]
    other = key[:-1] + ("A" if key[-1] != "A" else "B")
    assert fingerprint(other) == fingerprint(key)
    result = opsdeck(business.dsn, "keys", "find", "-", stdin=other)
    assert (result.code, result.out, result.err) == (1, "", "no key matches\n")
    mistyped = opsdeck(business.dsn, "keys", "find", "-", stdin=key.lower()).complained(2)
    assert key.lower() not in mistyped


def test_keys_are_found_by_customer_and_state(business: Business) -> None:
    found = business.json("keys", "find", f"customer:{CUSTOMER}", "revoked")["keys"]
    assert {row["is_active"] for row in found} == {False}
    assert len(found) == sum(nth % 4 == 0 for nth in range(len(business.keys)))


def test_the_doctor_says_what_it_found(business: Business, empty_dsn: str) -> None:
    checks = business.json("doctor")["checks"]
    assert {check["name"] for check in checks} >= {"server", "schema", "role", "request log"}
    assert {check["state"] for check in checks} <= {"good", "warn"}
    ill = opsdeck(empty_dsn, "doctor", "--json")
    assert ill.code == 1
    assert [check["state"] for check in ill.json["checks"] if check["name"] == "schema"] == ["bad"]
    assert "BAD   schema" in opsdeck(empty_dsn, "doctor").out


def test_an_empty_database_is_migrated_once_and_the_check_changes_nothing(empty_dsn: str) -> None:
    check = opsdeck(empty_dsn, "migrate", "--check")
    assert (check.code, check.err) == (1, "")
    assert "run `opsdeck migrate`" in check.out
    assert "opsdeck migrate" in opsdeck(empty_dsn, "customers", "list").complained(1)
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT to_regclass('public.customers')").fetchone() == (None,)
    first = opsdeck(empty_dsn, "migrate")
    assert first.code == 0
    assert "applied 0001_suiftly_tables" in first.err
    assert first.out.startswith("the schema is current at migration ")
    again = opsdeck(empty_dsn, "migrate")
    assert (again.code, again.out, again.err) == (0, first.out, "")
    assert opsdeck(empty_dsn, "migrate", "--check").code == 0


def test_tables_of_someone_else_are_left_alone(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn) as connection:
        connection.execute("CREATE TABLE customers (name text)")
    assert "was not made by opsdeck" in opsdeck(empty_dsn, "migrate").complained(1)
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT to_regnamespace('console')").fetchone() == (None,)


def test_what_others_wrote_never_steers_the_terminal(dsn: str) -> None:
    hostile = "\x1b[2J\x9b31m\x07\rfake"
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO customers (customer_id, wallet_address, status) VALUES (7, %s, 'active')", (wallet(7),)
        )
        connection.execute(
            """INSERT INTO api_keys (api_key_id, api_key_fp, api_key_hash, customer_id, service_type, is_active,
                                     revoked_at, revoked_by, revocation_reason)
               VALUES ('x', 42, %s, 7, 'seal', false, now(), %s, %s)""",
            (f"{42:064x}", hostile, hostile),
        )
        connection.execute(
            """INSERT INTO console.audit (operation_id, action, subjects, os_user, reason, outcome)
               VALUES (gen_random_uuid(), %s, %s, %s, %s, 'done')""",
            (hostile, [hostile], hostile, hostile),
        )
    commands = [
        ("keys", "list"),
        ("keys", "show", "42"),
        ("audit", "list"),
        ("keys", "revoke", "42", "--reason", "again", "--yes"),
    ]
    for arguments, result in zip(commands, all_of(dsn, commands), strict=True):
        told = result.out + result.err
        assert "fake" in told, arguments
        assert not set(told) & {"\x1b", "\x9b", "\x07", "\r"}, arguments

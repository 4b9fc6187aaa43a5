"""The list of keys, page by page, and what the log says of one key."""

import random
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from typing import Any

import psycopg
import pytest

from db.database import Database
from db.suiftly.keys.format import sha256_hex
from db.suiftly.keys.keys import Keys, KeySearch, key_metadata_words, parse_search
from tests.db.paging import every_page
from tests.db.seed import CUSTOMER, OTHER_CUSTOMER, add_customer, add_key, add_request

KEY = "SUGAMHVFVDLVE3GG9TNYCTAF1GZVC2CG6ZTPG"
FINGERPRINT = 2711124630


@pytest.fixture
def ring(dsn: str) -> list[dict[str, Any]]:
    """200 keys of three customers. Only eight instants, so that most rows tie in created_at and in revoked_at."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    randomness = random.Random(seed)
    for id_ in (CUSTOMER, OTHER_CUSTOMER, 3):
        add_customer(dsn, id_)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows: list[dict[str, Any]] = []
    for fingerprint in {1, 2**31, 2**32 - 1} | {randomness.randint(1, 2**32 - 1) for _ in range(197)}:
        created = start + timedelta(hours=randomness.randrange(8))
        revoked = start + timedelta(days=1, hours=randomness.randrange(8)) if randomness.random() < 0.4 else None
        rows.append({
            "fp": fingerprint, "customer": randomness.choice((CUSTOMER, OTHER_CUSTOMER)), "created": created,
            "revoked": revoked, "live": revoked is None, "id": f"sealed-{fingerprint}", "hash": f"{fingerprint:064x}",
        })  # fmt: skip
    with psycopg.connect(dsn) as connection:
        connection.cursor().executemany(
            """INSERT INTO api_keys (api_key_id, api_key_fp, api_key_hash, customer_id, service_type, is_active,
                                     created_at, revoked_at)
               VALUES (%(id)s, %(fp)s, %(hash)s, %(customer)s, 'seal', %(live)s, %(created)s, %(revoked)s)""",
            rows,
        )
    return rows


@pytest.mark.parametrize("limit", [1, 9, 200])
async def test_pages_cover_each_key_once_newest_first_or_last_revoked_first(
    database: Database, ring: list[dict[str, Any]], limit: int
) -> None:
    keys = Keys(database)
    for state, customer, fingerprint in product(
        (None, "live", "revoked"), (None, CUSTOMER, OTHER_CUSTOMER, 3), (None, ring[0]["fp"])
    ):
        if limit == 1 and customer in (None, OTHER_CUSTOMER):
            continue  # the same again, two hundred pages long
        expected = [
            row
            for row in ring
            if state in (None, "live" if row["live"] else "revoked")
            and customer in (None, row["customer"])
            and fingerprint in (None, row["fp"])
        ]
        moment = "revoked" if state == "revoked" else "created"
        expected.sort(key=lambda row: (row[moment], row["fp"]), reverse=True)
        found = await every_page(partial(keys.page, KeySearch(fingerprint, None, customer, state)), limit)
        assert [key.fingerprint for key in found] == [row["fp"] for row in expected], (state, customer, fingerprint)


async def test_a_key_is_found_by_fingerprint_and_by_hash_and_carries_its_story(dsn: str, database: Database) -> None:
    add_customer(dsn, CUSTOMER, "suspended")
    add_key(dsn, FINGERPRINT, CUSTOMER, key_hash=sha256_hex(KEY))
    add_key(dsn, 43, CUSTOMER)
    with psycopg.connect(dsn) as connection:
        connection.execute(
            """UPDATE api_keys SET is_active = false, revoked_at = '2026-01-02 03:04:05+00', revoked_by = 'ann',
                                   revocation_reason = 'leaked', metadata = '{"key_version": 0}'
               WHERE api_key_fp = %s""",
            (FINGERPRINT,),
        )
    keys = Keys(database)
    found = await keys.find(FINGERPRINT)
    assert found is not None
    assert (found.customer_id, found.customer_status, found.service_type) == (CUSTOMER, "suspended", "seal")
    assert (found.is_active, found.revoked_by, found.revocation_reason) == (False, "ann", "leaked")
    assert found.revoked_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (found.label, found.metadata) == ("0xa1987a96", {"key_version": 0})
    by_paste = await keys.page(parse_search(KEY))
    assert by_paste.rows == (found,)
    assert by_paste.complete
    assert await keys.find(44) is None
    # Another key with that fingerprint is not this key: the hash decides.
    assert (await keys.page(KeySearch(fingerprint=43, key_hash=sha256_hex(KEY)))).rows == ()


async def test_no_reader_ever_asks_for_the_sealed_key(dsn: str, database: Database) -> None:
    add_customer(dsn, CUSTOMER)
    add_key(dsn, 42, CUSTOMER)
    found = await Keys(database).find(42)
    assert found is not None
    assert "sealed-42" not in repr(found)


@pytest.mark.parametrize(
    ("text", "search"),
    [
        ("", KeySearch()),
        ("revoked", KeySearch(state="revoked")),
        ("0xa1987a96", KeySearch(fingerprint=FINGERPRINT)),
        ("2711124630", KeySearch(fingerprint=FINGERPRINT)),
        ("-1583842666", KeySearch(fingerprint=FINGERPRINT)),  # as a signed column shows it
        (KEY, KeySearch(fingerprint=FINGERPRINT, key_hash=sha256_hex(KEY))),
        (f"live customer:{CUSTOMER}", KeySearch(customer_id=CUSTOMER, state="live")),
        (f"{KEY} live", KeySearch(FINGERPRINT, sha256_hex(KEY), None, "live")),
    ],
)
def test_what_an_operator_types_is_read(text: str, search: KeySearch) -> None:
    assert parse_search(text) == search


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("customer:", "customer: wants an id from 1 to 4294967295"),
        ("customer:0", "customer: wants an id from 1 to 4294967295"),
        ("customer:4294967296", "customer: wants an id from 1 to 4294967295"),
        ("customer:bob", "customer: wants an id from 1 to 4294967295"),
        ("live revoked", "live or revoked, not both"),
        ("0x1 0x2", "one key at a time"),
        (f"{KEY} 0x1", "one key at a time"),
        ("customer:1 customer:2", "one customer at a time"),
        ("bob", ""),
        ("0x" + "Ab" * 20, "an Ethereum (EVM) address"),
        (f"0x{7:064x} 0x{8:064x}", "one wallet or transaction at a time"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_search(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [KEY + "A", KEY[:-1], KEY.lower(), "customer:" + KEY, "x" + KEY, f"{KEY} bob", f"{KEY} {KEY[:-1]}B",
     f"customer:{KEY} live", f"key:{KEY}"],
)  # fmt: skip
def test_a_pasted_key_never_stands_in_the_error(text: str) -> None:
    try:
        search = parse_search(text)
    except ValueError as error:
        said = str(error) + repr(error.__cause__) + repr(error.args)
    else:
        said = repr(search)
    for piece in (KEY[:8], KEY[-8:], KEY[10:20]):
        assert piece.lower() not in said.lower()


def test_the_metadata_of_a_key_in_words() -> None:
    ours = {"key_version": 0, "seal_network": 1, "seal_access": 1, "seal_source": 0, "proc_group": 1}
    assert key_metadata_words(ours) == "mainnet, permission, derived, production"
    assert key_metadata_words(ours | {"seal_access": 0, "key_version": 2, "proc_group": 5}) == (
        "mainnet, open, group 5, version 2"
    )
    assert key_metadata_words({}) == "metadata not readable"


async def test_the_traffic_of_a_key_is_counted_by_hand(dsn: str, database: Database) -> None:
    add_customer(dsn, CUSTOMER)
    add_key(dsn, 42, CUSTOMER)
    now = datetime.now(UTC)

    def at(seconds: float) -> datetime:
        return now - timedelta(seconds=seconds)

    add_request(dsn, timestamp=at(800), repeat=5, server_id=0x13, client_ip="203.0.113.1")
    add_request(dsn, timestamp=at(500), traffic_type=2, status_code=500, server_id=0x14, client_ip="203.0.113.2")
    refused: dict[str, object] = {"traffic_type": 3, "event_type": 31, "status_code": 403}
    add_request(dsn, timestamp=at(200), repeat=3, client_ip="203.0.113.2", **refused)
    add_request(dsn, timestamp=at(300), client_ip="2001:db8::1", **refused)
    add_request(dsn, timestamp=at(100), traffic_type=3, event_type=21, status_code=429, repeat=2)
    add_request(dsn, timestamp=at(1000))  # before the window
    add_request(dsn, timestamp=at(-100), traffic_type=0)  # a gateway's clock is ahead
    add_request(dsn, timestamp=at(-400))  # beyond any clock
    add_request(dsn, timestamp=at(50), api_key_fp=43)
    add_request(dsn, timestamp=at(50), customer_id=OTHER_CUSTOMER)
    add_request(dsn, timestamp=at(50), customer_id=None)

    key = await Keys(database).find(42)
    assert key is not None
    traffic = await Keys(database).traffic(key)
    assert (traffic.requests, traffic.served, traffic.refused_as_revoked) == (5 + 1 + 3 + 1 + 2 + 1, 6, 4)
    assert (traffic.last_seen, traffic.last_served, traffic.first_refusal) == (at(-100), at(500), at(300))
    assert traffic.servers == (0x13, 0x14)
    assert traffic.addresses == 4
    assert traffic.per_minute == pytest.approx(13 / 15)


async def test_a_key_without_traffic_has_zeros(dsn: str, database: Database) -> None:
    add_customer(dsn, CUSTOMER)
    add_key(dsn, 42, CUSTOMER)
    key = await Keys(database).find(42)
    assert key is not None
    traffic = await Keys(database).traffic(key)
    assert (traffic.requests, traffic.served, traffic.servers, traffic.addresses) == (0, 0, (), 0)
    assert (traffic.last_seen, traffic.last_served, traffic.first_refusal) == (None, None, None)

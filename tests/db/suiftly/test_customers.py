"""The list of customers, page by page, and one customer with what stands around it."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from itertools import product
from typing import Any

import psycopg
import pytest

from db.chain.values import Digest
from db.database import Database
from db.suiftly.customer_id import MAX_CUSTOMER_ID as MAX_ID
from db.suiftly.customer_search import STATUSES, CustomerSearch, parse_search
from db.suiftly.customers import Customers
from db.suiftly.keys.format import fingerprint
from db.suiftly.keys.keys import Keys
from db.suiftly.keys.keys import parse_search as parse_key_search
from tests.db.paging import every_page
from tests.db.seed import CUSTOMER, OTHER_CUSTOMER, add_customer, add_key, wallet

KEY = "SUGAMHVFVDLVE3GG9TNYCTAF1GZVC2CG6ZTPG"
DIGEST = Digest(b"\xa7" * 32)
PREFIXES = (None, "0x", "0xa", "0xab", "0xabc", "0x0", "0xf", "0xabf" + "f" * 61)


@pytest.fixture
def crowd(dsn: str) -> list[tuple[int, str, str]]:
    """(id, wallet, status) of 300 customers: ids on both sides of 2^31, wallets that share beginnings."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    randomness = random.Random(seed)
    ids = {1, 2**31 - 1, 2**31, MAX_ID} | {randomness.randint(1, MAX_ID) for _ in range(296)}
    wallets = {"0xab" + "0" * 62, "0xab" + "f" * 62, "0xabf" + "f" * 61, "0x" + "0" * 64, "0x" + "f" * 64}
    while len(wallets) < len(ids):
        start = randomness.choice(["", "a", "ab", "abc", "0", "f"])
        wallets.add("0x" + start + "".join(randomness.choices("0123456789abcdef", k=64 - len(start))))
    rows = [(id_, address, randomness.choice(STATUSES)) for id_, address in zip(ids, sorted(wallets), strict=True)]
    randomness.shuffle(rows)
    with psycopg.connect(dsn) as connection:
        connection.cursor().executemany(
            "INSERT INTO customers (customer_id, wallet_address, status) VALUES (%s, %s, %s)", rows
        )
    return rows


@pytest.mark.parametrize("limit", [1, 7, 300])
async def test_pages_cover_each_row_once_in_order_whatever_is_searched(
    database: Database, crowd: list[tuple[int, str, str]], limit: int
) -> None:
    customers = Customers(database)
    some = crowd[0]
    for prefix, status, id_ in product(PREFIXES, (None, *STATUSES), (None, some[0])):
        if limit == 1 and prefix is None and id_ is None:
            continue  # the same again, three hundred pages long
        expected = [
            row
            for row in crowd
            if row[1].startswith(prefix or "") and status in (None, row[2]) and id_ in (None, row[0])
        ]
        expected.sort(key=lambda row: row[1] if prefix else row[0])
        found = await every_page(partial(customers.page, CustomerSearch(id_, prefix, status)), limit)
        assert [(row.customer_id, row.wallet_address, row.status) for row in found] == expected, (prefix, status, id_)


async def test_a_wallet_is_found_by_its_beginning_at_any_length(
    database: Database, crowd: list[tuple[int, str, str]]
) -> None:
    customers = Customers(database)
    address = next(address for _, address, _ in crowd if address.startswith("0xabc"))
    for length in range(3, 67):
        page = await customers.page(CustomerSearch(wallet_prefix=address[:length]), limit=300)
        assert {row.wallet_address for row in page.rows} == {
            known for _, known, _ in crowd if known.startswith(address[:length])
        }
    exact = await customers.page(CustomerSearch(wallet_prefix=address))
    assert [row.wallet_address for row in exact.rows] == [address]


async def test_a_page_that_ends_with_the_last_row_says_that_nothing_follows(dsn: str, database: Database) -> None:
    for id_ in (1, 2, 3):
        add_customer(dsn, id_)
    customers = Customers(database)
    assert not (await customers.page(CustomerSearch(), limit=2)).complete
    assert (await customers.page(CustomerSearch(), limit=3)).complete
    assert (await customers.page(CustomerSearch(status="closed"), limit=3)).complete


async def test_ids_above_two_to_the_31_are_found_as_they_are(dsn: str, database: Database) -> None:
    add_customer(dsn, CUSTOMER)
    add_customer(dsn, 3735928559, "suspended")
    found = await Customers(database).find(3735928559)
    assert found is not None
    assert (found.customer_id, found.status, found.wallet_address) == (3735928559, "suspended", wallet(3735928559))
    assert await Customers(database).find(3735928558) is None


async def test_live_keys_leave_out_the_revoked_ones(dsn: str, database: Database) -> None:
    add_customer(dsn, CUSTOMER)
    add_customer(dsn, OTHER_CUSTOMER)
    for number in (1, 2, 3):
        add_key(dsn, number, CUSTOMER)
    add_key(dsn, 4, OTHER_CUSTOMER)
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE api_keys SET is_active = false, revoked_at = now() WHERE api_key_fp = 2")
    found = await Customers(database).find(CUSTOMER)
    assert found is not None
    assert found.live_keys == 2


async def test_the_version_changes_with_every_update_of_the_row(dsn: str, database: Database) -> None:
    add_customer(dsn, CUSTOMER)
    before = await Customers(database).find(CUSTOMER)
    assert before == await Customers(database).find(CUSTOMER)
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE customers SET status = status")
    after = await Customers(database).find(CUSTOMER)
    assert before is not None
    assert after is not None
    assert before.version != after.version
    assert replace(after, version=before.version) == before


async def test_a_digest_finds_the_customers_it_touched_however_it_is_stored(dsn: str, database: Database) -> None:
    for number, id_ in enumerate((1, 2, 3, 4)):
        add_customer(dsn, id_)
        with psycopg.connect(dsn) as connection:
            connection.execute(
                "INSERT INTO escrow_transactions (customer_id, tx_digest, tx_type, amount, timestamp)"
                " VALUES (%s, %s, 'deposit', 1, now())",
                (id_, DIGEST.spellings[number]),
            )
    for id_ in (5, 6, 7, 8):
        add_customer(dsn, id_)
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, tx_hash) VALUES (5, 'deposit', 1, %s)",
            (str(DIGEST),),
        )
        connection.execute(
            """INSERT INTO billing_records (customer_id, billing_period_start, billing_period_end, amount_usd_cents,
                                            type, status, tx_digest)
               VALUES (6, '2026-01-01Z', '2026-02-01Z', 1, 'charge', 'paid', %s)""",
            (str(DIGEST),),
        )
        connection.execute("UPDATE customers SET wallet_address = %s WHERE customer_id = 7", (f"0x{DIGEST.raw.hex()}",))
        connection.execute("UPDATE customers SET escrow_contract_id = %s WHERE customer_id = 8", ("0x" + "e5" * 32,))
    for text, expected in (
        (str(DIGEST), [1, 2, 3, 4, 5, 6]),
        (f"0x{DIGEST.raw.hex()}", [1, 2, 3, 4, 5, 6, 7]),
        ("0x" + "E5" * 32, [8]),
    ):
        found = await Customers(database).page(parse_search(text))
        assert sorted(row.customer_id for row in found.rows) == expected
    add_key(dsn, 43, 8)
    for customer in (1, 6, 7):
        add_key(dsn, customer, customer)
    for text, owners in ((str(DIGEST), [1, 6]), (f"0x{DIGEST.raw.hex()}", [1, 6, 7]), (wallet(8), [8])):
        keys = await Keys(database).page(parse_key_search(text))
        assert sorted(key.customer_id for key in keys.rows) == owners


async def test_a_key_finds_its_customer_in_any_spelling(dsn: str, database: Database) -> None:
    for id_ in (1, 2, 3):
        add_customer(dsn, id_)
    add_key(dsn, fingerprint(KEY), 2)
    with psycopg.connect(dsn) as connection:  # whose wallet begins like the fingerprint
        connection.execute("UPDATE customers SET wallet_address = %s WHERE customer_id = 3", ("0xa1987a96" + "0" * 56,))
    for text, expected in (
        (KEY, [2]),
        ("-1583842666", [2]),
        ("a1987a96", [2]),
        ("0xA1987A96", [2, 3]),
        ("0xa1987a960", [3]),
    ):
        found = await Customers(database).page(parse_search(text))
        assert sorted(row.customer_id for row in found.rows) == expected, text


@pytest.mark.parametrize(
    ("text", "search"),
    [
        ("", CustomerSearch()),
        ("42", CustomerSearch(customer_id=42)),
        (f" {MAX_ID} ", CustomerSearch(customer_id=MAX_ID)),
        ("0xAB", CustomerSearch(wallet_prefix="0xab")),
        (wallet(7), CustomerSearch(wallet_prefix=wallet(7))),
        ("suspended", CustomerSearch(status="suspended")),
        ("0xab closed", CustomerSearch(wallet_prefix="0xab", status="closed")),
        ("active 0xab 42", CustomerSearch(42, "0xab", "active")),
        (str(DIGEST), CustomerSearch(digest=DIGEST)),
        ("-1 active", CustomerSearch(status="active", fingerprint=4294967295)),
        (f"{KEY} 42", CustomerSearch(42, fingerprint=fingerprint(KEY))),
        (f"{DIGEST.raw.hex()} 42", CustomerSearch(42, digest=DIGEST)),
    ],
)
def test_what_an_operator_types_is_read(text: str, search: CustomerSearch) -> None:
    assert parse_search(text) == search


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0", f"customer id 0 is out of range; ids go from 1 to {MAX_ID}"),
        (str(MAX_ID + 1), f"customer id {MAX_ID + 1} is out of range; ids go from 1 to {MAX_ID}"),
        ("9" * 5000, "is out of range"),
        ("bob", "cannot search customers for 'bob'; type an id, a wallet prefix (0x…), a digest, a key or a status"),
        ("0x" + "a" * 65, "type an id, a wallet prefix (0x…), a digest, a key or a status"),
        ("0xag", "cannot search customers for '0xag'"),
        ("active closed", "two statuses"),
        ("1 2", "two ids"),
        ("0xa 0xb", "two wallets"),
        (f"{DIGEST} {DIGEST}", "two digests"),
        ("-1 -2", "two keys"),
        ("0x" + "Ab" * 20, "an Ethereum (EVM) address"),
    ],
)
def test_what_cannot_be_read_is_named_with_a_remedy(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_search(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", [KEY[:-1], KEY.lower(), f"customer:{KEY}", f"42 {KEY}A"])
def test_a_key_pasted_into_the_wrong_search_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_search(text)
    for piece in (KEY[:8], KEY[-8:], KEY[10:20]):
        assert piece.lower() not in str(caught.value).lower()


def _surroundings(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        """INSERT INTO service_instances (customer_id, service_type, tier, is_enabled, enabled_at, disabled_at) VALUES
           (%(id)s, 'seal', 'pro', true, '2025-01-01+00', NULL),
           (%(id)s, 'graphql', 'starter', false, '2025-01-01+00', '2025-06-01+00'),
           (%(other)s, 'seal', 'starter', true, NULL, NULL)""",
        {"id": CUSTOMER, "other": OTHER_CUSTOMER},
    )
    connection.execute(
        """INSERT INTO billing_records (customer_id, billing_period_start, billing_period_end, amount_usd_cents,
                                        status, type, tx_digest) VALUES
           (%(id)s, '2025-01-01', '2025-02-01', 700, 'paid', 'charge', 'x'),
           (%(id)s, '2025-02-01', '2025-03-01', 500, 'pending', 'charge', NULL),
           (%(id)s, '2025-03-01', '2025-04-01', 300, 'failed', 'charge', NULL),
           (%(id)s, '2025-03-01', '2025-04-01', -50, 'pending', 'credit', NULL),
           (%(id)s, '2025-04-01', '2025-05-01', 999, 'voided', 'charge', NULL),
           (%(other)s, '2025-02-01', '2025-03-01', 11, 'pending', 'charge', NULL)""",
        {"id": CUSTOMER, "other": OTHER_CUSTOMER},
    )
    connection.execute(
        """INSERT INTO ledger_entries (customer_id, type, amount_usd_cents) VALUES
           (%(id)s, 'deposit', 5000), (%(id)s, 'charge', -700), (%(id)s, 'withdrawal', -300),
           (%(other)s, 'deposit', 1)""",
        {"id": CUSTOMER, "other": OTHER_CUSTOMER},
    )
    connection.execute(
        """INSERT INTO usage_records (customer_id, service_type, request_count, bytes_transferred, window_start,
                                      window_end, charged_amount)
           SELECT %(id)s, service, count, bytes, today - age, today - age + interval '1 hour', usd
           FROM (SELECT date_trunc('day', now(), 'UTC') AS today) t, (VALUES
             ('seal', 10, 100, interval '0', NULL::numeric),
             ('grpc', 5, NULL, interval '0', NULL),
             ('seal', 7, 70, interval '1 hour', 0.0007),
             ('grpc', 3, 30, interval '1 day', 0.0003),
             ('seal', 1, 1, interval '13 days', 0.00000001),
             ('seal', 1000, 1, interval '13 days 1 hour', 1)) v (service, count, bytes, age, usd)""",
        {"id": CUSTOMER},
    )


async def test_a_customer_is_shown_with_services_usage_and_money(dsn: str, database: Database) -> None:
    add_customer(dsn, CUSTOMER)
    add_customer(dsn, OTHER_CUSTOMER)
    with psycopg.connect(dsn) as connection:
        _surroundings(connection)
    detail = await Customers(database).detail(CUSTOMER)
    assert detail is not None
    assert detail.customer == await Customers(database).find(CUSTOMER)
    assert [(s.service_type, s.tier, s.is_enabled) for s in detail.services] == [
        ("graphql", "starter", False),
        ("seal", "pro", True),
    ]
    assert detail.services[1].enabled_at == datetime(2025, 1, 1, tzinfo=UTC)
    assert (detail.unpaid_bills, detail.unpaid_usd_cents, detail.ledger_usd_cents) == (3, 750, 4000)
    # UTC days, newest first, two weeks with today; what was not billed has no amount.
    today = detail.usage[0].day
    assert today in (datetime.now(UTC).date(), date.fromordinal(datetime.now(UTC).date().toordinal() - 1))
    assert [(today - day.day).days for day in detail.usage] == [0, 1, 13]
    assert [(day.requests, day.bytes, day.charged_usd) for day in detail.usage] == [
        (15, 100, None),
        (10, 100, Decimal("0.00100000")),
        (1, 1, Decimal("0.00000001")),
    ]


async def test_a_customer_with_nothing_around_it_and_an_unknown_one(dsn: str, database: Database) -> None:
    add_customer(dsn, CUSTOMER)
    detail = await Customers(database).detail(CUSTOMER)
    assert detail is not None
    assert (detail.services, detail.usage) == ((), ())
    assert (detail.unpaid_bills, detail.unpaid_usd_cents, detail.ledger_usd_cents) == (0, 0, None)
    assert await Customers(database).detail(OTHER_CUSTOMER) is None


async def test_the_detail_is_of_one_instant_even_while_money_moves(dsn: str, database: Database) -> None:
    """A writer moves one cent at a time from the balance to the ledger; their sum never changes."""
    add_customer(dsn, CUSTOMER)
    reads = 0
    with psycopg.connect(dsn) as writer:
        for _ in range(15):
            writer.execute("UPDATE customers SET current_balance_usd_cents = current_balance_usd_cents - 1")
            writer.execute("INSERT INTO ledger_entries (customer_id, type, amount_usd_cents) VALUES (%s, 'credit', 1)",
                           (CUSTOMER,))  # fmt: skip
            # Not committed yet: neither half may be seen.
            detail = await Customers(database).detail(CUSTOMER)
            assert detail is not None
            assert (detail.customer.current_balance_usd_cents or 0) + (detail.ledger_usd_cents or 0) == 12345
            writer.commit()
            reads += 1
    assert reads == 15


async def test_a_commit_between_two_questions_of_one_detail_is_not_seen_by_half(
    dsn: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from db.suiftly import customers as module

    add_customer(dsn, CUSTOMER)
    money = module._money

    async def late(connection: Any, customer_id: int) -> Any:
        # The customer was read; now somebody else commits, and only then the ledger is read.
        with psycopg.connect(dsn) as writer:
            writer.execute("UPDATE customers SET current_balance_usd_cents = 0")
            writer.execute("INSERT INTO ledger_entries (customer_id, type, amount_usd_cents) VALUES (%s, 'credit', 9)",
                           (CUSTOMER,))  # fmt: skip
        return await money(connection, customer_id)

    monkeypatch.setattr(module, "_money", late)
    detail = await Customers(database).detail(CUSTOMER)
    assert detail is not None
    assert (detail.customer.current_balance_usd_cents, detail.ledger_usd_cents) == (12345, None)

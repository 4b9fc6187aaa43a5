"""Customers closed, services switched and moved, limits set, sessions ended: by one, and by two at once."""

import asyncio

import pytest

from db.audit import Actor
from db.database import Database
from db.source import (
    Approve,
    ChangeTier,
    CloseCustomer,
    DisableService,
    EnableService,
    EndSessions,
    KeyService,
    Operation,
    Outcome,
    Receipt,
    RequireSecondPerson,
    RevokeKeys,
    Rule,
    SetMonthlyLimit,
    Source,
    SuspendCustomer,
    load_prices,
    parse_limit,
)
from tests.db.seed import add_customer, add_key
from tests.db.suiftly.books import execute, rows, until_blocked

BOOK = load_prices()
SEAL = KeyService.SEAL


@pytest.fixture
async def ann(dsn: str, database: Database) -> Source:
    """Customer 7 has seal, in the tier pro, with the keys 70 and 71, and two sessions; 8 nothing, and is suspended."""
    add_customer(dsn, 7)
    add_customer(dsn, 8, "suspended")
    for key in (70, 71):
        add_key(dsn, key, 7)
    execute(
        dsn,
        """INSERT INTO service_instances (customer_id, service_type, tier, enabled_at)
           VALUES (7, 'seal', 'pro', now() - interval '1 day'), (8, 'seal', 'starter', now() - interval '1 day')""",
    )
    for token, customer, left in ((1, 7, "20 days"), (2, 7, "1 day"), (3, 7, "-1 day"), (4, 8, "1 day")):
        execute(
            dsn,
            """INSERT INTO refresh_tokens (customer_id, token_hash, expires_at)
               VALUES (%s, lpad(%s::text, 64, '0'), now() + %s::interval)""",
            customer, token, left,
        )  # fmt: skip
    return Source(database, Actor("ann", None), BOOK)


@pytest.fixture
def bob(ann: Source) -> Source:
    """Another session on the same database."""
    return Source(ann.database, Actor("bob", None), BOOK)


async def do(source: Source, operation: Operation) -> Receipt:
    return await source.perform(operation, "as they asked")


async def done(source: Source, operation: Operation) -> tuple[str, ...]:
    """Previewed, carried out on what was previewed: the lines of the preview."""
    preview = await source.preview(operation)
    receipt = await do(source, operation.at_version(preview.version))
    assert receipt.done, receipt
    return (*preview.changes, *preview.consequences)


async def refused(source: Source, operation: Operation, words: str) -> None:
    receipt = await do(source, operation)
    assert (receipt.outcome, words in receipt.message) == (Outcome.REFUSED, True), receipt


async def test_a_customer_is_closed_once_nothing_is_served_any_more_and_never_opened_again(
    ann: Source, dsn: str
) -> None:
    execute(
        dsn,
        """INSERT INTO billing_records (customer_id, billing_period_start, billing_period_end, amount_usd_cents, type)
           VALUES (7, '2026-06-01+00', '2026-07-01+00', 1750, 'charge')""",
    )
    await refused(
        ann, CloseCustomer(7), "enabled services (seal): disable them first; 2 live key(s): revoke them first"
    )
    assert (await do(ann, DisableService(7, SEAL))).done
    await refused(ann, CloseCustomer(7), "still has 2 live key(s)")
    assert (await do(ann, RevokeKeys((70, 71)))).done
    preview = await ann.preview(CloseCustomer(7))
    assert (preview.typed_phrase, preview.changes) == ("close 7", ("status: active → closed",))
    told = " ".join(preview.consequences)
    assert "Balance in escrow: $123.45. 1 unpaid bill(s), $17.50" in told
    assert "2 dashboard session(s)" in told
    assert "generate-ma-vault" in told
    assert "final bill" not in told
    execute(dsn, "UPDATE customers SET current_balance_usd_cents = 5 WHERE customer_id = 7")
    stale = await do(ann, CloseCustomer(7, preview.version))
    assert stale.outcome is Outcome.STALE
    assert any("Balance in escrow: $0.05" in line for line in await done(ann, CloseCustomer(7)))
    assert rows(dsn, "SELECT status FROM customers WHERE customer_id = 7") == [{"status": "closed"}]
    for operation, words in (
        (CloseCustomer(7), "is closed already"),
        (EnableService(7, SEAL), "is closed; that cannot be undone"),
        (ChangeTier(7, SEAL, "starter", BOOK), "is closed"),
        (SetMonthlyLimit(7, None, BOOK), "is closed"),
        (CloseCustomer(9), "there is no customer 9"),
    ):
        await refused(ann, operation, words)
    assert (await do(ann, EndSessions(7))).done
    trail = rows(dsn, "SELECT before, after FROM console.audit WHERE action = 'close-customer' AND outcome = 'done'")
    left = {"unpaid_usd_cents": 1750, "current_balance_usd_cents": 5}
    assert trail == [{"before": {"customer:7": {"status": "active", **left}},
                      "after": {"customer:7": {"status": "closed", **left}}}]  # fmt: skip
    assert (await ann.audit.verify()).sound


async def test_a_customer_is_not_closed_beside_a_key_that_just_came(ann: Source, dsn: str) -> None:
    """What is not committed yet is waited for."""
    async with ann.database.writing() as other:
        await other.execute("SELECT FROM customers WHERE customer_id = 8 FOR KEY SHARE")
        execute(dsn, "UPDATE service_instances SET is_enabled = false WHERE customer_id = 8")
        closing = asyncio.create_task(do(ann, CloseCustomer(8)))
        await until_blocked(dsn, closing)
        await other.execute(
            """INSERT INTO api_keys (api_key_id, api_key_fp, api_key_hash, customer_id, service_type)
               VALUES ('new', 80, repeat('8', 64), 8, 'seal')"""
        )
        await other.commit()
    receipt = await closing
    assert (receipt.outcome, "1 live key(s)" in receipt.message) == (Outcome.REFUSED, True), receipt


async def test_a_customer_is_suspended_while_its_usage_is_being_counted(ann: Source) -> None:
    async with ann.database.writing() as metering:
        await metering.execute(
            """INSERT INTO usage_records (customer_id, service_type, window_start, window_end, request_count)
               VALUES (7, 'seal', '2026-06-01 00:00+00', '2026-06-01 01:00+00', 1)"""
        )
        await done(ann, SuspendCustomer(7))


async def test_closing_can_take_a_second_person(ann: Source, bob: Source, dsn: str) -> None:
    rule = Rule("close-customer", 0, 3600, "login")
    execute(dsn, "UPDATE service_instances SET is_enabled = false WHERE customer_id = 8")
    assert (await do(ann, RequireSecondPerson("close-customer", rule))).done
    assert "second person" in (await ann.preview(CloseCustomer(8))).consequences[-1]
    await refused(ann, CloseCustomer(8), "opsdeck approvals approve")
    [request] = await bob.approvals.page(open_only=True)
    assert (request.command, request.subjects) == ("opsdeck customers close 8", ("customer:8",))
    assert rows(dsn, "SELECT status FROM customers WHERE customer_id = 8") == [{"status": "suspended"}]
    assert (await do(bob, Approve(request.approval_id))).done
    await done(ann, CloseCustomer(8))


async def test_a_service_is_switched_and_moved_to_another_tier(ann: Source, dsn: str) -> None:
    state = "SELECT tier, is_enabled, enabled_at > disabled_at AS on_again FROM service_instances WHERE customer_id = 7"
    told = await done(ann, DisableService(7, SEAL))
    assert told[0] == "seal (pro): enabled → disabled"
    assert told[1].startswith("2 live seal key(s)")
    assert rows(dsn, state) == [{"tier": "pro", "is_enabled": False, "on_again": False}]
    await refused(ann, DisableService(7, SEAL), "is disabled already")
    await done(ann, EnableService(7, SEAL))
    assert rows(dsn, state) == [{"tier": "pro", "is_enabled": True, "on_again": True}]
    told = await done(ann, ChangeTier(7, SEAL, "starter", BOOK))
    assert told[:3] == (
        "seal: pro → starter", "rates: 1,000/s and 1,000/s burst → 100/s", "monthly fee: $40.00 → $20.00",
    )  # fmt: skip
    assert "each at the dearest tier that it saw" in told[4]
    assert rows(dsn, state)[0]["tier"] == "starter"
    spans = "SELECT tier, until IS NULL AS lasts FROM console.service_span WHERE customer_id = 7 ORDER BY since"
    assert [tuple(row.values()) for row in rows(dsn, spans)] == [("pro", False), ("pro", False), ("starter", True)]
    for operation, words in (
        (ChangeTier(7, SEAL, "starter", BOOK), "in the tier starter already"),
        (ChangeTier(7, SEAL, "enterprise", load_prices(preset="head-2026")), "has no tier enterprise"),
        (EnableService(7, KeyService.GRPC), "does not have the service grpc"),
        (EnableService(9, SEAL), "there is no customer 9"),
    ):
        await refused(ann, operation, words)
    assert (await do(ann, DisableService(8, SEAL))).done  # as closing it needs
    await refused(ann, EnableService(8, SEAL), "is suspended; resume it")
    trail = rows(dsn, "SELECT before, after FROM console.audit WHERE action = 'change-tier' AND outcome = 'done'")
    assert trail == [
        {"before": {"customer:7": {"seal_tier": "pro"}}, "after": {"customer:7": {"seal_tier": "starter"}}}
    ]


async def test_what_an_operator_switched_no_limit_switches_back(ann: Source, dsn: str) -> None:
    """The mark of what comes back by itself goes with each switch, and can be taken from what is off already."""
    state = "SELECT is_enabled, config, disabled_at::date::text AS off FROM service_instances WHERE customer_id = 7"
    suspend = """UPDATE service_instances SET is_enabled = false, disabled_at = '2026-06-01+00',
                        enabled_at = '2026-05-01+00', config = '{"burst": true, "suspended_for": "limit"}'
                 WHERE customer_id = 7"""
    execute(dsn, suspend)
    enabled = await ann.preview(EnableService(7, SEAL))
    assert enabled.changes == ("seal (pro): suspended (limit) → enabled",)
    told = await done(ann, DisableService(7, SEAL))
    assert told[0] == "seal (pro): suspended (limit) → disabled"
    assert "will not come back by itself" in told[2]
    assert rows(dsn, state) == [{"is_enabled": False, "config": {"burst": True}, "off": "2026-06-01"}]
    stale = await do(ann, EnableService(7, SEAL, version=enabled.version))
    assert (stale.outcome, "it is pro, disabled now" in stale.message) == (Outcome.STALE, True), stale
    execute(dsn, suspend)
    await done(ann, EnableService(7, SEAL))
    assert rows(dsn, state)[0]["config"] == {"burst": True}


async def test_the_limit_is_set_within_the_price_book(ann: Source, dsn: str) -> None:
    execute(
        dsn,
        """UPDATE customers SET current_month_charged_usd_cents = 2500, max_monthly_usd_cents = 50000,
                                current_month_start = date_trunc('month', now())::date WHERE customer_id = 7""",
    )
    limit = "SELECT max_monthly_usd_cents AS cents FROM customers WHERE customer_id = 7"
    told = await done(ann, SetMonthlyLimit(7, 10000, BOOK))
    assert told[0] == "monthly limit: $500.00 → $100.00"
    assert told[1].endswith("$25.00, 25 % of the limit.")
    assert "uses the limit up" in (await ann.preview(SetMonthlyLimit(7, 2500, BOOK))).consequences[0]
    for cents, words in (
        (0, "the lowest limit of the price book is $20.00"),
        (1999, "the lowest limit"),
        (10000, "is $100.00 already"),
    ):
        await refused(ann, SetMonthlyLimit(7, cents, BOOK), words)
    low = BOOK.model_copy(update={"maximum_limit_cents": 5000})
    await refused(ann, SetMonthlyLimit(7, 5001, low), "the highest limit of the price book is $50.00")
    assert rows(dsn, limit) == [{"cents": 10000}]
    told = await done(ann, SetMonthlyLimit(7, None, BOOK))
    assert told[0] == "monthly limit: $100.00 → unlimited"
    assert rows(dsn, limit) == [{"cents": None}]


def test_limits_as_typed() -> None:
    typed = {"500": 50000, "$12.50": 1250, "default": 50000, "": None, " Unlimited ": None}
    assert {text: parse_limit(text, BOOK) for text in typed} == typed
    for text, words in (
        ("0", "write unlimited"),
        ("$0.00", "write unlimited"),
        ("1e3", "in dollars"),
        ("-5", "in doll"),
    ):
        with pytest.raises(ValueError, match=words):
            parse_limit(text, BOOK)
    with pytest.raises(ValueError, match="names no default"):
        parse_limit("default", BOOK.model_copy(update={"default_limit_cents": None}))


async def test_sessions_are_ended_of_one_customer(ann: Source, dsn: str) -> None:
    told = await done(ann, EndSessions(7))
    assert told[0] == "dashboard sessions: 2 → 0"
    assert rows(dsn, "SELECT customer_id FROM refresh_tokens") == [{"customer_id": 8}]
    await refused(ann, EndSessions(7), "has no session")
    await refused(ann, EndSessions(9), "there is no customer 9")


async def test_of_two_sessions_the_second_is_told_what_the_first_did(ann: Source, bob: Source, dsn: str) -> None:
    tries: tuple[tuple[Operation, Operation, str], ...] = (
        (
            ChangeTier(7, SEAL, "starter", BOOK),
            ChangeTier(7, SEAL, "enterprise", BOOK),
            "it is enterprise, enabled now",
        ),
        (DisableService(7, SEAL), ChangeTier(7, SEAL, "pro", BOOK), "it is pro, enabled now"),
        (SetMonthlyLimit(7, 3000, BOOK), SetMonthlyLimit(7, 4000, BOOK), "it is $40.00 now"),
    )
    for late, first, words in tries:
        shown = await ann.preview(late)
        assert (await do(bob, first)).done
        receipt = await do(ann, late.at_version(shown.version))
        assert (receipt.outcome, words in receipt.message) == (Outcome.STALE, True), receipt
    before = rows(dsn, "SELECT tier, is_enabled FROM service_instances WHERE customer_id = 7")
    assert before == [{"tier": "pro", "is_enabled": True}]
    for operation in (DisableService(7, SEAL), SetMonthlyLimit(7, None, BOOK), EndSessions(7)):
        ready = operation.at_version((await ann.preview(operation)).version)
        outcomes = sorted(receipt.outcome.value for receipt in await asyncio.gather(do(ann, ready), do(bob, ready)))
        assert outcomes in (["done", "refused"], ["done", "stale"]), operation

"""One customer: what is known, its keys, its history; stopping and resuming service."""

import asyncio

import psycopg
import pytest

from db.source import CustomerRecord
from tests.console.conftest import CLOSED, CUSTOMER, SUSPENDED
from tests.console.screens import audit_rows, console, hint, query, waits_for_a_lock
from tests.db.seed import add_request, wallet


def status(dsn: str, customer: int) -> str:
    return str(query(dsn, "SELECT status FROM customers WHERE customer_id = %s", customer)[0][0])


async def test_a_customer_shows_its_wallet_money_services_and_keys(business: str) -> None:
    query(
        business,
        "INSERT INTO service_instances (customer_id, service_type, tier) VALUES (%s, 'grpc', 'enterprise')",
        CUSTOMER,
    )
    query(
        business,
        "UPDATE customers SET max_monthly_usd_cents = 50000, current_month_charged_usd_cents = 1234"
        " WHERE customer_id = %s",
        CUSTOMER,
    )
    query(
        business,
        "INSERT INTO ledger_entries (customer_id, type, amount_usd_cents) VALUES (%s, 'deposit', 10000)",
        CUSTOMER,
    )
    async with console(business) as deck:
        await deck.say(":", str(CUSTOMER))
        await deck.sees(
            "0x0000002a", "0x0000002b", "0xffffffff", wallet(CUSTOMER), "the ledger sums to", "nothing on record"
        )
        assert "$123.45, but the ledger sums to $100.00" in deck.line("balance")
        assert "$12.34 of $500.00" in deck.line("this month")
        assert "enterprise, enabled" in deck.line("grpc")
        assert "nothing on record" in deck.text
        assert "0x0000004d" not in deck.text  # the key of another customer


async def test_enter_on_a_key_opens_it_and_escape_comes_back(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.say(":", "customer 7")
        await deck.sees("0x0000004d")
        await deck.press("enter")
        await deck.sees("0x0000004d, decimal 77")
        await deck.press("escape")
        await deck.sees("customer 7", wallet(7))


async def test_l_shows_the_requests_of_this_customer_alone(business: str) -> None:
    add_request(business, customer_id=7, path_prefix="/mine")
    add_request(business, customer_id=CUSTOMER, path_prefix="/theirs")
    async with console(business) as deck:
        await deck.say(":", "customer 7")
        await deck.sees("0x0000004d")
        await deck.press("l")
        await deck.sees("[customer:7]", "/mine")
        assert "/theirs" not in deck.text


async def test_service_is_stopped_with_the_typed_id_and_a_reason_and_resumed_again(business: str) -> None:
    async with console(business) as deck:
        await deck.say(":", "customer 7")
        await deck.sees("0x0000004d")
        await deck.press("ctrl+t")
        await deck.sees("Suspend customer 7", "status: active → suspended", "Type 7 to go on.")
        await deck.type("abuse")
        await deck.press("tab", "7", "tab", "tab", "enter")
        await deck.sees("Customer 7 is now suspended at")
        assert status(business, 7) == "suspended"
        await deck.sees("suspend-customer by", "done; abuse")
        await deck.until(lambda: "suspended" in deck.line("status "), "its status is shown")
        await deck.press("ctrl+t")
        await deck.sees("Resume customer 7")
        await deck.type("paid")
        await deck.press("tab", "tab", "enter")
        await deck.sees("Customer 7 is now active")
    assert status(business, 7) == "active"
    assert [(row["action"], row["outcome"], row["reason"]) for row in audit_rows(business)] == [
        ("suspend-customer", "done", "abuse"),
        ("resume-customer", "done", "paid"),
    ]


async def test_a_closed_customer_can_be_neither_stopped_nor_resumed(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.say(":", f"customer {CLOSED}")
        await deck.sees("This customer has no keys.")
        await deck.until(lambda: deck.footer and "Status" not in deck.footer, "nothing to stop")
        assert "Edit" not in deck.footer
        await deck.press("ctrl+t")
        await deck.never_sees("Suspend customer", "Resume customer", for_s=0.3)
        await deck.press("escape")
        await deck.say(":", f"customer {SUSPENDED}")
        await deck.until(lambda: "Status" in deck.footer, "the suspended one can be resumed")


async def test_whether_a_customer_can_be_stopped_is_not_known_before_it_is_loaded(
    same_business: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console(same_business) as deck:
        await deck.until(lambda: deck.app.deck_state.control is not None, "what the role may do")
        let_go = asyncio.Event()
        record = deck.app.source.customers.record

        async def held(customer_id: int) -> CustomerRecord | None:
            await let_go.wait()
            return await record(customer_id)

        monkeypatch.setattr(deck.app.source.customers, "record", held)
        await deck.say(":", f"customer {SUSPENDED}")
        await deck.until(lambda: "Revoke" in deck.footer, "the keys of the screen")
        assert "Status" not in deck.footer
        let_go.set()
        await deck.until(lambda: "Status" in deck.footer, "now it is known")


async def test_status_keys_and_history_are_those_of_one_moment(business: str) -> None:
    async with console(business) as deck:
        with psycopg.connect(business) as other:
            other.execute("LOCK console.audit")
            await deck.say(":", "customer 7")
            await deck.until(lambda: waits_for_a_lock(business), "the history is being read")
            other.execute("UPDATE customers SET status = 'suspended' WHERE customer_id = 7")
            other.execute(
                "INSERT INTO console.audit (operation_id, action, subjects, os_user, reason, outcome)"
                " VALUES (gen_random_uuid(), 'suspend-customer', '{customer:7}', 'ann', 'abuse', 'done')"
            )
        await deck.sees(wallet(7))
        assert ("suspend-customer" in deck.text) == ("suspended" in deck.line(" status  "))
        hint(business, "customers")
        await deck.sees("suspend-customer")
        assert "suspended" in deck.line(" status  ")


async def test_what_is_written_in_several_lines_goes_on_under_its_beginning(business: str) -> None:
    query(
        business,
        "INSERT INTO console.audit (operation_id, action, subjects, os_user, reason, outcome)"
        " VALUES (gen_random_uuid(), 'suspend-customer', '{customer:7}', 'ann', %s, 'done')",
        "abuse " * 20,
    )
    async with console(business, size=(80, 24)) as deck:
        await deck.say(":", "customer 7")
        await deck.sees("suspend-customer by ann")
        first = deck.lines.index(deck.line("suspend-customer by ann"))
        assert deck.lines[first + 1].startswith(" " * deck.lines[first].index("suspend-customer") + "abuse")


async def test_a_customer_that_does_not_exist_is_said_not_to_exist(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.say(":", "customer 12345")
        await deck.sees("there is no customer 12345")


async def test_unpaid_bills_and_metered_days_are_summed_up(business: str) -> None:
    query(
        business,
        "INSERT INTO billing_records (customer_id, billing_period_start, billing_period_end, amount_usd_cents, type,"
        " status) VALUES (7, '2026-01-01Z', '2026-02-01Z', 1500, 'charge', 'pending'),"
        " (7, '2026-02-01Z', '2026-03-01Z', 250, 'charge', 'failed'),"
        " (7, '2026-03-01Z', '2026-04-01Z', 99999, 'charge', 'voided')",
    )
    async with console(business) as deck:
        await deck.say(":", "customer 7")
        await deck.sees("2 bill(s), $17.50", "none metered in 14 days")
        query(
            business,
            "INSERT INTO usage_records (customer_id, service_type, request_count, window_start, window_end)"
            " SELECT 7, 'seal', 1234, h, h + interval '1 hour' FROM date_trunc('day', now(), 'UTC') h",
        )
        hint(business, "customers")
        await deck.sees("1.2k requests")


async def test_a_customer_is_changed_by_what_is_typed_behind_one_key(business: str) -> None:
    query(business, "INSERT INTO service_instances (customer_id, service_type, tier) VALUES (7, 'seal', 'pro')")
    async with console(business) as deck:
        await deck.say(":", "customer 7")
        await deck.sees("0x0000004d")

        async def asks(text: str, *words: str) -> None:
            await deck.press("ctrl+e")
            await deck.sees("change")
            await deck.type(text)
            await deck.press("enter")
            await deck.sees(*words)

        await asks("disable sea", "'sea' is none of seal, grpc, graphql")
        await deck.press("escape")
        await asks("limit 0", "a limit of 0 cannot be set")
        await deck.press("escape")
        await asks("close", "enabled services")
        await asks("limit 250", "monthly limit: unlimited → $250.00", "opsdeck customers limit 7 250.00")
        await deck.type("asked for")
        await deck.press("tab", "tab", "enter")
        await deck.until(lambda: "of $250.00" in deck.line("this month"), "its limit is shown")
        await asks("limit", "monthly limit: $250.00 → unlimited", "Without a limit every")
        await deck.press("escape")
        await asks(
            "disable seal", "enabled → disabled", "generate-ma-vault", "0x0000004d: no request", "Type 7 to go on."
        )
        await deck.type("abuse")
        await deck.press("tab", "7", "tab", "tab", "enter")
        await deck.until(lambda: "pro, disabled" in deck.line(" seal "), "its service is shown")
    assert [(row["action"], row["outcome"], row["reason"]) for row in audit_rows(business)] == [
        ("close-customer", "refused", ""),  # what cannot be read at all is no try
        ("set-limit", "done", "asked for"),
        ("disable-service", "done", "abuse"),
    ]

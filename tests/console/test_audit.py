"""The record on screen, who else is here, and what a role may not do."""

import getpass
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.console.command import all_of, opsdeck
from tests.console.conftest import CUSTOMER
from tests.console.screens import console, query

REVOKED = """
    INSERT INTO console.audit
        (operation_id, action, subjects, os_user, ssh_source, reason, before, after, outcome, message)
    VALUES (gen_random_uuid(), 'revoke-keys', '{key:42,key:43}', 'ann', '198.51.100.7', 'leaked',
            '{"key:42": {"customer_id": 7, "is_active": true}}', '{"key:42": {"customer_id": 7, "is_active": false}}',
            'done', 'Revoked 0x0000002a, 0x0000002b'),
           (gen_random_uuid(), 'suspend-customer', '{customer:7}', 'bob', NULL, 'unpaid', NULL, NULL, 'refused', 'no'),
           (gen_random_uuid(), 'run-job', '{job:clean-up}', 'root', NULL, '', NULL,
            '{"job:clean-up": {"outcome": "succeeded", "tokens": 3}}', 'done', 'clean-up: succeeded: deleted 3'),
           (gen_random_uuid(), 'undo-revocation', '{key:42}', 'bob', NULL, '', NULL, NULL, 'refused', 'it is too late')
"""


async def test_the_record_is_read_narrowed_followed_and_checked(business: str) -> None:
    query(business, REVOKED)
    async with console(business) as deck:
        await deck.say(":", "audit")
        await deck.sees("suspend-customer", "key 0x0000002a +1", "unpaid")
        assert "clean-up" not in deck.text
        await deck.press("down", "down")
        await deck.sees("ann from 198.51.100.7", "key 0x0000002a is_active", "true → false")
        assert "customer_id" not in deck.text, "it did not change"
        await deck.press("a")
        await deck.sees("clean-up", "with runs of jobs")
        await deck.press("home", "down")
        await deck.sees("job clean-up tokens", "no reason asked for")
        await deck.press("r")
        await deck.sees(": 4 rows follow on each other; checkpoint 4:")
        with psycopg.connect(business) as owner:
            owner.execute("ALTER TABLE console.audit DISABLE TRIGGER ALL")
            owner.execute("UPDATE console.audit SET os_user = 'bob' WHERE seq = 1")
        await deck.press("r")
        await deck.until(lambda: " row 1 was changed after it was written" in deck.line("▲"), "the finding")
        await deck.say("/", "outcome:lost")
        await deck.sees("there is no outcome 'lost'")
        await deck.press("escape")
        await deck.say("/", "key:0x0000002a")
        await deck.sees_no("suspend-customer")
        await deck.until(lambda: any("›" in line and "key 0x" in line for line in deck.lines), "the row")
        await deck.press("enter")
        await deck.sees("on record", "revoke-keys by bob", "undo-revocation by bob: refused; it is too late")
        assert "key 0x0000002a" in deck.header


@pytest.fixture
def operator(business: str) -> Iterator[str]:
    """A DSN with an operator's own login."""
    role = f"operator_{conninfo_to_dict(business)['dbname']}"
    query(business, f"CREATE ROLE {role} LOGIN IN ROLE opsdeck_operator")
    yield business.replace("postgres@", f"{role}@")
    query(business, f"DROP ROLE {role}")


async def test_two_consoles_see_each_other_and_are_warned_on_one_key(business: str, operator: str) -> None:
    async with console(business) as first, console(operator) as second:
        await second.say(":", "key 42")
        await second.sees("fingerprint")
        await second.until(
            lambda: query(business, "SELECT pid FROM pg_stat_activity WHERE application_name LIKE '%%| key 42'"),
            "it tells",
        )
        first.app.vitals.wake()
        await first.sees("also here:", "on key 0x0000002a", "1 other here")
        assert f" as {conninfo_to_dict(operator)['user']} on key" in first.prose
        await first.say(":", "key 42")
        await first.sees("on this key too")
        await first.say(":", "requests ip:203.0.113.9")
        await first.sees_no("on this key too")
        second.app.vitals.wake()
        await second.sees_no("on this key too")
        names = "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE '%%| requests%%'"
        assert await first.until(lambda: query(business, names), "it tells") == [(first.app.source.presence.label,)]
        assert "203.0.113" not in first.app.source.presence.label


async def test_what_the_role_may_not_do_is_bound_to_no_key(business: str) -> None:
    role = f"viewer_{conninfo_to_dict(business)['dbname']}"
    query(business, f"CREATE ROLE {role} LOGIN IN ROLE opsdeck_reader")
    try:
        async with console(business.replace("postgres@", f"{role}@")) as deck:
            await deck.sees("read-only")
            assert "is not known" not in deck.text, "it may read who is near a limit"
            await deck.say(":", "ledger 7")
            await deck.sees("Nothing is in the ledger.")
            await deck.until(lambda: "Bills" in deck.footer and "Credit" not in deck.footer, "no credit")
            await deck.say(":", f"customer {CUSTOMER}")
            await deck.sees("0x0000002a")
            assert not {"Revoke", "Suspend"} & set(deck.footer.replace("/", " ").split())
            await deck.press("question_mark")
            await deck.sees("everywhere")
            assert "Revoke" not in deck.text
            await deck.press("escape")
            await deck.say(":", "audit")
            await deck.sees("Nothing is on record")
        query(business, f"GRANT opsdeck_operator TO {role}")
        async with console(business.replace("postgres@", f"{role}@")) as deck:
            await deck.say(":", f"customer {CUSTOMER}")
            await deck.until(lambda: "Revoke" in deck.footer, "it may")
    finally:
        query(business, f"DROP ROLE {role}")


async def test_a_request_is_seen_and_approved_by_another(business: str) -> None:
    query(business, "INSERT INTO console.second_person (action, told_apart_by) VALUES ('suspend-customer', 'login')")
    query(
        business,
        "SELECT console.ask_approval('suspend-customer', %s, '{customer:7}', 'ann', 'unpaid')",
        "opsdeck customers suspend 7",
    )
    async with console(business) as deck:
        await deck.sees("1 to approve")
        await deck.say(":", "approvals")
        await deck.sees("opsdeck customers suspend 7", "unpaid")
        await deck.press("ctrl+a")
        await deck.sees("Approve what ann asks for", "says: unpaid")
        await deck.type("looked at it")
        await deck.press("enter", "tab", "enter")
        await deck.sees("does it again to carry it out", "Approved: opsdeck customers suspend 7")
        await deck.sees_no("to approve")
        query(business, "UPDATE console.approval SET asked_by = %s", getpass.getuser())
        deck.app.vitals.wake()
        await deck.sees("1 approved for you")
        query(business, "UPDATE console.approval SET asked_by = 'ann'")
    query(business, "SELECT console.ask_approval('suspend-customer', 'another', '{customer:8}', 'ann', 'unpaid')")
    first = ("approvals", "list", "--limit", "1")
    cut, whole = all_of(business, [first, ("approvals", "list", "--json")])
    assert ("another" in cut.out, "suspend 7" in cut.out) == (True, False)
    rest = opsdeck(business, *first, *cut.goes_on)
    assert ("another" in rest.out, "suspend 7" in rest.out, "more" in rest.err) == (False, True, False)
    role = query(business, "SELECT session_user")[0][0]
    assert f"approved, {getpass.getuser()}" in rest.out
    assert f"ann as {role}" in rest.out
    assert (len(whole.json["requests"]), whole.json["complete"]) == (2, True)

"""Commands that change something: what they ask, what they refuse, and what goes on record."""

import getpass
import signal
from typing import Any

import psycopg
import pytest

from tests.console.command import opsdeck, running, terminal, until
from tests.console.screens import waits_for_a_lock
from tests.db.seed import CUSTOMER, OTHER_CUSTOMER, add_two_customers

REASON = "leaked in a public repository"
SURE = ("--reason", REASON, "--yes")


@pytest.fixture
def business(dsn: str) -> str:
    add_two_customers(dsn)
    return dsn


def live(dsn: str) -> set[int]:
    with psycopg.connect(dsn) as connection:
        return {row[0] for row in connection.execute("SELECT api_key_fp FROM api_keys WHERE is_active").fetchall()}


def status(dsn: str, customer_id: int) -> str:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT status FROM customers WHERE customer_id = %s", (customer_id,)).fetchone()
    assert row is not None
    return str(row[0])


def record(dsn: str) -> list[Any]:
    result = opsdeck(dsn, "audit", "list", "--json")
    assert result.code == 0
    return list(result.json["audit"])


def test_revoking_without_a_reason_or_without_anyone_to_ask_changes_nothing(business: str) -> None:
    assert "--reason" in opsdeck(business, "keys", "revoke", "42", "--yes").complained(2)
    assert "--yes" in opsdeck(business, "keys", "revoke", "42", "--reason", REASON, stdin="yes\n").complained(2)
    assert live(business) == {42, 43, 4294967295, 77}
    assert record(business) == []


def test_a_revocation_is_on_record_with_who_where_why_before_and_after(business: str) -> None:
    ssh = "198.51.100.7 51234 192.0.2.1 22"
    result = opsdeck(business, "keys", "revoke", "0x2a", "-1", *SURE, "--json", SSH_CONNECTION=ssh)
    assert (result.code, result.err) == (0, "")
    receipt = result.json
    assert receipt["outcome"] == "done"
    assert live(business) == {43, 77}
    (row,) = record(business)
    assert row["operation_id"] == receipt["operation_id"]
    assert row["at"] == receipt["at"]
    assert (row["action"], row["outcome"], row["reason"]) == ("revoke-keys", "done", REASON)
    assert (row["os_user"], row["ssh_source"], row["db_role"]) == (getpass.getuser(), "198.51.100.7", "postgres")
    assert sorted(row["subjects"]) == ["key:42", "key:4294967295"]
    assert row["before"]["key:42"] == {"customer_id": CUSTOMER, "is_active": True, "revoked_at": None}
    assert row["after"]["key:42"]["is_active"] is False
    assert row["after"]["key:42"]["revoked_at"]
    shown = opsdeck(business, "keys", "show", "42", "--json").json["key"]
    assert (shown["is_active"], shown["revocation_reason"]) == (False, REASON)
    for subject in ("key:42", "key:0x2a", "key:-1"):
        found = opsdeck(business, "audit", "list", "--subject", subject, "--json").json["audit"]
        assert [row["operation_id"] for row in found] == [receipt["operation_id"]], subject
    assert opsdeck(business, "audit", "list", "--subject", "key:43", "--json").json["audit"] == []


REFUSED = {
    "a key nobody has": (("999",), "there is no key with fingerprint 0x000003e7"),
    "one of two nobody has": (("42", "999"), "there is no key with fingerprint 0x000003e7"),
    "a key of another customer": (("77", "--customer", str(CUSTOMER)), f"belongs to customer {OTHER_CUSTOMER}"),
}


def test_what_cannot_be_revoked_is_refused_with_a_sentence_and_the_try_is_on_record(business: str) -> None:
    for name, (arguments, sentence) in REFUSED.items():
        result = opsdeck(business, "keys", "revoke", *arguments, *SURE)
        assert (result.code, result.out) == (1, ""), name
        assert sentence in result.err, name
        assert live(business) == {42, 43, 4294967295, 77}, name
    rows = record(business)
    assert [(row["outcome"], row["reason"]) for row in rows] == [("refused", REASON)] * 3
    assert rows[0]["subjects"] == ["key:77"]
    assert {row["before"] for row in rows} == {None}


def test_a_second_revocation_is_refused_and_says_by_whom(business: str) -> None:
    first = opsdeck(business, "keys", "revoke", "42", *SURE)
    assert first.code == 0
    assert first.out.startswith("Revoked 0x0000002a\noperation ")
    again = opsdeck(business, "keys", "revoke", "42", *SURE)
    assert (again.code, again.out) == (1, "")
    assert "revoked already" in again.err
    assert f"by {getpass.getuser()}" in again.err
    assert [row["outcome"] for row in record(business)] == ["refused", "done"]


def test_a_key_named_twice_is_revoked_once(business: str) -> None:
    assert opsdeck(business, "keys", "revoke", "42", "0x2a", *SURE).code == 0
    assert record(business)[0]["subjects"] == ["key:42"]


def test_suspending_and_resuming_a_customer(business: str) -> None:
    customer = str(CUSTOMER)
    assert "--reason" in opsdeck(business, "customers", "suspend", customer, "--yes").complained(2)
    assert status(business, CUSTOMER) == "active"
    assert opsdeck(business, "customers", "suspend", customer, *SURE).code == 0
    assert status(business, CUSTOMER) == "suspended"
    twice = opsdeck(business, "customers", "suspend", customer, *SURE)
    assert twice.code == 1
    assert "suspended already" in twice.err
    resumed = opsdeck(business, "customers", "resume", customer, "--reason", "paid at last", "--yes", "--json")
    assert (resumed.code, resumed.json["outcome"]) == (0, "done")
    assert status(business, CUSTOMER) == "active"
    nobody = opsdeck(business, "customers", "resume", "8", *SURE)
    assert nobody.code == 1
    assert "there is no customer 8" in nobody.err
    actions = [(row["action"], row["outcome"]) for row in record(business)]
    assert actions == [
        ("resume-customer", "refused"),
        ("resume-customer", "done"),
        ("suspend-customer", "refused"),
        ("suspend-customer", "done"),
    ]
    assert status(business, OTHER_CUSTOMER) == "active"


def test_a_customer_is_changed_signed_out_and_closed_from_the_shell(business: str) -> None:
    customer = str(OTHER_CUSTOMER)
    with psycopg.connect(business) as connection:
        connection.execute(
            "INSERT INTO service_instances (customer_id, service_type, tier) VALUES (%s, 'seal', 'pro')",
            (OTHER_CUSTOMER,),
        )
        connection.execute(
            "INSERT INTO refresh_tokens (customer_id, token_hash, expires_at)"
            " VALUES (%s, repeat('a', 64), now() + interval '1 day')",
            (OTHER_CUSTOMER,),
        )
    zero, odd, tier = (
        opsdeck(business, "customers", *arguments, *SURE)
        for arguments in (("limit", customer, "0"), ("limit", customer, "much"), ("tier", customer, "seal", "gold"))
    )
    assert "write unlimited for none, or suspend" in zero.complained(2)
    assert "default, or unlimited. Nothing was changed" in odd.complained(2)
    assert "TIER" in tier.complained(2)
    low = opsdeck(business, "customers", "limit", customer, "1", *SURE)
    assert (low.code, "lowest limit of the price book is $20.00" in low.err) == (1, True)
    early = opsdeck(business, "customers", "close", customer, *SURE)
    assert (early.code, "disable them first; 1 live key(s): revoke them first" in early.err) == (1, True)
    for arguments, said in (
        (("limit", customer, "default"), f"The monthly limit of customer {customer} is $500.00 now"),
        (("limit", customer, "unlimited"), f"The monthly limit of customer {customer} is unlimited now"),
        (("tier", customer, "seal", "starter"), f"seal of customer {customer} is in the tier starter now"),
        (("disable", customer, "seal"), f"seal of customer {customer} is disabled now"),
        (("enable", customer, "seal"), f"seal of customer {customer} is enabled now"),
        (("disable", customer, "seal"), f"seal of customer {customer} is disabled now"),
        (("end-sessions", customer), f"Ended 1 session(s) of customer {customer}"),
    ):
        result = opsdeck(business, "customers", *arguments, *SURE)
        assert (result.code, result.out.splitlines()[0]) == (0, said)
    assert opsdeck(business, "keys", "revoke", "77", *SURE).code == 0
    with terminal(business, "customers", "close", customer, "--reason", REASON) as screen:
        screen.wait_for("Type yes to go on")
        assert "Neither is settled by this." in screen.seen
        screen.type("yes\n")
        assert screen.end() == 0
    assert status(business, OTHER_CUSTOMER) == "closed"
    assert [row["action"] for row in record(business) if row["outcome"] == "refused"] == ["close-customer", "set-limit"]


def test_on_a_terminal_it_shows_what_would_happen_and_yes_goes_on(business: str) -> None:
    with terminal(business, "keys", "revoke", "42", "--reason", REASON) as screen:
        screen.wait_for("Type yes to go on")
        assert "0x0000002a (seal): live → revoked" in screen.seen
        assert "keeps 2 other live keys" in screen.seen
        assert live(business) == {42, 43, 4294967295, 77}
        screen.type("yes\n")
        assert screen.end() == 0
        assert "Revoked 0x0000002a" in screen.seen
    assert live(business) == {43, 4294967295, 77}


def test_any_other_answer_changes_nothing_and_ctrl_c_ends_it_at_once(business: str) -> None:
    for answer, code in (("y\n", 1), ("\n", 1), ("yes please\n", 1), ("\x04", 1), ("\x03", 130)):
        with terminal(business, "keys", "revoke", "42", "--reason", REASON) as screen:
            screen.wait_for("Type yes to go on")
            screen.type(answer)
            assert screen.end(5) == code, answer
            assert ("Nothing was changed" in screen.seen) == (code == 1)
    assert 42 in live(business)
    assert record(business) == []


def test_ctrl_c_while_it_is_carried_out_says_how_to_see_what_became_of_it(business: str) -> None:
    with psycopg.connect(business) as other, running(business, "keys", "revoke", "42", *SURE) as command:
        other.execute("SELECT FROM api_keys WHERE api_key_fp = 42 FOR UPDATE")
        until(lambda: waits_for_a_lock(business))
        assert command.end(signal.SIGINT) == 130
        assert "it may have happened. Look: opsdeck audit list --action revoke-keys" in "".join(command.err)
        assert command.lines == []


def test_what_changed_while_the_question_stood_is_not_overwritten(business: str) -> None:
    with terminal(business, "customers", "suspend", str(CUSTOMER), "--reason", REASON) as screen:
        screen.wait_for("Type yes to go on")
        with psycopg.connect(business) as other:
            other.execute("UPDATE customers SET max_monthly_usd_cents = 1 WHERE customer_id = %s", (CUSTOMER,))
        screen.type("yes\n")
        assert screen.end() == 1
        assert "changed by someone else" in screen.seen
    assert status(business, CUSTOMER) == "active"
    assert record(business)[0]["outcome"] == "stale"

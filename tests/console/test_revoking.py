"""A revocation from the screen: asked for twice, with a reason, on record, and never half done."""

import getpass
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep

import psycopg
import pytest
from textual.widgets import Button

from db.audit import Actor
from db.database import Database, Limits
from db.perform import perform
from db.suiftly.operations.revoke_keys import RevokeKeys
from tests.console.command import terminal, until
from tests.console.conftest import CUSTOMER
from tests.console.screens import Operator, audit_rows, console, live_keys, query, waits_for_a_lock
from tests.db.seed import add_request

ALL = {42, 43, 77, 4294967295}
LABEL = "0x0000002a"


async def dialog(deck: Operator) -> None:
    """The dialog for key 42, from its screen."""
    await deck.say(":", "key 42")
    await deck.sees("decimal 42", "^r Revoke")
    await deck.press("ctrl+r")
    await deck.sees(f"Revoke key {LABEL}", "no request in the last 15 min")
    assert deck.app.screen.focused is deck.app.screen.query_one("#cancel")


async def confirm(deck: Operator, reason: str = "leaked") -> None:
    """From the focus on Cancel to the button with the verb."""
    await deck.type(reason)
    await deck.press("tab")
    await deck.type(LABEL[-4:])
    await deck.press("tab", "tab", "enter")


@contextmanager
def locked(dsn: str, fingerprint: int) -> Iterator[None]:
    """Another session works on the row; while the block lasts nobody else can change it."""
    with psycopg.connect(dsn) as other:
        other.execute("SELECT FROM api_keys WHERE api_key_fp = %s FOR UPDATE", (fingerprint,))
        yield
        other.rollback()


def untouched(dsn: str) -> bool:
    return live_keys(dsn) >= ALL and audit_rows(dsn) == []


async def test_the_dialog_says_the_effect_the_blast_radius_and_the_shell_command(business: str) -> None:
    for address in ("203.0.113.1", "203.0.113.2"):
        add_request(business, api_key_fp=42, client_ip=address, repeat=15)
    async with console(business) as deck:
        await deck.say(":", "key 42")
        await deck.sees("^r Revoke")
        await deck.press("ctrl+r")
        await deck.sees("2 requests/min, 100 % served, from 2 addresses")
        text = deck.text
        assert f"{LABEL} (seal): live → revoked" in text
        assert f"Customer {CUSTOMER} keeps 3 other live keys." in text
        assert f"shell: opsdeck keys revoke {LABEL} --reason …" in text
        assert "Type 002a to go on." in text


async def test_of_a_slow_key_the_dialog_says_how_many_requests_not_a_rate_of_zero(business: str) -> None:
    add_request(business, api_key_fp=42, repeat=3)
    async with console(business) as deck:
        await deck.say(":", "key 42")
        await deck.sees("^r Revoke")
        await deck.press("ctrl+r")
        await deck.sees("3 requests in 15 min, 100 % served, from 1 address,")


@pytest.mark.parametrize("way", ["enter", "escape"])
async def test_enter_on_cancel_and_escape_change_nothing(same_business: str, way: str) -> None:
    async with console(same_business) as deck:
        await dialog(deck)
        await deck.press(way)
        await deck.sees("Nothing was changed.")
        assert "Why? It goes on record." not in deck.text
    assert untouched(same_business)


async def test_escape_changes_nothing_even_with_reason_and_phrase_typed(same_business: str) -> None:
    async with console(same_business) as deck:
        await dialog(deck)
        await deck.type("leaked")
        await deck.press("tab")
        await deck.type("002a")
        await deck.press("escape")
        await deck.sees("Nothing was changed.")
    assert untouched(same_business)


async def test_the_verb_works_only_once_reason_and_phrase_are_there(same_business: str) -> None:
    async with console(same_business) as deck:
        await dialog(deck)
        verb = deck.app.screen.query_one("#go", Button)
        assert str(verb.label) == "Revoke"
        assert verb.disabled
        await deck.type("le")  # too short to be a reason
        await deck.press("tab")
        await deck.type("002")
        assert verb.disabled
        await deck.type("a")
        assert verb.disabled
        await deck.press("shift+tab")
        await deck.type("a")
        assert not verb.disabled
        await deck.press("tab", "backspace")
        assert verb.disabled
        await deck.press("tab", "tab")  # past the button that is off, round to the reason
        assert deck.app.screen.focused is deck.app.screen.query_one("#reason")
        await deck.press("escape")
        await deck.sees("Nothing was changed.")
    assert untouched(same_business)


async def test_enter_in_a_field_goes_on_to_the_next_and_confirms_nothing(same_business: str) -> None:
    async with console(same_business) as deck:
        await dialog(deck)
        await deck.type("leaked")
        await deck.press("enter")
        await deck.type("002a")
        await deck.sees(" leaked ", " 002a ")
        await deck.press("enter", "enter")  # on to Cancel, and there it is
        await deck.sees("Nothing was changed.")
    assert untouched(same_business)


async def test_typing_on_cancel_goes_to_the_reason_with_its_spaces_and_its_first_letter(same_business: str) -> None:
    async with console(same_business) as deck:
        await dialog(deck)
        await deck.press("i")  # slowly, and then all at once
        await deck.type("n a public repo q 1 : ?")
        await deck.sees("  in a public repo q 1 : ?")
        assert "Revoke key" in deck.text
        await deck.press("escape")
    assert untouched(same_business)


async def test_a_confirmed_revocation_is_done_on_record_and_told(business: str) -> None:
    async with console(business) as deck:
        await dialog(deck)
        await confirm(deck, "in a public repo")
        text = await deck.sees("Revoked 0x0000002a at", "on record")
        (row,) = audit_rows(business)
        assert str(row["operation_id"])[:8] in text
        await deck.until(lambda: "done; in a public repo" in deck.prose, "the record is on the screen")
        await deck.until(lambda: "revoked" in deck.line(" state  "), "its state is shown")
        await deck.until(lambda: "Revoke" not in deck.footer, "what is revoked cannot be revoked")
    assert ALL - live_keys(business) == {42}
    assert row["outcome"] == "done"
    assert row["os_user"] == getpass.getuser()
    assert row["reason"] == "in a public repo"
    assert row["before"]["key:42"]["is_active"] is True
    assert row["after"]["key:42"]["is_active"] is False
    assert query(business, "SELECT revoked_by, revocation_reason FROM api_keys WHERE api_key_fp = 42") == [
        (getpass.getuser(), "in a public repo")
    ]


async def test_leaving_the_screen_while_the_row_is_blocked_does_not_undo_the_revocation(business: str) -> None:
    async with console(business, limits=Limits(lock_s=30, statement_s=30)) as deck:
        await dialog(deck)
        with locked(business, 42):
            await confirm(deck)
            await deck.until(lambda: waits_for_a_lock(business), "the revocation waits for the row")
            await deck.press("escape", "2", "3", "1")
            await deck.sees("busiest customers")
            assert 42 in live_keys(business)
        await deck.sees("Revoked 0x0000002a at")
    assert 42 not in live_keys(business)
    assert [row["outcome"] for row in audit_rows(business)] == ["done"]


async def test_leaving_waits_for_a_revocation_that_is_being_carried_out(business: str) -> None:
    async with console(business, limits=Limits(lock_s=30, statement_s=30)) as deck:
        await dialog(deck)
        with locked(business, 42):
            await confirm(deck)
            await deck.until(lambda: waits_for_a_lock(business), "the revocation waits for the row")
            await deck.press("q", "ctrl+c")
            await deck.sees("under way", "Leaving waits for its end.")
            assert deck.app.is_running
        await deck.until(lambda: not deck.app.is_running, "it left")
    assert 42 not in live_keys(business)
    assert [row["outcome"] for row in audit_rows(business)] == ["done"]


def test_a_signal_cuts_no_revocation_and_the_shell_tells_how_it_ended(business: str) -> None:
    with terminal(business) as screen:
        screen.wait_for("● connected")
        screen.type(":key 42\r")
        screen.wait_for("decimal 42")
        screen.type("\x12")
        screen.wait_for("no request in the last 15 min")
        with locked(business, 42):
            for keys in ("leaked", "\t", "002a", "\t", "\t", "\r"):
                before = len(screen.seen)
                screen.type(keys)
                until(lambda before=before: len(screen.seen) > before)
                sleep(0.1)  # the focus has moved when it is painted, and not all is painted at once
            until(lambda: waits_for_a_lock(business), 15)
            screen.process.send_signal(signal.SIGTERM)
            screen.wait_for("under way, waiting for its end …")
        assert screen.end() == 0
        assert f"Revoked {LABEL} at " in screen.seen.rpartition("\x1b[?1049l")[2]
    assert 42 not in live_keys(business)
    assert [row["outcome"] for row in audit_rows(business)] == ["done"]


async def test_a_row_that_stays_blocked_is_given_up_and_said_to_be_unchanged(business: str) -> None:
    async with console(business, limits=Limits(lock_s=0.3)) as deck:
        await dialog(deck)
        with locked(business, 42):
            await confirm(deck)
            await deck.sees("Revoke key 0x0000002a: failed", "lock timeout. Nothing was")
    assert 42 in live_keys(business)
    assert [row["outcome"] for row in audit_rows(business)] == ["failed"]


async def test_a_key_that_changed_under_the_dialog_is_stale(business: str) -> None:
    async with console(business) as deck:
        await dialog(deck)
        query(business, "UPDATE api_keys SET metadata = metadata || '{\"proc_group\": 2}' WHERE api_key_fp = 42")
        await confirm(deck)
        await deck.sees("Revoke key 0x0000002a: stale", "changed by someone else since it was shown")
    assert 42 in live_keys(business)
    assert [row["outcome"] for row in audit_rows(business)] == ["stale"]


async def test_a_key_revoked_by_a_colleague_under_the_dialog_is_refused_and_says_by_whom(business: str) -> None:
    colleague = Database(business)
    await colleague.open()
    async with console(business) as deck:
        await dialog(deck)
        receipt = await perform(colleague, RevokeKeys((42,)), actor=Actor("ann", None), reason="was faster")
        assert receipt.done
        await confirm(deck)
        await deck.sees("Revoke key 0x0000002a: refused", "revoked already", "by ann")
    await colleague.close()
    assert [row["outcome"] for row in audit_rows(business)] == ["done", "refused"]


async def test_what_is_revoked_already_when_asked_for_opens_no_dialog(business: str) -> None:
    async with console(business) as deck:
        await deck.press("3")
        await deck.sees("0x0000004d")
        query(
            business,
            "UPDATE api_keys SET is_active = false, revoked_at = now(), revoked_by = 'ann' WHERE api_key_fp = 77",
        )
        await deck.press("ctrl+r")
        await deck.sees("revoke-keys: refused", "Nothing was changed", "revoked already", "by ann")
        assert "Why? It goes on record." not in deck.text
    [row] = audit_rows(business)
    assert (row["action"], row["subjects"], row["outcome"], row["reason"]) == (
        "revoke-keys",
        ["key:77"],
        "refused",
        "",
    )


async def test_a_read_only_console_does_not_offer_to_change_anything(same_business: str) -> None:
    async with console(same_business, read_only=True) as deck:
        for place in ("keys", "key 42", f"customer {CUSTOMER}"):
            await deck.say(":", place)
            await deck.sees(LABEL)
            assert "read-only" in deck.header
            assert "Revoke" not in deck.footer
            assert "Status" not in deck.footer
            assert "Edit" not in deck.footer
            bound = {key for key, active in deck.app.screen.active_bindings.items() if active.enabled}
            assert "escape" in bound
            assert not bound & {"ctrl+r", "ctrl+t", "ctrl+e"}
            await deck.press("ctrl+r", "ctrl+t")
            await deck.never_sees("Why? It goes on record.", for_s=0.2)


async def test_a_role_that_may_not_write_is_offered_nothing_to_change(same_business: str) -> None:
    role = f"looker_{query(same_business, 'SELECT oid FROM pg_database WHERE datname = current_database()')[0][0]}"
    query(same_business, f"CREATE ROLE {role} LOGIN IN ROLE pg_read_all_data")
    try:
        async with console(same_business.replace("postgres@", f"{role}@")) as deck:
            await deck.say(":", "key 42")
            await deck.sees("decimal 42", "read-only")
            await deck.until(lambda: "Revoke" not in deck.footer, "nothing to revoke with")
    finally:
        query(same_business, f"DROP ROLE {role}")

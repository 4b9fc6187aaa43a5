"""Keys made and rotated from the screens: what is asked, and the one time the key is shown."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.parts.key_making import parse_new_key, parse_overlap
from console.places import Place
from db.source import KeyMetadata, KeyService
from db.suiftly.keys.format import decode, fingerprint, looks_like_key
from db.suiftly.simulation import demo_secret
from tests.console.conftest import CUSTOMER, SUSPENDED
from tests.console.screens import Operator, audit_rows, console, live_keys, query
from tests.db.seed import add_service

SEED = 7


@pytest.fixture
def shop(business: str) -> str:
    """The business with a service and, as a simulated one, a secret."""
    add_service(business, CUSTOMER, "seal")
    query(business, "INSERT INTO console.simulation (seed, customers) VALUES (%s, 4)", SEED)
    return business


def key_on(deck: Operator) -> str:
    """The full key on the screen; empty when there is none."""
    return next((word for word in deck.text.split() if looks_like_key(word)), "")


async def confirm(deck: Operator) -> str:
    """From the dialog to the key."""
    await deck.type("asked for by mail")
    await deck.press("tab", "tab", "enter")
    return await deck.until(lambda: key_on(deck), "the key is shown")


async def test_a_key_is_created_shown_once_and_rotated(shop: str) -> None:
    before = live_keys(shop)
    async with console(shop) as deck:
        await deck.say(":", f"customer {CUSTOMER}")
        await deck.sees("^n New", "0x0000002a")
        await deck.press("ctrl+n")
        await deck.sees("new key seal")  # the only service it has
        await deck.type("testne ")
        await deck.press("enter")
        await deck.sees("'testne' is none of testnet")
        await deck.press("backspace")
        await deck.type("t permission")
        await deck.press("enter")
        await deck.sees(
            "Create a seal key", "seal, testnet, permission, derived, production", "The full key is shown once"
        )
        assert key_on(deck) == ""
        assert live_keys(shop) == before
        key = await confirm(deck)
        assert "This is the only time it is shown" in deck.prose
        told = decode(demo_secret(SEED), key)
        assert (told.customer_id, told.metadata.network) == (CUSTOMER, "testnet")
        # It is not lost to a key that works everywhere, nor to what was under way to another screen.
        await deck.press("ctrl+c", "ctrl+q", "ctrl+p")
        await deck.app.go(Place("keys"))
        await deck.sees("close this for good", key)
        # A key too many, as when enter was held down, neither closes it nor puts it where it could be pasted here.
        await deck.press("escape", "enter", "q", "1")
        await deck.sees("close this for good", "Copied the key")
        assert deck.app.clipboard == f"0x{fingerprint(key):08x}"
        assert key_on(deck) == key
        await deck.press("tab", "enter")
        await deck.sees_no(key)
        await deck.sees(f"0x{fingerprint(key):08x}")

        await deck.say(":", f"key {fingerprint(key)}")
        await deck.sees("^k Rotate")
        await deck.press("ctrl+k", "ctrl+u")
        await deck.type("soon")
        await deck.press("enter")
        await deck.sees("90m, 12h or 7d")
        await deck.press("ctrl+u")
        await deck.type("12h")
        await deck.press("enter")
        await deck.sees("live → revoked in 12h", f"shell: opsdeck keys rotate 0x{fingerprint(key):08x} --overlap 12h")
        new = await confirm(deck)
        assert new != key
        await deck.press("tab", "enter")
        await deck.sees("live, ending", "in 11 h: then it is revoked", f"0x{fingerprint(new):08x}")
        await deck.until(lambda: "Rotate" not in deck.footer, "what is rotated cannot be rotated")
    assert live_keys(shop) - before == {fingerprint(key), fingerprint(new)}
    assert [(row["action"], row["outcome"]) for row in audit_rows(shop)] == [
        ("create-key", "done"),
        ("rotate-key", "done"),
    ]
    assert key not in repr(audit_rows(shop))
    assert new not in repr(audit_rows(shop))


async def test_without_a_secret_or_a_customer_who_may_have_it_nothing_is_asked(business: str) -> None:
    add_service(business, SUSPENDED, "seal")
    async with console(business) as deck:
        await deck.say(":", "key 42")
        await deck.sees("^k Rotate")
        await deck.press("ctrl+k", "enter")
        await deck.until(lambda: "no API secret is set" in deck.prose, "it says what is missing")
        query(business, "INSERT INTO console.simulation (seed, customers) VALUES (%s, 4)", SEED)
        await deck.say(":", f"customer {SUSPENDED}")
        await deck.sees("^n New")
        await deck.press("ctrl+n", "enter")
        await deck.until(lambda: f"customer {SUSPENDED} is suspended" in deck.prose, "it says why not")
        assert "Why? It goes on record." not in deck.text
    assert [(row["action"], row["outcome"]) for row in audit_rows(business)] == [
        ("rotate-key", "refused"),
        ("create-key", "refused"),
    ]


async def test_a_revocation_is_taken_back_from_the_key_and_from_the_list(business: str) -> None:
    async def undo(deck: Operator) -> None:
        await deck.press("ctrl+u")
        await deck.sees("Undo the revocation of", "revoked → live", "No gateway reports what it applies")
        await deck.type("the wrong one")
        await deck.press("tab", "tab", "enter")

    query(business, "UPDATE api_keys SET is_active = false, revoked_at = now() WHERE api_key_fp IN (42, 43, 77)")
    query(business, "UPDATE api_keys SET revoked_at = now() - interval '16 minutes' WHERE api_key_fp = 77")
    async with console(business) as deck:
        await deck.say(":", "key 77")
        await deck.sees("0x0000004d", "revoked")
        assert "Undo" not in deck.footer  # it is too late
        await deck.say(":", "key 42")
        await deck.sees("^u Undo")
        assert "Rotate" not in deck.footer
        await undo(deck)
        await deck.sees("Live again: 0x0000002a")
        await deck.until(lambda: "Undo" not in deck.footer and "Revoke" in deck.footer, "it is live")
        assert 42 in live_keys(business)

        query(business, "UPDATE api_keys SET is_active = false, revoked_at = now() WHERE api_key_fp = 42")
        await deck.say(":", f"keys customer:{CUSTOMER} revoked")
        await deck.sees("0x0000002b", "0x0000002a")
        await deck.press("space", "down", "space")
        await undo(deck)
        await deck.until(lambda: {42, 43} <= live_keys(business), "both are live")

        query(business, "UPDATE api_keys SET is_active = false, revoked_at = now() WHERE api_key_fp = 42")
        await deck.say(":", f"customer {CUSTOMER}")
        await deck.sees("wallet", "0x0000002a")
        await deck.press("end")
        await undo(deck)
        await deck.until(lambda: 42 in live_keys(business), "live again, from where it was revoked")


@pytest.mark.parametrize(
    ("text", "service", "metadata"),
    [
        ("seal", "seal", KeyMetadata(0, "mainnet", "open", None, 1)),
        ("testnet GRPC development", "grpc", KeyMetadata(0, "testnet", "open", None, 2)),
        ("graphql permission", "graphql", KeyMetadata(0, "mainnet", "permission", "derived", 1)),
        ("imported seal permission mainnet", "seal", KeyMetadata(0, "mainnet", "permission", "imported", 1)),
    ],
)
def test_what_a_new_key_is_for_is_read(text: str, service: str, metadata: KeyMetadata) -> None:
    assert parse_new_key(text) == (KeyService(service), metadata)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "for which service"),
        ("testnet", "for which service"),
        ("seal grpc", "one service"),
        ("seal derived", "write permission derived"),
        ("seal please", "'please' is none of"),
    ],
)
def test_what_it_cannot_be_for_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        parse_new_key(text)
    assert len(str(caught.value)) < 80


@given(st.text(max_size=40))
def test_whatever_is_typed_gives_a_key_an_overlap_or_a_sentence(text: str) -> None:
    for read in (parse_new_key, parse_overlap):
        try:
            read(text)
        except ValueError:
            pass
    assert parse_overlap(" 90m ") == timedelta(minutes=90)

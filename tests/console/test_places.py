"""The words that name places, what a pasted subject may be, and the way back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.commands import COMMANDS, parse_command
from console.directory import TOP
from console.places import History, Place, hide_key, recognised
from db.chain.values import Digest
from db.source import EVM_ADDRESS
from tests.console.conftest import PASTED, PASTED_KEY
from tests.db.seed import wallet

DIGEST = "3EghLNs7zASibnPtFU3vhvjZp8tg4miusJECMyvfNaH4"
LIKE_A_KEY = "GqCDVFjG3Erba9b3bCwVzxYc3SifctDXRHZsvYJ2XidS"  # one in 200 does


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        ("overview", Place("overview")),
        ("  KEYS ", Place("keys")),
        ("customers suspended 0x12", Place("customers", "suspended 0x12")),
        ("cu active", Place("customers", "active")),
        ("log status:5xx", Place("requests", "status:5xx")),
        ("customer 7", Place("customer", "7")),
        ("c 7", Place("customer", "7")),
        ("key 0x0000002a", Place("key", "42")),
        ("key 42", Place("key", "42")),
        ("ledger 42", Place("ledger", "42")),
        ("bill 3C52-53", Place("bill", "3C52-53")),
        (f"key {PASTED_KEY}", Place("key", str(PASTED))),
        (PASTED_KEY, Place("key", str(PASTED))),
        ("0x0000002a", Place("key", "42")),
        ("42", Place("customer", "42")),
        (wallet(7), Place("customers", wallet(7))),
        (DIGEST, Place("customers", DIGEST)),
        (LIKE_A_KEY, Place("customers", LIKE_A_KEY)),
        (f"customers {DIGEST}", Place("customers", DIGEST)),
        ("quit", Place("quit")),
        ("help", Place("help")),
    ],
)
def test_a_command_names_a_place(typed: str, place: Place) -> None:
    assert parse_command(typed) == place


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("0x" + "aB" * 20, EVM_ADDRESS),
        ("custmers", "there is no command 'custmers'; did you mean customers?"),
        ("frobnicate", "there is no command 'frobnicate'; ? shows help"),
        ("", "there is no command ''; ? shows help"),
        ("key", ":key wants a fingerprint behind it"),
        ("customer", ":customer wants a customer id behind it"),
        ("customer nobody", "'nobody' is not a customer id"),
        ("customer 0", "'0' is not a customer id"),
        ("customer 4294967296", "'4294967296' is not a customer id"),
        ("ledger bob", "'bob' is not a customer id"),
        ("bill INV-7", ":bill wants a bill's id behind it, or the first four characters or more of it"),
        ("key nothing", "'nothing' is not a fingerprint"),
        *((f"{name} 0x{'Ab' * 20}".strip(), EVM_ADDRESS) for name in ("", "customer", "ledger", "chain", "bill")),
    ],
)
def test_a_command_that_names_none_is_answered_with_a_sentence(typed: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        parse_command(typed)


def test_a_bare_number_may_be_a_customer_or_a_key() -> None:
    assert recognised(" 42 ") == (Place("customer", "42"), Place("key", "42"))
    assert recognised("0") == (Place("key", "0"),)
    assert recognised("4294967295") == (Place("customer", "4294967295"), Place("key", "4294967295"))
    assert recognised("4294967296") == ()
    assert recognised("hello") == ()
    assert recognised("0x" + "a" * 40) == ()


def test_an_event_is_recognised_in_every_spelling_of_its_transaction() -> None:
    digest = Digest(bytes(range(32)))
    for spelling in (str(digest), digest.raw.hex(), f"0x{digest.raw.hex()}"):
        assert recognised(f" {spelling}:3 ") == (Place("event", f"{digest}:3"),)
    assert recognised(f"{digest}:x") == recognised(f"{digest}:-1") == ()


def test_only_a_whole_key_is_hidden() -> None:
    assert hide_key(PASTED_KEY) == f"0x{PASTED:08x}"
    for word in (PASTED_KEY[:-1], "customers", "0x0000002a", ""):
        assert hide_key(word) == word


def test_a_key_behind_the_name_of_a_filter_is_hidden_too() -> None:
    assert hide_key(f"!key:{PASTED_KEY}") == f"!key:0x{PASTED:08x}"
    assert hide_key(f"key:0x0000002a,{PASTED_KEY}") == f"key:0x0000002a,0x{PASTED:08x}"


def test_a_mistyped_key_is_said_to_be_none_and_not_repeated() -> None:
    mistyped = f"requests key:{PASTED_KEY},{PASTED_KEY[:-1]}1"
    for typed in (PASTED_KEY[:30], mistyped, PASTED_KEY.lower(), f"key {PASTED_KEY}A", f"customers {PASTED_KEY[:-1]}1"):
        with pytest.raises(ValueError, match="begins like a key but is none"):
            parse_command(typed)


@given(st.text(max_size=40))
def test_whatever_is_typed_gives_a_place_or_a_sentence(text: str) -> None:
    try:
        place = parse_command(text)
    except ValueError:
        return
    assert place.kind in COMMANDS
    assert place.title


@given(st.integers(1, 2**32 - 1))
def test_every_fingerprint_is_read_back_from_its_title(number: int) -> None:
    title = Place("key", str(number)).title
    assert parse_command(title) == Place("key", str(number))


def test_one_goes_back_and_ahead_and_a_new_way_forgets_the_old_one() -> None:
    history = History()
    assert history.step(-1) is None
    for kind in list(TOP)[:4]:
        history.visit(Place(kind))
    assert history.step(1) is None
    assert history.step(-1) == Place("keys")
    assert history.step(-1) == Place("customers")
    assert history.step(1) == Place("keys")
    history.visit(Place("customer", "7"))
    assert history.step(1) is None
    assert [history.step(-1), history.step(-1), history.step(-1), history.step(-1)] == [
        Place("keys"),
        Place("customers"),
        Place("overview"),
        None,
    ]


VISIT = st.integers(1, 4).map(lambda number: Place("customer", str(number)))


@given(st.lists(st.one_of(st.sampled_from([-1, 1]), VISIT), max_size=200))
def test_the_history_is_that_of_a_browser(steps: list[int | Place]) -> None:
    """Against the plain model of two stacks, the older one 49 deep at most."""
    history = History()
    behind: list[Place] = []
    ahead: list[Place] = []
    here: Place | None = None
    for step in steps:
        if isinstance(step, Place):
            history.visit(step)
            if step != here:
                behind, here, ahead = ([*behind, here] if here else [])[-49:], step, []
        elif step == -1 and behind and here:
            behind, here, ahead = behind[:-1], behind[-1], [here, *ahead]
            assert history.step(-1) == here
        elif step == 1 and ahead and here:
            behind, here, ahead = [*behind, here], ahead[0], ahead[1:]
            assert history.step(1) == here
        else:
            assert history.step(step) is None

"""Termination states, character by character."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.suiftly.log import termination
from db.suiftly.log.codes import Blame
from db.suiftly.log.termination import TerminationError

KNOWN = [
    *("--", "CD", "cD", "CH", "cH", "CC", "CQ", "CR", "cR", "CT", "SC", "sC", "SD", "sD", "SH", "sH", "sQ"),
    *("PR", "PC", "PD", "PH", "PT", "LR", "LC", "LH", "RC"),
]


@pytest.mark.parametrize("state", KNOWN)
def test_every_pair_of_the_fact_sheet_is_known(state: str) -> None:
    read = termination.explain(state)
    assert read.known
    assert "document" not in read.reading
    assert "".join(character.character for character in read.characters) == state


@pytest.mark.parametrize(
    ("state", "blame", "words"),
    [
        ("--", Blame.NOBODY, "Normal"),
        ("CD", Blame.CLIENT, "client left"),
        ("cR", Blame.CLIENT, "too slowly"),
        ("SC", Blame.BACKEND, "refused"),
        ("sH", Blame.BACKEND, "headers in time"),
        ("sQ", Blame.BACKEND, "queue"),
        ("PR", Blame.EDGE, "rejected"),
        ("PH", Blame.BACKEND, "headers"),
        ("LR", Blame.NOBODY, "answered itself"),
        ("RC", Blame.EDGE, "ran out"),
        ("KD", Blame.EDGE, "administrator"),
        ("DH", Blame.BACKEND, "went down"),
    ],
)
def test_blame_and_reading(state: str, blame: Blame, words: str) -> None:
    read = termination.explain(state)
    assert read.blame is blame
    assert words in read.reading


def test_upper_and_lower_case_differ() -> None:
    assert termination.explain("SH").characters[0].meaning != termination.explain("sH").characters[0].meaning


def test_cookie_characters() -> None:
    read = termination.explain("--VN")
    assert [character.position for character in read.characters] == ["cause", "phase", "client cookie", "server cookie"]
    assert "valid" in read.characters[2].meaning
    assert read.reading == "Normal end."


def test_unknown_characters_are_said_to_be_unknown() -> None:
    read = termination.explain("zY")
    assert not read.known
    assert "'z' is no cause" in read.characters[0].meaning
    assert "'Y' is no phase" in read.characters[1].meaning
    assert "is no cookie state" in termination.explain("--zz").characters[3].meaning


@pytest.mark.parametrize("state", ["", "-", "---", "CDNI-"])
def test_other_lengths_are_refused(state: str) -> None:
    with pytest.raises(TerminationError, match="2 or 4"):
        termination.explain(state)


@settings(deadline=None)
@given(st.text(min_size=2, max_size=4).filter(lambda text: len(text) != 3))
def test_any_two_or_four_characters_read(state: str) -> None:
    read = termination.explain(state)
    assert len(read.characters) == len(state)
    assert read.reading.endswith(".")

"""Keys at rest: only the same secret opens them, and nothing altered opens."""

import base64

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given, settings
from hypothesis import strategies as st

from db.suiftly.keys import at_rest
from db.suiftly.keys.at_rest import AtRestError
from tests.key_reader import read_key

SECRET = bytes(range(0x20, 0x40))
KEY = "SAE8AGBGZ472LK558XZYRM3V0WRPRJLGRBEDQ"


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_round_trip(secret: bytes) -> None:
    assert read_key(secret, at_rest.seal(secret, KEY)) == KEY


def test_shape_fits_the_column_and_hides_the_key() -> None:
    first, second = at_rest.seal(SECRET, KEY), at_rest.seal(SECRET, KEY)
    assert first != second
    assert len(first) == 94
    assert [len(base64.b64decode(part)) for part in first.split(":")] == [12, 16, 37]
    assert KEY not in first


@settings(deadline=None)
@given(st.integers(0, 2), st.data())
def test_an_altered_part_does_not_open(part: int, data: st.DataObject) -> None:
    parts = [bytearray(base64.b64decode(text)) for text in at_rest.seal(SECRET, KEY).split(":")]
    position = data.draw(st.integers(0, len(parts[part]) - 1))
    parts[part][position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InvalidTag):
        read_key(SECRET, ":".join(base64.b64encode(text).decode() for text in parts))


def test_another_secret_does_not_open() -> None:
    with pytest.raises(InvalidTag):
        read_key(bytes(32), at_rest.seal(SECRET, KEY))


@pytest.mark.parametrize("text", [KEY[:-1], KEY + " ", "secret"])
def test_only_keys_are_sealed(text: str) -> None:
    with pytest.raises(AtRestError) as caught:
        at_rest.seal(SECRET, text)
    assert text not in str(caught.value)


def test_short_secret_is_refused() -> None:
    with pytest.raises(AtRestError, match="32 bytes"):
        at_rest.seal(b"short", KEY)

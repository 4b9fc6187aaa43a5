"""Keys at rest: only the same secret opens them, and nothing altered opens."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.suiftly import at_rest
from db.suiftly.at_rest import AtRestError

SECRET = bytes(range(0x20, 0x40))
KEY = "SAE8AGBGZ472LK558XZYRM3V0WRPRJLGRBEDQ"


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_round_trip(secret: bytes) -> None:
    stored = at_rest.seal(secret, KEY)
    assert at_rest.open_(secret, stored) == KEY
    assert at_rest.is_sealed(stored)


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
    with pytest.raises(AtRestError, match="does not open"):
        at_rest.open_(SECRET, ":".join(base64.b64encode(text).decode() for text in parts))


def test_another_secret_does_not_open_and_says_so_once() -> None:
    with pytest.raises(AtRestError, match="API_SECRET_KEY") as caught:
        at_rest.open_(bytes(32), at_rest.seal(SECRET, KEY))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("stored", ["", KEY, "a:b:c", "AAAA:AAAA:AAAA", "::", "AAAA"])
def test_other_forms_are_refused(stored: str) -> None:
    assert not at_rest.is_sealed(stored)
    with pytest.raises(AtRestError, match="iv:tag:ciphertext") as caught:
        at_rest.open_(SECRET, stored)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("text", [KEY[:-1], KEY + " ", "secret"])
def test_only_keys_are_sealed(text: str) -> None:
    with pytest.raises(AtRestError) as caught:
        at_rest.seal(SECRET, text)
    assert text not in str(caught.value)


def test_short_secret_is_refused() -> None:
    with pytest.raises(AtRestError, match="32 bytes"):
        at_rest.seal(b"short", KEY)

"""The key format against four vectors made with a public secret and against itself."""

# pyright: reportPrivateUsage=false

import secrets
import subprocess
import sys
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.suiftly import customer_search
from db.suiftly.keys import format as key_format
from db.suiftly.keys.format import Service
from db.suiftly.keys.metadata import KeyFormatError, KeyMetadata
from db.suiftly.log import codes, filter_words
from db.suiftly.log.codes import TrafficClass
from tests.db.suiftly.keys.test_metadata import metadata

SECRET = bytes(range(0x20, 0x40))
OTHER_SECRET = bytes(range(0x40, 0x60))


class Vector(NamedTuple):
    service: Service
    customer_id: int
    bits: int
    iv: str
    key: str
    fingerprint: int
    signed: int


VECTORS = (
    Vector(Service.SEAL, 3735928559, 0x3100, "01020304", "SAE8AGBGZ472LK558XZYRM3V0WRPRJLGRBEDQ", 16801947, 16801947),
    Vector(Service.SEAL, 42, 0x0900, "a1b2c3d4", "SUGAMHVFVDLVE3GG9TNYCTAF1GZVC2CG6ZTPG", 2711124630, -1583842666),
    Vector(Service.GRPC, 4294967295, 0x2A00, "fffffffe", "R775777TZD7KGRG33235D2FQDB2455ETW7NGS", 4294967247, -49),
    Vector(Service.GRAPHQL, 1, 0xFF00, "7f00ff80", "GP46P7AHT7EKHGW59XJ7GXADBWIHVIHE5A7TC", 2132799518, 2132799518),
)
HASHES = (
    "938a8d530ca67ddf3be4f7f226aa775c0e0a630626a5009b4e317c4d651ddf0b",
    "52a1204d2304446bb6f95018e15950a36157c5ae8fa6a4f54f035d4b65e76fd8",
)
vectors = pytest.mark.parametrize("vector", VECTORS, ids=("V1", "V2", "V3", "V4"))


@vectors
def test_vector_encodes_and_decodes(vector: Vector) -> None:
    meta = KeyMetadata.from_bits(vector.bits)
    key = key_format.encode(SECRET, vector.service, vector.customer_id, meta, bytes.fromhex(vector.iv))
    assert key == vector.key
    decoded = key_format.decode(SECRET, vector.key)
    assert decoded == key_format.DecodedKey(vector.service, vector.customer_id, meta, vector.fingerprint, True)
    assert meta.to_bits() == vector.bits


@vectors
def test_vector_fingerprint(vector: Vector) -> None:
    assert key_format.fingerprint(vector.key) == vector.fingerprint
    assert key_format.unsigned_fp(vector.signed) == vector.fingerprint
    for text in (
        str(vector.fingerprint),
        str(vector.signed),
        f"0x{vector.fingerprint:x}",
        key_format.format_fingerprint(vector.fingerprint),
        f"  {vector.key}\n",
    ):
        assert key_format.parse_fingerprint(text) == vector.fingerprint


@pytest.mark.parametrize(("vector", "digest"), list(zip(VECTORS[:2], HASHES, strict=True)))
def test_hash_of_the_key(vector: Vector, digest: str) -> None:
    assert key_format.sha256_hex(vector.key) == digest


@vectors
def test_every_changed_character_is_noticed(vector: Vector) -> None:
    """Every body position, every other character of its alphabet; 16 bits of tag let few through."""
    tried = passed = 0
    for position in range(1, 37):
        for character in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567890189":
            changed = vector.key[:position] + character + vector.key[position + 1 :]
            if changed == vector.key or not key_format.looks_like_key(changed):
                continue
            tried += 1
            passed += key_format.verify_tag(SECRET, changed)
    assert tried > 900
    assert passed <= 1


def test_wrong_secret_is_refused_without_naming_the_key() -> None:
    with pytest.raises(KeyFormatError, match="tag does not match") as caught:
        key_format.decode(OTHER_SECRET, VECTORS[0].key)
    assert VECTORS[0].key[1:10] not in str(caught.value)


def test_prefix_stands_outside_the_tag() -> None:
    assert key_format.decode(SECRET, "R" + VECTORS[0].key[1:]).service is Service.GRPC


def test_ten_characters_tell_a_key_whatever_follows() -> None:
    for vector in VECTORS:
        assert key_format.begins_like_key(vector.key[:10])
        assert key_format.begins_like_key(vector.key.lower() + "?")
        assert not key_format.begins_like_key(vector.key[:9])


def test_nothing_else_that_is_typed_begins_like_a_key() -> None:
    words = {*filter_words.NAMES, *filter_words.EXAMPLES.values(), *TrafficClass, *customer_search.STATUSES, *Service}
    words |= {event.word for event in codes.EVENTS.values()} | {"requests", "overview", "revoked"}
    words |= {word.upper() for word in words} | {f"0x{'0' * 64}", "4294967295"}
    assert not [word for word in words if key_format.begins_like_key(word)]


@pytest.mark.parametrize(
    "text",
    [
        VECTORS[0].key[:-1],
        VECTORS[0].key + "A",
        "X" + VECTORS[0].key[1:],
        VECTORS[0].key.lower(),
        VECTORS[0].key[:3] + "Z" + VECTORS[0].key[4:],
        VECTORS[0].key[:5] + "1" + VECTORS[0].key[6:],
        "",
    ],
)
def test_what_is_no_key(text: str) -> None:
    assert not key_format.looks_like_key(text)
    for use in (key_format.fingerprint, key_format.sha256_hex, key_format.parse_fingerprint):
        with pytest.raises(KeyFormatError) as caught:
            use(text)
        assert not text or text not in str(caught.value)


def test_customer_0_is_refused() -> None:
    meta = KeyMetadata.from_bits(0x3100)
    with pytest.raises(KeyFormatError, match="customer id"):
        key_format.encode(SECRET, Service.SEAL, 0, meta)
    with pytest.raises(KeyFormatError, match="customer id"):
        key_format.encode(SECRET, Service.SEAL, 2**32, meta)
    # A key with a good tag over customer 0: made by hand, since encode() refuses.
    iv = b"\1\2\3\4"
    payload = iv + key_format._aes_ctr(SECRET, iv, meta.to_bits().to_bytes(2) + bytes(14))
    body = key_format.base64.b32encode(payload).decode() + key_format._tag(SECRET, payload).hex().upper()
    with pytest.raises(KeyFormatError, match="customer 0"):
        key_format.decode(SECRET, "S" + key_format._interleave(body))


def test_reserved_bytes_are_reported() -> None:
    iv = b"\1\2\3\4"
    plain = bytes.fromhex("3100" + "0001" + "0000002a" + "00" * 8)
    payload = iv + key_format._aes_ctr(SECRET, iv, plain)
    body = key_format.base64.b32encode(payload).decode() + key_format._tag(SECRET, payload).hex().upper()
    decoded = key_format.decode(SECRET, "S" + key_format._interleave(body))
    assert decoded.customer_id == 42
    assert not decoded.reserved_clear


def _iv_with_fingerprint_0() -> tuple[bytes, KeyMetadata]:
    """The fingerprint leaves IV bits 10-14 free and ends with five ciphertext bits: choose metadata for those."""
    for free in range(32):
        iv = (free << 17).to_bytes(4)
        top = key_format._aes_ctr(SECRET, iv, bytes(16))[0] >> 3
        meta = KeyMetadata.from_bits(top << 11 | 0x0100)
        if meta.to_bits() >> 11 == top:
            return iv, meta
    raise AssertionError("no such IV under this secret")


def test_fingerprint_0_is_never_issued(monkeypatch: pytest.MonkeyPatch) -> None:
    iv, meta = _iv_with_fingerprint_0()
    with pytest.raises(KeyFormatError, match="fingerprint 0"):
        key_format.encode(SECRET, Service.SEAL, 7, meta, iv)
    drawn = iter((iv, b"\1\2\3\4"))

    def _next_iv(_size: int) -> bytes:
        return next(drawn)

    monkeypatch.setattr(secrets, "token_bytes", _next_iv)
    key = key_format.encode(SECRET, Service.SEAL, 7, meta)
    assert key == key_format.encode(SECRET, Service.SEAL, 7, meta, b"\1\2\3\4")
    assert next(drawn, None) is None


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32), st.sampled_from(Service), st.integers(1, 2**32 - 1), metadata)
def test_round_trip(secret: bytes, service: Service, customer_id: int, meta: KeyMetadata) -> None:
    key = key_format.encode(secret, service, customer_id, meta)
    decoded = key_format.decode(secret, key)
    assert (decoded.service, decoded.customer_id, decoded.metadata) == (service, customer_id, meta)
    assert decoded.reserved_clear
    assert 0 < decoded.fingerprint <= 0xFFFF_FFFF
    assert key_format.looks_like_key(key)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-1", 0xFFFF_FFFF),
        ("0x1", 1),
        ("9f00aa12", 0x9F00AA12),
        ("9F00AA12", 0x9F00AA12),
        ("12345678", 12345678),
    ],
)
def test_fingerprint_texts(text: str, value: int) -> None:
    assert key_format.parse_fingerprint(text) == value


@pytest.mark.parametrize(
    "text", ["4294967296", "-2147483649", "9f00aa1", "0x1ffffffff", "1_000", "١٢", "--1", "hello world", "0x"]
)
def test_bad_fingerprints(text: str) -> None:
    with pytest.raises(KeyFormatError, match=r"^fingerprint: "):
        key_format.parse_fingerprint(text)


def test_secret_is_parsed_and_never_repeated() -> None:
    assert key_format.parse_secret(f" {SECRET.hex().upper()} ") == SECRET
    for text in (SECRET.hex()[:-1], "z" * 64):
        with pytest.raises(KeyFormatError, match="API secret") as caught:
            key_format.parse_secret(text)
        assert text not in str(caught.value)
    with pytest.raises(KeyFormatError, match="API secret"):
        key_format.decode(SECRET[:16], VECTORS[0].key)


def test_public_test_secret_is_known() -> None:
    public = bytes.fromhex("8776c4c0e84428c6e86fca4647abe16459649aa78fe4c72e7643dc3a14343337")
    assert key_format.is_public_test_secret(public)
    assert not key_format.is_public_test_secret(SECRET)


def test_the_module_loads_no_cryptography() -> None:
    """Most commands never need it, and it costs start-up time."""
    code = "import sys, db.suiftly.keys.format, db.suiftly.keys.at_rest; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

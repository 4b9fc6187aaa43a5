"""The Suiftly API key: 37 characters that carry a customer, key_metadata and a 16-bit tag.

A key that decodes proves little (16-bit tag, 32-bit IV): always confirm it against `api_keys`. Fingerprints need no
secret, so every screen works without one. Nothing here puts a key or the secret into an error text.
"""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from db.suiftly.customer_id import MAX_CUSTOMER_ID
from db.suiftly.keys.metadata import KeyFormatError, KeyMetadata

# Tag digit n of the 36-character body changes places with this Base32 character; the swaps undo themselves.
_SWAPS: Final = ((2, 32), (8, 35), (15, 34), (23, 33))
_SHAPE: Final = re.compile(
    r"[SRG][A-Z2-7]{2}[0-9A-F][A-Z2-7]{5}[0-9A-F][A-Z2-7]{6}[0-9A-F][A-Z2-7]{7}[0-9A-F][A-Z2-7]{12}"
)
_BEGINNING: Final = re.compile(r"[SRG][A-Z2-7]{2}[0-9A-F][A-Z2-7]{5}[0-9A-F]", re.IGNORECASE)
# Position 3 of a key is a tag digit, so the fingerprint steps over it.
_FINGERPRINT_POSITIONS: Final = (1, 2, 4, 5, 6, 7, 8)
_DECIMAL: Final = re.compile(r"-?[0-9]{1,10}")
_HEX: Final = re.compile(r"0[xX][0-9a-fA-F]{1,8}|(?=[0-9]*[a-fA-F])[0-9a-fA-F]{8}")
# Upstream documents one secret for tests; its digest is enough to recognise it.
_PUBLIC_TEST_DIGEST: Final = "478ff5b1c22e5d4749c22983f63208f72a172819833d1f6c6ef7020094f06d09"


class Service(StrEnum):
    """The three services that sell keys; the value is `api_keys.service_type`."""

    SEAL = "seal"
    GRPC = "grpc"
    GRAPHQL = "graphql"

    @property
    def prefix(self) -> str:
        """First character of a key. It stands outside the tag, so compare the service with the table."""
        return {Service.SEAL: "S", Service.GRPC: "R", Service.GRAPHQL: "G"}[self]


@dataclass(frozen=True, slots=True)
class DecodedKey:
    """What a key says once its tag has been checked. Holds nothing secret.

    `reserved_clear` is False when a bit that must be 0 is set (metadata 7-0, payload bytes 2-3 and 8-15): such a key
    was made by another format version, or is one of the 1 in 65,536 forgeries that pass.
    """

    service: Service
    customer_id: int
    metadata: KeyMetadata
    fingerprint: int
    reserved_clear: bool


def encode(secret: bytes, service: Service, customer_id: int, metadata: KeyMetadata, iv: bytes | None = None) -> str:
    """Make a key. `iv` is 4 bytes, random unless given; a key whose fingerprint is 0 ("no key") is thrown away."""
    _check_secret(secret)
    if not 1 <= customer_id <= MAX_CUSTOMER_ID:
        raise KeyFormatError("customer id: must be 1..4294967295")
    if iv is not None and len(iv) != 4:
        raise KeyFormatError("iv: must be 4 bytes")
    plain = metadata.to_bits().to_bytes(2) + bytes(2) + customer_id.to_bytes(4) + bytes(8)
    while True:
        chosen = secrets.token_bytes(4) if iv is None else iv
        payload = chosen + _aes_ctr(secret, chosen, plain)
        body = base64.b32encode(payload).decode() + _tag(secret, payload).hex().upper()
        key = service.prefix + _interleave(body)
        if fingerprint(key) != 0:
            return key
        if iv is not None:
            raise KeyFormatError("iv: gives fingerprint 0, which means 'no key' in the log; choose another")


def decode(secret: bytes, key: str) -> DecodedKey:
    """Check the tag and read the payload. Raises KeyFormatError; the text never holds the key."""
    if not verify_tag(secret, key):
        raise KeyFormatError("key: the tag does not match; it was mistyped, or made with another API secret")
    payload, _ = _split(key)
    plain = _aes_ctr(secret, payload[:4], payload[4:])
    bits, customer_id = int.from_bytes(plain[:2]), int.from_bytes(plain[4:8])
    if customer_id == 0:
        raise KeyFormatError("key: it names customer 0, which does not exist; treat it as forged")
    return DecodedKey(
        service=next(service for service in Service if service.prefix == key[0]),
        customer_id=customer_id,
        metadata=KeyMetadata.from_bits(bits),
        fingerprint=fingerprint(key),
        reserved_clear=not (bits & 0xFF or any(plain[2:4]) or any(plain[8:])),
    )


def verify_tag(secret: bytes, key: str) -> bool:
    """True when the 16-bit tag belongs to this secret. Raises KeyFormatError when the text is no key at all."""
    _check_secret(secret)
    payload, tag = _split(key)
    return hmac.compare_digest(tag, _tag(secret, payload))


def fingerprint(key: str) -> int:
    """Unsigned 32-bit fingerprint of a full key: the upper 32 of the 35 bits of seven Base32 characters (C.4)."""
    _check_shape(key)
    characters = "".join(key[position] for position in _FINGERPRINT_POSITIONS)
    # One "A" (five zero bits) fills up to the 40 bits b32decode wants; shifting 8 drops it and the low 3 bits.
    return int.from_bytes(base64.b32decode(characters + "A")) >> 8


def unsigned_fp(value: int) -> int:
    """A fingerprint as stored anywhere, signed or unsigned, to 0..4294967295. Wider values are refused, not cut."""
    if not -0x8000_0000 <= value <= 0xFFFF_FFFF:
        raise KeyFormatError("fingerprint: must fit 32 bits, that is -2147483648..4294967295")
    return value & 0xFFFF_FFFF


def format_fingerprint(value: int) -> str:
    """The one way a fingerprint is written on screen and in the shell: `0x9f00aa12`."""
    return f"0x{unsigned_fp(value):08x}"


def parse_fingerprint(text: str) -> int:
    """Unsigned fingerprint from what an operator pastes: decimal (signed or not), 0x hex, 8 bare hex digits that
    hold a letter, or a full key. 0 is accepted: it means "no key" in the log."""
    word = text.strip()
    if looks_like_key(word):
        return fingerprint(word)
    if _DECIMAL.fullmatch(word):
        return unsigned_fp(int(word))
    if _HEX.fullmatch(word):
        return int(word, 16)
    raise KeyFormatError("fingerprint: give a decimal number, hex like 0x9f00aa12, or a full key in upper case")


def looks_like_key(text: str) -> bool:
    """True when the text has the shape of a key: length, prefix, and the alphabet of every position."""
    return _SHAPE.fullmatch(text.strip()) is not None


def begins_like_key(text: str) -> bool:
    """True when the text can only be a key, be it unfinished or mistyped: ten characters of its shape, in any case.

    Those ten say hardly more than the fingerprint, which is shown anyway; what follows them must not be.
    """
    return _BEGINNING.match(text.lstrip()) is not None


def sha256_hex(key: str) -> str:
    """`api_keys.api_key_hash`: lower-case SHA-256 of the 37 characters."""
    _check_shape(key)
    return hashlib.sha256(key.encode()).hexdigest()


def parse_secret(text: str) -> bytes:
    """The API secret: 64 hex digits (API_SECRET_KEY or X_API_KEY_SECRET) to 32 bytes."""
    if not re.fullmatch(r"\s*[0-9a-fA-F]{64}\s*", text):
        raise KeyFormatError("API secret: must be 64 hex digits; check API_SECRET_KEY")
    return bytes.fromhex(text.strip())


def is_public_test_secret(secret: bytes) -> bool:
    """True for the secret printed in upstream's public sources: anyone can make keys with it. Refuse in production."""
    return hashlib.sha256(secret).hexdigest() == _PUBLIC_TEST_DIGEST


def _check_secret(secret: bytes) -> None:
    if len(secret) != 32:
        raise KeyFormatError("API secret: must be 32 bytes (64 hex digits); check API_SECRET_KEY")


def _check_shape(key: str) -> None:
    if _SHAPE.fullmatch(key) is None:
        raise KeyFormatError("key: expected 37 characters as issued: S, R or G, then upper-case letters and digits")


def _split(key: str) -> tuple[bytes, bytes]:
    """(IV and ciphertext, 20 bytes; tag, 2 bytes)."""
    _check_shape(key)
    body = _interleave(key[1:])
    return base64.b32decode(body[:32]), bytes.fromhex(body[32:])


def _interleave(body: str) -> str:
    characters = list(body)
    for left, right in _SWAPS:
        characters[left], characters[right] = characters[right], characters[left]
    return "".join(characters)


def _tag(secret: bytes, payload: bytes) -> bytes:
    return hmac.digest(secret, payload, "sha256")[:2]


def _aes_ctr(secret: bytes, iv: bytes, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    context = Cipher(algorithms.AES(secret[:16]), modes.CTR(iv + bytes(12))).encryptor()
    return context.update(data) + context.finalize()

"""API keys at rest: what stands in `api_keys.api_key_id`, so that a dump of the database holds no live credential.

Text form `iv:tag:ciphertext`, each part standard Base64: AES-256-GCM, 12 random bytes of IV, 16 bytes of tag. The 37
characters of a key become 94, which still fits the first schema's VARCHAR(100). The layout is upstream's, the key is
not: ours comes from the API secret by HKDF-SHA256, so rows sealed by the upstream API server do not open here.
"""

import base64
import binascii
import secrets
from typing import Final

from db.suiftly.key_format import looks_like_key

_INFO: Final = b"opsdeck/suiftly/api_keys.api_key_id/v1"
_IV_BYTES: Final = 12
_TAG_BYTES: Final = 16


class AtRestError(ValueError):
    """A stored key that cannot be opened, or a text that is no key. The text never repeats either."""


def seal(secret: bytes, key: str) -> str:
    """Encrypt a full key for `api_key_id`. Two seals of one key differ: uniqueness rests on `api_key_hash`."""
    if not looks_like_key(key) or key != key.strip():
        raise AtRestError("api_key_id: only a full API key of 37 characters is sealed; pass the key as issued")
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    iv = secrets.token_bytes(_IV_BYTES)
    sealed = AESGCM(_derived_key(secret)).encrypt(iv, key.encode(), None)
    ciphertext, tag = sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:]
    return ":".join(base64.b64encode(part).decode() for part in (iv, tag, ciphertext))


def open_(secret: bytes, stored: str) -> str:
    """The full key again. Raises AtRestError when the text has another form, was altered, or has another secret."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    parts = _parts(stored)
    if parts is None:
        raise AtRestError("api_key_id: not of the form iv:tag:ciphertext; the row was written by another program")
    iv, tag, ciphertext = parts
    try:
        key = AESGCM(_derived_key(secret)).decrypt(iv, ciphertext + tag, None).decode("ascii", "replace")
    except InvalidTag:
        raise AtRestError(
            "api_key_id: does not open with this API secret; check API_SECRET_KEY, or the row was altered"
        ) from None
    if not looks_like_key(key):
        raise AtRestError("api_key_id: opens to something that is no API key; the row was sealed by another program")
    return key


def is_sealed(stored: str) -> bool:
    """True when the text has the sealed form; an Oct-2025 database holds the bare key in the same column."""
    return _parts(stored) is not None


def _parts(stored: str) -> tuple[bytes, bytes, bytes] | None:
    try:
        iv, tag, ciphertext = (base64.b64decode(part, validate=True) for part in stored.split(":"))
    except (ValueError, binascii.Error):
        return None
    return (iv, tag, ciphertext) if len(iv) == _IV_BYTES and len(tag) == _TAG_BYTES else None


def _derived_key(secret: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    if len(secret) != 32:
        raise AtRestError("API secret: must be 32 bytes (64 hex digits); check API_SECRET_KEY")
    # No salt: the secret is already 32 random bytes, and the same secret must open the row on every machine.
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(secret)

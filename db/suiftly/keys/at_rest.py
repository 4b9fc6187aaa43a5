"""API keys at rest: what stands in `api_keys.api_key_id`, so that a dump of the database holds no live credential.

Text form `iv:tag:ciphertext`, each part standard Base64: AES-256-GCM, 12 random bytes of IV, 16 bytes of tag. The 37
characters of a key become 94, which still fits the first schema's VARCHAR(100). The layout is upstream's, the key is
not: ours comes from the API secret by HKDF-SHA256, so rows sealed by the upstream API server do not open here.
"""

import base64
import secrets
from typing import Final

from db.suiftly.keys.format import looks_like_key

_INFO: Final = b"opsdeck/suiftly/api_keys.api_key_id/v1"
_IV_BYTES: Final = 12
_TAG_BYTES: Final = 16


class AtRestError(ValueError):
    """A text that is no key, or no secret. Its text never repeats either."""


def seal(secret: bytes, key: str) -> str:
    """Encrypt a full key for `api_key_id`. Two seals of one key differ: uniqueness rests on `api_key_hash`."""
    if not looks_like_key(key) or key != key.strip():
        raise AtRestError("api_key_id: only a full API key of 37 characters is sealed; pass the key as issued")
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    iv = secrets.token_bytes(_IV_BYTES)
    sealed = AESGCM(_derived_key(secret)).encrypt(iv, key.encode(), None)
    ciphertext, tag = sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:]
    return ":".join(base64.b64encode(part).decode() for part in (iv, tag, ciphertext))


def _derived_key(secret: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    if len(secret) != 32:
        raise AtRestError("API secret: must be 32 bytes (64 hex digits); check API_SECRET_KEY")
    # No salt: the secret is already 32 random bytes, and the same secret must open the row on every machine.
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(secret)

"""A reader of sealed keys as another program would have it: from the layout in db/suiftly/keys/at_rest.py alone."""

import base64

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def read_key(secret: bytes, stored: str) -> str:
    """The full key. Raises InvalidTag when it was altered or has another secret."""
    iv, tag, ciphertext = map(base64.b64decode, stored.split(":"))
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"opsdeck/suiftly/api_keys.api_key_id/v1").derive(secret)
    return AESGCM(key).decrypt(iv, ciphertext + tag, None).decode()

"""The form of a vault file: one line of JSON that says what it is, then the content, encrypted and authenticated.

    {"built_at":"...","format":"suiftly-vault/1","key":"...","nonce":"...","seq":12,"sha256":"...","vault":"ma"}\\n
    AES-256-GCM of the content, the 16 bytes of its tag at the end

The whole line without its line feed is the associated data: whoever changes a character of it, the sequence number
say, makes the file unreadable.
"""

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from db.moments import rfc3339
from db.suiftly.vault.errors import Damaged
from db.suiftly.vault.keyring import Keyring, VaultKey

FORMAT: Final = "suiftly-vault/1"
MAX_SEQ: Final = 999_999_999
VAULTS: Final = ("ma", "mm")
_LONGEST_HEADER: Final = 1024
_NAME: Final = re.compile(r"(ma|mm)-([0-9]{9})-([0-9a-f]{16})\.enc")
_NOT_A_VAULT: Final = f"is not a vault file: it does not begin with a header of {FORMAT}"


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself. `sha256` is that of the content, `built_at` the instant the content was read."""

    vault: str
    seq: int
    built_at: datetime
    key_id: str
    nonce: bytes
    sha256: str

    @property
    def label(self) -> str:
        """As system_control has it: 9 digits of seq, 16 of the hash."""
        return f"{self.seq:09d}-{self.sha256[:16]}"

    @property
    def file_name(self) -> str:
        return f"{self.vault}-{self.label}.enc"

    def line(self) -> bytes:
        """Canonical JSON, without the line feed."""
        return canonical(
            {
                "built_at": rfc3339(self.built_at),
                "format": FORMAT,
                "key": self.key_id,
                "nonce": self.nonce.hex(),
                "seq": self.seq,
                "sha256": self.sha256,
                "vault": self.vault,
            }
        )


def canonical(value: Any) -> bytes:
    """JSON that is the same for the same value: sorted names, no space, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def name_parts(name: str) -> tuple[str, int, str] | None:
    """Vault, seq and hash of a file name; None when it is not that of a vault."""
    found = _NAME.fullmatch(name)
    return (found[1], int(found[2]), found[3]) if found else None


def seal(key: VaultKey, vault: str, seq: int, built_at: datetime, content: bytes) -> tuple[Header, bytes]:
    """The header and the whole file."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sha256 = hashlib.sha256(content).hexdigest()
    header = Header(vault, seq, built_at.astimezone(UTC), key.id, secrets.token_bytes(12), sha256)
    line = header.line()
    return header, line + b"\n" + AESGCM(key.secret).encrypt(header.nonce, content, line)


def open_file(data: bytes, keys: Keyring) -> tuple[Header, bytes]:
    """The header and the content. Raises UnknownKey or Damaged; the sentence goes behind the name of the file."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    end = data.find(b"\n", 0, _LONGEST_HEADER)
    if end < 0:
        raise Damaged(_NOT_A_VAULT)
    line, sealed = data[:end], data[end + 1 :]
    header = _read(line)
    key = keys.find(header.key_id)
    try:
        content = AESGCM(key.secret).decrypt(header.nonce, sealed, line)
    except (InvalidTag, ValueError):
        raise Damaged(
            f"does not open: it was altered or cut short, or the key called {key.id!r} is another one; "
            "fetch it again, or check the key"
        ) from None
    if hashlib.sha256(content).hexdigest() != header.sha256:
        raise Damaged("opens to other content than its header says; it was written by another program")
    return header, content


def _read(line: bytes) -> Header:
    try:
        told: Any = json.loads(line)
        if told["format"] != FORMAT:
            raise Damaged(f"is of a format that is not known here; this program reads {FORMAT}")
        header = Header(
            vault=str(told["vault"]),
            seq=int(told["seq"]),
            built_at=datetime.fromisoformat(told["built_at"]),
            key_id=str(told["key"]),
            nonce=bytes.fromhex(told["nonce"]),
            sha256=str(told["sha256"]),
        )
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        raise Damaged(_NOT_A_VAULT) from None
    if header.vault not in VAULTS or not 1 <= header.seq <= MAX_SEQ or len(header.nonce) != 12:
        raise Damaged("has a header that no vault has; it was written by another program")
    return header

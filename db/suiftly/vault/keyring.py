"""The keys that vault files are encrypted with: the first seals, the others only open what was sealed before.

Text form, in a file of mode 0600 or in the environment: `ID HEX`, one key a line (or separated by commas), the current
one first; `#` begins a comment. ID is the name a file's header gives, HEX the 32 bytes.
"""

import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from db.suiftly.vault.errors import UnknownKey, VaultError

_KEY = re.compile(r"([a-z0-9][a-z0-9._-]{0,31})[ \t:=]+([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class VaultKey:
    """One key of AES-256 and its name. The key itself is in no repr."""

    id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The current key, and the older ones by which earlier files are read."""

    current: VaultKey
    older: tuple[VaultKey, ...] = ()

    def find(self, key_id: str) -> VaultKey:
        """The key of that name. Raises UnknownKey."""
        for key in (self.current, *self.older):
            if key.id == key_id:
                return key
        raise UnknownKey(
            f"it is sealed with key {key_id!r}, which is not configured; list that key behind the current one"
        )


def parse_keys(text: str, where: str) -> Keyring:
    """Reads the text form; `where` names the file or variable in errors. Raises VaultError, never with the text."""
    keys: list[VaultKey] = []
    lines = (line.partition("#")[0].strip() for line in re.split(r"[\n,]", text))
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        if (found := _KEY.fullmatch(line)) is None:
            raise VaultError(f"{where}: key {number} is not of the form ID HEX: 64 hex digits, an ID of a-z 0-9 . _ -")
        keys.append(VaultKey(found[1], bytes.fromhex(found[2])))
    if not keys:
        raise VaultError(f"{where} holds no vault key; write one line: ID and 64 hex digits")
    if len({key.id for key in keys}) < len(keys):
        raise VaultError(f"{where} gives two keys the same ID; each needs its own")
    return Keyring(keys[0], tuple(keys[1:]))


def read_keys(path: Path) -> Keyring:
    """Reads a key file. Raises VaultError, also when others than its owner may read it."""
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise VaultError(f"the vault key file {path} can be read by others; run: chmod 600 {path}")
            text = file.read(65536).decode("ascii")
    except UnicodeDecodeError:
        raise VaultError(f"the vault key file {path} is not plain text; write one line: ID and 64 hex digits") from None
    except OSError as error:
        raise VaultError(f"the vault key file {path} cannot be read: {error.strerror}") from error
    return parse_keys(text, str(path))


def create_key_file(path: Path, key_id: str) -> None:
    """Writes a new random key to a file that is not there yet, mode 0600. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="ascii") as file:  # noqa: PTH123 - of a handle
        file.write(f"{key_id} {secrets.token_hex(32)}\n")

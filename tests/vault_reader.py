"""A reader of vault files as another program would have it: written from README.md, with nothing of opsdeck in it."""

import hashlib
import json
import re
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def read_vault(path: Path, keys: dict[str, bytes]) -> dict:  # type: ignore[type-arg]
    """The content of a vault file; `keys` are 32 bytes by name. Anything wrong is an exception."""
    named = re.fullmatch(r"(ma|mm)-(\d{9})-([0-9a-f]{16})\.enc", path.name)
    line, _, sealed = path.read_bytes().partition(b"\n")
    header = json.loads(line)
    if header["format"] != "suiftly-vault/1":
        raise ValueError("another format")
    content = AESGCM(keys[header["key"]]).decrypt(bytes.fromhex(header["nonce"]), sealed, line)
    sha256 = hashlib.sha256(content).hexdigest()
    if named is None or named.groups() != (header["vault"], f"{header['seq']:09d}", sha256[:16]):
        raise ValueError("another file under this name")
    return json.loads(content)  # type: ignore[no-any-return]


def newest(directory: Path, vault: str) -> Path:
    """The version in force."""
    return max(directory.glob(f"{vault}-*.enc"))


def serves(content: dict, customer: int, service: str, fingerprint: int) -> bool:  # type: ignore[type-arg]
    """Whether a request is to be let through."""
    entry = content["customers"].get(str(customer), {}).get("services", {}).get(service)
    return entry is not None and entry["status"] == "active" and fingerprint in entry["keys"]

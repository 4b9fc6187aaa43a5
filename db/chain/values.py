"""Names of things on Sui, read strictly and kept in one form: addresses, object ids, digests, Move types.

No error text repeats what was typed: it may be a key pasted into the wrong field.
"""

import re
from dataclasses import dataclass
from typing import Final, NewType, Self

from db.chain import base58

Address = NewType("Address", str)
"""`0x` and 64 lower-case hex digits."""

ObjectId = NewType("ObjectId", str)
"""Written like an address, and from the same space."""

_HEX: Final = re.compile(r"0[xX]([0-9a-fA-F]+)")
_DIGEST_HEX: Final = re.compile(r"(?:0[xX]|\\x)?([0-9a-fA-F]{64})")
_IDENTIFIER: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*|_[a-zA-Z0-9_]+")
_EVM_DIGITS: Final = 40
EVM_ADDRESS: Final = "this is an Ethereum (EVM) address, with 40 hex digits; those of Sui have 64"
_DEEPEST_TYPE: Final = 16  # as Move itself has it


class ChainValueError(ValueError):
    """What was typed is no such value; the text names the field and what it takes."""


def is_evm_address(text: str) -> bool:
    """Whether it has the shape of an Ethereum address, which wallets of both chains are mistaken for."""
    found = _HEX.fullmatch(text.strip())
    return found is not None and len(found[1]) == _EVM_DIGITS


def parse_address(text: str, field: str = "address") -> Address:
    """A whole address, in any case. Raises ChainValueError."""
    return Address(_thirty_two_bytes(text, field))


def parse_object_id(text: str, field: str = "object id") -> ObjectId:
    """A whole object id, in any case. Raises ChainValueError."""
    return ObjectId(_thirty_two_bytes(text, field))


def _thirty_two_bytes(text: str, field: str) -> str:
    found = _HEX.fullmatch(text.strip())
    if is_evm_address(text):
        raise ChainValueError(f"{field}: {EVM_ADDRESS}")
    if found is None:
        raise ChainValueError(f"{field}: give 0x and 64 hex digits")
    if len(found[1]) != 64:
        raise ChainValueError(f"{field}: give 0x and 64 hex digits; these are {len(found[1])}")
    return f"0x{found[1].lower()}"


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A transaction digest: 32 bytes, shown in Base58."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise ChainValueError(f"digest: must be 32 bytes, not {len(self.raw)}")

    def __str__(self) -> str:
        return base58.encode(self.raw)

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every form in which billing backends have stored it as text; Base58, ours, is the first."""
        return str(self), self.raw.hex(), f"0x{self.raw.hex()}", f"\\x{self.raw.hex()}"

    @classmethod
    def parse(cls, value: str | bytes, field: str = "digest") -> Self:
        """From Base58, 64 hex digits (plain, behind `0x`, or `\\x` as PostgreSQL writes bytea), or a bytea itself.

        The forms never collide: 32 bytes are 44 characters of Base58 at the most. Raises ChainValueError.
        """
        if isinstance(value, bytes):
            return cls(value)
        text = value.strip()
        if is_evm_address(text):
            raise ChainValueError(f"{field}: {EVM_ADDRESS}")
        if found := _DIGEST_HEX.fullmatch(text):
            return cls(bytes.fromhex(found[1]))
        try:
            raw = base58.decode(text) if len(text) <= 44 else b""
        except ValueError:
            raw = b""
        if len(raw) != 32:
            raise ChainValueError(f"{field}: give the 43 or 44 characters of Base58, or 64 hex digits")
        return cls(raw)


def looks_like_digest(text: str) -> bool:
    """Whether it can be read as a digest. An address can: 0x and 64 hex digits may be either."""
    try:
        Digest.parse(text)
    except ChainValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class MoveType:
    """A type such as a coin's or an event's. Its address is written out, so that `0x2` is found equal to itself."""

    address: Address
    module: str
    name: str
    parameters: tuple[str, ...] = ()  # canonical, also those that are no structs (`u64`, `vector<u8>`)

    def __str__(self) -> str:
        inner = f"<{', '.join(self.parameters)}>" if self.parameters else ""
        return f"{self.address}::{self.module}::{self.name}{inner}"

    @classmethod
    def parse(cls, text: str, field: str = "type") -> Self:
        """From `address::module::Name`, optionally with `<…>`; the address may be short (0x2).

        Raises ChainValueError.
        """
        return cls(*_parts(text.strip(), field, 0))


_PRIMITIVES: Final = frozenset({"bool", "u8", "u16", "u32", "u64", "u128", "u256", "address", "signer"})


def _parameter(text: str, field: str, depth: int) -> str:
    word = text.strip()
    if word in _PRIMITIVES:
        return word
    if word.startswith("vector<") and word.endswith(">") and depth <= _DEEPEST_TYPE:
        return f"vector<{_parameter(word[7:-1], field, depth + 1)}>"
    return str(MoveType(*_parts(word, field, depth)))


def _parts(text: str, field: str, depth: int) -> tuple[Address, str, str, tuple[str, ...]]:
    head, bracket, rest = text.partition("<")
    names = head.split("::")
    if depth > _DEEPEST_TYPE or len(names) != 3 or not all(map(_IDENTIFIER.fullmatch, names[1:])):
        raise ChainValueError(f"{field}: give address::module::NAME, such as 0x2::sui::SUI")
    if bracket and not rest.endswith(">"):
        raise ChainValueError(f"{field}: the < of its parameters is not closed")
    inner = _split(rest[:-1], field) if bracket else ()
    return _padded(names[0], field), names[1], names[2], tuple(_parameter(part, field, depth + 1) for part in inner)


def _padded(text: str, field: str) -> Address:
    """The address in front of a type: special ones are written short everywhere (0x2 for Sui's own)."""
    found = _HEX.fullmatch(text.strip())
    if found is None or len(found[1]) > 64 or len(found[1]) == _EVM_DIGITS:
        return parse_address(text, field)  # which says what is the matter
    return Address(f"0x{found[1].lower():0>64}")


def _split(text: str, field: str) -> tuple[str, ...]:
    """At the commas that stand in no brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += {"<": 1, ">": -1}.get(character, 0)
        if depth < 0:
            raise ChainValueError(f"{field}: a > too many")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return tuple(parts)

"""The 16 metadata bits of an API key: as a word, and as JSON in every shape ever written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self, TypeVar, cast

# The words of the three metadata bits, in bit order.
KeyNetwork = Literal["testnet", "mainnet"]
KeyAccess = Literal["open", "permission"]
KeySource = Literal["derived", "imported"]
_NETWORKS: Final[tuple[KeyNetwork, KeyNetwork]] = ("testnet", "mainnet")
_ACCESSES: Final[tuple[KeyAccess, KeyAccess]] = ("open", "permission")
_SOURCES: Final[tuple[KeySource, KeySource]] = ("derived", "imported")
_Word = TypeVar("_Word", bound=str)


class KeyFormatError(ValueError):
    """A key, fingerprint, secret or key metadata that does not have its format. The text never repeats the input."""


@dataclass(frozen=True, slots=True)
class KeyMetadata:
    """The 16 metadata bits of a key.

    `version` 0..3 (0 today), `proc_group` 0..7 (1 production, 2 development). `source` is None exactly when access is
    open: the bit is then written as 1 and ignored when read, because Oct-2025 keys carry 0. Bits 7-0 are unused.
    """

    version: int
    network: KeyNetwork
    access: KeyAccess
    source: KeySource | None
    proc_group: int

    def __post_init__(self) -> None:
        if not 0 <= self.version <= 3:
            raise KeyFormatError("key metadata: version must be 0..3 (two bits)")
        if not 0 <= self.proc_group <= 7:
            raise KeyFormatError("key metadata: proc_group must be 0..7 (three bits)")
        if (self.source is None) != (self.access == "open"):
            raise KeyFormatError("key metadata: give a source for permission access, and none for open access")

    @classmethod
    def from_bits(cls, bits: int) -> Self:
        """Decode a SMALLINT column or the unsigned word: -32768..65535; the unused low 8 bits are ignored."""
        if not -0x8000 <= bits <= 0xFFFF:
            raise KeyFormatError("key metadata: expected 16 bits, that is -32768..65535")
        word = bits & 0xFFFF
        access: KeyAccess = "permission" if word & 0x1000 else "open"
        return cls(
            version=word >> 14,
            network="mainnet" if word & 0x2000 else "testnet",
            access=access,
            source=None if access == "open" else "imported" if word & 0x0800 else "derived",
            proc_group=word >> 8 & 7,
        )

    def to_bits(self) -> int:
        """The unsigned 16-bit word, 0..65535. A SMALLINT column holds it minus 65536 from 32768 on."""
        network, access = _NETWORKS.index(self.network) << 13, _ACCESSES.index(self.access) << 12
        source = 0 if self.source == "derived" else 0x0800
        return self.version << 14 | network | access | source | self.proc_group << 8

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Self:
        """Read `api_keys.metadata` in any shape ever written: the five first-schema names, as columns
        or JSON, or `version, sealType{network, access, source}, procGroup` with words. A missing version is 0."""
        nested = value.get("sealType")
        if isinstance(nested, Mapping):
            seal, names = cast("Mapping[str, object]", nested), ("network", "access", "source")
            version, group = value.get("version"), value.get("procGroup")
        else:
            seal, names = value, ("seal_network", "seal_access", "seal_source")
            version, group = value.get("key_version"), value.get("proc_group")
        access: KeyAccess = _choice(_ACCESSES, seal.get(names[1]), names[1])
        source: KeySource = _choice(_SOURCES, seal.get(names[2]), names[2]) if access == "permission" else "derived"
        return cls(
            version=0 if version is None else _integer(version, "version"),
            network=_choice(_NETWORKS, seal.get(names[0]), names[0]),
            access=access,
            source=source if access == "permission" else None,
            proc_group=_integer(group, "proc_group"),
        )

    def to_json(self) -> dict[str, int | None]:
        """The canonical `api_keys.metadata`: the five first-schema names; `seal_source` is null for open access."""
        return {
            "key_version": self.version,
            "seal_network": _NETWORKS.index(self.network),
            "seal_access": _ACCESSES.index(self.access),
            "seal_source": None if self.source is None else _SOURCES.index(self.source),
            "proc_group": self.proc_group,
        }


def _integer(value: object, name: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise KeyFormatError(f"key metadata: {name} must be an integer")


def _choice(words: tuple[_Word, _Word], value: object, name: str) -> _Word:
    """The word itself, or the word of the bit."""
    for bit, word in enumerate(words):
        if value == word or (value == bit and not isinstance(value, bool)):
            return word
    raise KeyFormatError(f"key metadata: {name} must be 0 or 1, or the word {words[0]} or {words[1]}")

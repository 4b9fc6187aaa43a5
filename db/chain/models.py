"""What a node answers, as values of ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from db.chain.values import Address, Digest, MoveType, ObjectId


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """A node about itself. It has the checkpoints from `lowest` to `tip`."""

    chain_id: str
    chain: str  # "mainnet", "testnet", or what a local network calls itself
    tip: int
    tip_at: datetime | None
    lowest: int
    server: str


ObjectAt = tuple[ObjectId, int | None]
"""An object that is asked for: at a version, or as it is now."""


@dataclass(frozen=True, slots=True)
class ChainObject:
    """An object at one version. `fields` is the node's JSON: u64 are strings in it, bytes are base64."""

    object_id: ObjectId
    version: int
    type: MoveType
    ownership: str  # "shared", "address", "object", "immutable"
    fields: Mapping[str, object]
    previous_transaction: Digest | None


@dataclass(frozen=True, slots=True)
class EmittedEvent:
    """An event within its transaction."""

    index: int
    type: MoveType
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Transaction:
    """What became of a transaction. `checkpoint` is None until it is final; there are no confirmations to count."""

    digest: Digest
    success: bool
    error: str | None
    checkpoint: int | None
    at: datetime | None  # of its checkpoint
    events: tuple[EmittedEvent, ...]  # empty unless the whole of it was asked for, and so is `wrote`
    wrote: Mapping[ObjectId, int]  # the objects it made or changed, and the version of each since then


class Position(NamedTuple):
    """Where in the ledger an event stands; positions compare in ledger order."""

    checkpoint: int
    transaction: int
    event: int


@dataclass(frozen=True, slots=True)
class ChainEvent:
    """An event as it was listed. Reading can go on behind it with its `cursor`."""

    position: Position
    digest: Digest
    type: MoveType
    sender: Address | None
    fields: Mapping[str, object]
    cursor: bytes
    covered: int | None


class PageEnd(StrEnum):
    """Why a page ends."""

    TIP = "tip"
    LIMIT = "limit"  # of items, or of what the server scans at once
    BOUND = "bound"  # the end that was asked for
    INTERRUPTED = "interrupted"  # the stream broke; what came before is whole


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in ledger order, and where to go on. A page may be empty and still be ahead of the one before.

    `cursor` is opaque: never parse it, never compare two. `covered` is the last checkpoint of which everything has
    been listed, None while none has.
    """

    events: tuple[ChainEvent, ...]
    cursor: bytes | None
    covered: int | None
    end: PageEnd

    @property
    def more(self) -> bool:
        return self.end in (PageEnd.LIMIT, PageEnd.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events are wanted: those whose type is of one of the packages' modules, behind `after` or from `start`."""

    modules: tuple[str, ...]  # "0x…::escrow": the package that first defined the type, whatever it was upgraded to
    after: bytes | None = None
    start: int | None = None  # first checkpoint; with `after` both hold
    before: int | None = None  # first checkpoint that is not wanted
    limit: int = 500

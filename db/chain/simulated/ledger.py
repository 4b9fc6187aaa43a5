"""What a simulated chain holds: checkpoints with transactions and their events, and objects as they are now."""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter

from db.chain import base58
from db.chain.models import ObjectAt, Position
from db.chain.values import Address, Digest, MoveType, ObjectId

CHAIN = "simulated"
CHAIN_ID = base58.encode(hashlib.sha256(b"the simulated chain of opsdeck").digest())
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SimulatedEvent:
    """An event where it stands."""

    position: Position
    digest: Digest
    type: MoveType
    sender: Address
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SimulatedTransaction:
    """A transaction in its checkpoint; `error` says why one failed."""

    digest: Digest
    checkpoint: int
    index: int
    at: datetime
    events: tuple[SimulatedEvent, ...]
    error: str | None
    wrote: Mapping[ObjectId, int]


@dataclass(slots=True)
class SimulatedObject:
    """A shared object."""

    object_id: ObjectId
    type: MoveType
    fields: dict[str, object]
    version: int = 1
    previous: Digest | None = None


@dataclass(slots=True)
class Ledger:
    """The chain itself. Grows at its end only; `lowest` is the first checkpoint a node still has of it."""

    chain_id: str = CHAIN_ID
    lowest: int = 0
    tip: int = 0
    tip_at: datetime = _BEGAN
    transactions: dict[Digest, SimulatedTransaction] = field(default_factory=dict[Digest, SimulatedTransaction])
    events: list[SimulatedEvent] = field(default_factory=list[SimulatedEvent])
    objects: dict[ObjectId, SimulatedObject] = field(default_factory=dict[ObjectId, SimulatedObject])
    versions: dict[ObjectAt, SimulatedObject] = field(default_factory=dict[ObjectAt, SimulatedObject])
    _in_tip: int = field(default=0, init=False)  # transactions in the last checkpoint

    def commit(
        self,
        sender: Address,
        events: Sequence[tuple[MoveType, Mapping[str, object]]] = (),
        *,
        digest: Digest | None = None,
        at: datetime | None = None,
        error: str | None = None,
        same_checkpoint: bool = False,
        objects: Sequence[SimulatedObject] = (),
    ) -> Digest:
        """Adds a transaction, in a checkpoint of its own unless told otherwise, a second after the last one; `objects`
        are as it leaves them."""
        if not same_checkpoint:
            self.tip += 1
            self.tip_at = at or self.tip_at + timedelta(seconds=1)
        self._in_tip = self._in_tip + 1 if same_checkpoint else 1
        index = self._in_tip - 1
        digest = digest or Digest(hashlib.sha256(f"{self.chain_id} {self.tip} {index}".encode()).digest())
        emitted = tuple(
            SimulatedEvent(Position(self.tip, index, number), digest, type_, sender, fields)
            for number, (type_, fields) in enumerate(() if error else events)
        )
        for one in objects:
            one.previous = digest
            self.objects[one.object_id] = one
            self.versions[one.object_id, one.version] = replace(one, fields=dict(one.fields))
        wrote = {one.object_id: one.version for one in objects}
        self.transactions[digest] = SimulatedTransaction(digest, self.tip, index, self.tip_at, emitted, error, wrote)
        self.events.extend(emitted)
        return digest

    def advance(self, checkpoints: int) -> None:
        """Adds checkpoints without any transaction of ours."""
        self.tip += checkpoints
        self._in_tip = 0
        self.tip_at += timedelta(seconds=checkpoints)

    def events_after(self, position: Position) -> Sequence[SimulatedEvent]:
        """Those behind a position, in ledger order."""
        return self.events[bisect_right(self.events, position, key=attrgetter("position")) :]

"""What an operator may change, as a value: what it is called, what it would do, how it is done, what came of it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Self, cast
from uuid import UUID

from pydantic import SecretStr

from db.audit import Actor
from db.database import Connection
from db.errors import Refused


@dataclass(frozen=True, slots=True)
class Preview:
    """What an operation would do, as far as it can be known before doing it."""

    title: str  # "Revoke key 0x0100607b"
    verb: str  # the word on the button: "Revoke"
    changes: tuple[str, ...]  # before -> after, a line each
    consequences: tuple[str, ...]  # the blast radius, a line each
    version: str  # hand it back in the operation: a change in between makes it Stale
    typed_phrase: str | None = None  # to be typed by the operator when live traffic is hit


@dataclass(frozen=True, slots=True)
class Change:
    """What apply() did, for the audit row and the receipt. Mappings are keyed by subject ("key:42")."""

    before: dict[str, Any]
    after: dict[str, Any]
    message: str
    created: tuple[str, ...] = ()  # subjects that came to be, and could not be named before
    issued: SecretStr | None = None  # a new credential: goes into the receipt, and on no record


class Operation(ABC):
    """A frozen value that says what is to be changed; subclasses are dataclasses with a field `version`."""

    action: ClassVar[str]  # "revoke-keys", as in the audit record
    topic: ClassVar[str]  # what changed, for LISTEN: "keys"
    reaches_gateways: ClassVar[bool] = False  # whether they have to learn of it, from a vault that is published
    writes: ClassVar[tuple[str, ...]] = ()  # the rights it takes besides adding to the record: "UPDATE public.api_keys"

    @property
    @abstractmethod
    def subjects(self) -> tuple[str, ...]:
        """What it touches: "key:2711124630", "customer:42"."""

    @property
    def weight(self) -> int:
        """How grave it is, for the rules of console.second_person: over how many subjects at once, unless it says so.

        0 never takes a second person.
        """
        return len(self.subjects)

    @property
    @abstractmethod
    def shell(self) -> str:
        """The command that does the same, without the reason."""

    def at_version(self, version: str) -> Self:
        """The same operation, to be carried out only on what was previewed; what has no `version` is itself."""
        return replace(cast("Any", self), version=version)

    @abstractmethod
    async def preview(self, connection: Connection) -> Preview:
        """Reads only. Raises Refused when the operation cannot be carried out as things stand."""

    @abstractmethod
    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        """Locks, rechecks, changes. Raises Stale or Refused before changing anything."""

    async def conclude(self, connection: Connection) -> None:  # noqa: B027 - most have nothing of the kind
        """What no rollback takes back, done last: behind the record, right before the commit."""


def actions() -> frozenset[str]:
    """The names of all operations there are."""
    kinds, found = [Operation], set[str]()
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        found |= {kind.action} if hasattr(kind, "action") else set()
    return frozenset(found)


class Outcome(StrEnum):
    """How a try ended."""

    DONE = "done"
    REFUSED = "refused"
    STALE = "stale"
    FAILED = "failed"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of an operation. `at` and `after` were read back from the database, so DONE is a fact."""

    operation_id: UUID
    outcome: Outcome
    message: str
    at: datetime | None = None
    after: dict[str, Any] | None = None
    subjects: tuple[str, ...] = ()
    issued: SecretStr | None = None  # what was made and is told only here, once, when it is DONE

    @property
    def done(self) -> bool:
        return self.outcome is Outcome.DONE


REASON_LENGTH = range(3, 501)


def checked_reason(reason: str) -> str:
    """The reason without surrounding space. Raises Refused when it says nothing or too much."""
    text = " ".join(reason.split())
    if len(text) not in REASON_LENGTH:
        raise Refused("the reason must have 3 to 500 characters; say why, so that the audit record can tell")
    return text

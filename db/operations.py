"""The single way anything is changed: an Operation, carried out by perform() with its audit row in one transaction."""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Self, cast
from uuid import UUID, uuid4

import psycopg
from pydantic import SecretStr

from db import audit
from db.audit import Actor, Audit, Entry
from db.changes import notify
from db.database import Connection, Database
from db.errors import DatabaseError, Denied, Refused, Stale, Uncertain
from db.second_person import NeedsSecondPerson, approver, ask, rule_of


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


_OUTCOME_OF: dict[type[DatabaseError], Outcome] = {
    Refused: Outcome.REFUSED,
    Denied: Outcome.REFUSED,
    Stale: Outcome.STALE,
}
REASON_LENGTH = range(3, 501)


def checked_reason(reason: str) -> str:
    """The reason without surrounding space. Raises Refused when it says nothing or too much."""
    text = " ".join(reason.split())
    if len(text) not in REASON_LENGTH:
        raise Refused("the reason must have 3 to 500 characters; say why, so that the audit record can tell")
    return text


async def perform(
    database: Database, operation: Operation, *, actor: Actor, reason: str, settle_s: float = 15.0
) -> Receipt:
    """Carries the operation out. Always returns a Receipt: how it ended and what did or did not happen.

    A connection lost while committing is settled by operation id for up to `settle_s` seconds; after that the
    receipt is UNCERTAIN. Nothing is ever tried twice.
    """
    attempt = _Attempt(database, operation, uuid4(), actor, reason)
    try:
        attempt = replace(attempt, reason=checked_reason(reason))
        return await attempt.carry_out(settle_s)
    except NeedsSecondPerson:
        return await attempt.ask()
    except DatabaseError as error:
        outcome = _OUTCOME_OF.get(type(error), Outcome.FAILED)
        return await attempt.record(outcome, f"{error}. Nothing was changed.")


async def refuse(
    database: Database, operation: Operation, error: Refused | Denied, *, actor: Actor, reason: str
) -> Receipt:
    """Puts on record that the operation was asked for and refused before it was tried; the receipt of that."""
    attempt = _Attempt(database, operation, uuid4(), actor, " ".join(reason.split()))
    return await attempt.record(Outcome.REFUSED, f"{error}. Nothing was changed.")


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One run of one operation under one operation id."""

    database: Database
    operation: Operation
    operation_id: UUID
    actor: Actor
    reason: str

    def entry(self, outcome: str, message: str, change: Change | None = None) -> Entry:
        return Entry(
            operation_id=self.operation_id,
            action=self.operation.action,
            subjects=self.operation.subjects + (change.created if change else ()),
            actor=self.actor,
            reason=self.reason,
            outcome=outcome,
            message=message,
            before=change and change.before,
            after=change and change.after,
        )

    def receipt(self, outcome: Outcome, message: str) -> Receipt:
        return Receipt(self.operation_id, outcome, message, subjects=self.operation.subjects)

    @property
    def how_to_look(self) -> str:
        return f"Look: opsdeck audit list --operation {self.operation_id}"

    async def carry_out(self, settle_s: float) -> Receipt:
        change: Change | None = None
        try:
            async with self.database.writing() as connection:
                approved_by = await self.approved(connection)
                change = await self.operation.apply(connection, self.actor, self.reason)
                if approved_by is not None:
                    change = replace(
                        change,
                        after=change.after | {"approval": {"by": approved_by}},
                        message=f"{change.message}; approved by {approved_by}",
                    )
                await audit.write(connection, self.entry("done", change.message, change))
                await notify(connection, self.operation.topic)
                await self.operation.conclude(connection)
                try:
                    await connection.commit()
                except psycopg.OperationalError as error:
                    # No answer to COMMIT: the server may have written it or not.
                    raise Uncertain("the connection was lost while committing") from error
        except Uncertain as error:
            receipt = await self.settle(error, settle_s)
        else:
            receipt = await self.read_back()
        return replace(receipt, issued=change.issued) if change and receipt.done else receipt

    async def approved(self, connection: Connection) -> str | None:
        """Who approved it, where it takes a second person. Raises NeedsSecondPerson, or Refused if it is in vain."""
        operation = self.operation
        rule = await rule_of(connection, operation.action)
        if rule is None or operation.weight <= rule.above:
            return None
        await operation.preview(connection)
        return await approver(connection, operation.shell, self.actor, self.operation_id)

    async def ask(self) -> Receipt:
        """Asks for a second person instead of doing it; that is on record as a try that was refused."""
        operation = self.operation
        try:
            async with self.database.writing() as connection:
                asked = await ask(
                    connection,
                    self.actor,
                    action=operation.action,
                    command=operation.shell,
                    subjects=operation.subjects,
                    reason=self.reason,
                )
                message = (
                    f"It takes a second person, who is asked now: opsdeck approvals approve {asked}. "
                    "Once that is approved, do it again. Nothing was changed."
                )
                await audit.write(connection, self.entry(Outcome.REFUSED.value, message))
                await notify(connection, "approvals")
        except DatabaseError as error:
            message = f"It takes a second person, who could not be asked: {error}. Nothing was changed."
        return self.receipt(Outcome.REFUSED, message)

    async def record(self, outcome: Outcome, message: str) -> Receipt:
        """Puts a try that changed nothing on record too."""
        try:
            async with self.database.writing() as connection:
                written = await audit.write(connection, self.entry(outcome.value, message))
                await notify(connection, "audit")
        except DatabaseError as error:
            message += f" The try itself could not be put on record: {error}."
        else:
            if not written:  # the id is on record: what failed did so behind the commit
                return await self.read_back()
        return self.receipt(outcome, message)

    async def settle(self, cause: Uncertain, wait_s: float) -> Receipt:
        """Finds out whether a commit that got no answer happened.

        It writes an `abandoned` row under the same operation id. If that succeeds, the change did not happen and,
        the id being unique, never will; if the id is taken, the change happened.
        """
        clock = asyncio.get_running_loop().time
        deadline, pause = clock() + wait_s, 0.2
        while True:
            try:
                async with self.database.writing() as connection:
                    abandoned = await audit.write(connection, self.entry("abandoned", f"{cause}; it did not happen"))
            except DatabaseError:
                # Whatever it is, it tells nothing of the commit: a server that takes over is read-only at first.
                if clock() + pause > deadline:
                    message = (
                        f"The connection was lost while committing: the change may have happened. {self.how_to_look}"
                    )
                    return self.receipt(Outcome.UNCERTAIN, message)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 2.0)
                continue
            if not abandoned:
                return await self.read_back()
            message = "The connection was lost while committing; the change did not happen. Nothing was changed."
            return self.receipt(Outcome.FAILED, message)

    async def read_back(self) -> Receipt:
        try:
            row = await Audit(self.database).find(self.operation_id)
        except DatabaseError as error:
            message = f"It was committed, but could not be read back: {error}. {self.how_to_look}"
            return self.receipt(Outcome.UNCERTAIN, message)
        if row is None or row.outcome != "done":
            return self.receipt(Outcome.FAILED, f"The audit record does not show the change. {self.how_to_look}")
        return replace(self.receipt(Outcome.DONE, row.message or ""), at=row.at, after=row.after, subjects=row.subjects)

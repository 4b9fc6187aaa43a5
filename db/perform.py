"""The single way anything is changed: an Operation, carried out with its audit row in one transaction."""

import asyncio
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import psycopg

from db import audit
from db.audit import Actor, Audit, Entry
from db.changes import notify
from db.database import Connection, Database
from db.errors import DatabaseError, Denied, Refused, Stale, Uncertain
from db.operations import Change, Operation, Outcome, Receipt, checked_reason
from db.second_person import NeedsSecondPerson, approver, ask, rule_of

_OUTCOME_OF: dict[type[DatabaseError], Outcome] = {
    Refused: Outcome.REFUSED,
    Denied: Outcome.REFUSED,
    Stale: Outcome.STALE,
}


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

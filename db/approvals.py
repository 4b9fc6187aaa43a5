"""Requests for a second person: listed, approved, rejected; and for which acts they are needed."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, LiteralString, Self
from uuid import UUID

from psycopg.rows import class_row

from db.audit import Actor
from db.database import Connection, Database
from db.errors import Refused
from db.operations import Change, Operation, Preview
from db.second_person import Rule, rule_of

_SELECT: LiteralString = """
    SELECT approval_id, action, command, subjects, reason, asked_by, asked_role, asked_at, expires_at, decided_by,
           decided_at,
           CASE WHEN operation_id IS NOT NULL THEN 'used' WHEN verdict = 'rejected' THEN verdict
                WHEN expires_at <= now() THEN 'expired' ELSE coalesce(verdict, 'asked') END AS state
    FROM console.approval
"""


@dataclass(frozen=True, slots=True)
class Approval:
    """A request and what came of it. `state`: asked, approved, rejected, expired or used."""

    approval_id: UUID
    action: str
    command: str
    subjects: tuple[str, ...]
    reason: str
    asked_by: str
    asked_role: str
    asked_at: datetime
    expires_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    state: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "subjects", tuple(self.subjects))

    @property
    def asker(self) -> str:
        """Who asks, and by which database login where that is another name."""
        return self.asked_by if self.asked_by == self.asked_role else f"{self.asked_by} as {self.asked_role}"

    @property
    def said(self) -> str:
        """The state, and who decided."""
        return self.state if self.decided_by is None else f"{self.state}, {self.decided_by}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many requests of others wait for one's decision, and how many of one's own can be carried out now."""

    asked: int = 0
    approved: int = 0


class Approvals:
    """Reads requests and rules."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, *, open_only: bool = False, before: Approval | None = None, limit: int = 100
    ) -> tuple[Approval, ...]:
        """Newest first, behind `before`; `open_only` leaves those that somebody has still to decide or to use."""
        conditions: list[LiteralString] = ["true"]
        parameters: dict[str, object] = {"limit": limit}
        if open_only:
            conditions.append("operation_id IS NULL AND expires_at > now() AND verdict IS DISTINCT FROM 'rejected'")
        if before is not None:
            conditions.append("(asked_at, approval_id) < (%(at)s, %(id)s)")
            parameters |= {"at": before.asked_at, "id": before.approval_id}
        query = _SELECT + " WHERE " + " AND ".join(conditions) + " ORDER BY asked_at DESC, approval_id DESC"
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(Approval))
            await cursor.execute(query + " LIMIT %(limit)s", parameters)
            return tuple(await cursor.fetchall())

    async def find(self, approval_id: UUID) -> Approval | None:
        """One request."""
        async with self._database.reading() as connection:
            return await _find(connection, approval_id)

    async def waiting(self, actor: Actor) -> Waiting:
        """What waits for this person. Telling apart is as strict as at the deciding itself."""
        async with self._database.reading() as connection:
            cursor = await connection.execute(
                """SELECT count(*) FILTER (WHERE verdict IS NULL AND NOT mine),
                          count(*) FILTER (WHERE verdict = 'approved' AND mine AND asked_by = %(who)s
                                             AND asked_role = session_user)
                   FROM (SELECT verdict, asked_by, asked_role, CASE told_apart_by WHEN 'role'
                                THEN asked_role = session_user ELSE asked_by = %(who)s END AS mine
                         FROM console.approval WHERE operation_id IS NULL AND expires_at > now()) a""",
                {"who": actor.os_user},
            )
            row = await cursor.fetchone()
        return Waiting(*row) if row else Waiting()

    async def rules(self) -> tuple[Rule, ...]:
        """What takes a second person here."""
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(Rule))
            await cursor.execute(
                """SELECT action, above, extract(epoch FROM expires_after)::float8 AS expires_s, told_apart_by
                   FROM console.second_person ORDER BY action"""
            )
            return tuple(await cursor.fetchall())


async def _find(connection: Connection, approval_id: UUID) -> Approval | None:
    cursor = connection.cursor(row_factory=class_row(Approval))
    await cursor.execute(_SELECT + " WHERE approval_id = %s", (approval_id,))
    return await cursor.fetchone()


@dataclass(frozen=True, slots=True)
class _Decide(Operation):
    """Decides on one request; the subclasses say how."""

    topic: ClassVar[str] = "approvals"
    verb: ClassVar[str]
    verdict: ClassVar[str]

    approval_id: UUID

    @property
    def subjects(self) -> tuple[str, ...]:
        return (f"approval:{self.approval_id}",)

    @property
    def shell(self) -> str:
        return f"opsdeck approvals {self.verb.lower()} {self.approval_id}"

    def at_version(self, version: str) -> Self:
        return self

    async def preview(self, connection: Connection) -> Preview:
        asked = await self._read(connection)
        if asked.state != "asked":
            raise Refused(f"this request is {asked.state}")
        return Preview(
            title=f"{self.verb} what {asked.asked_by} asks for",
            verb=self.verb,
            changes=(asked.command,),
            consequences=(f"{asked.asker} says: {asked.reason}", "It is carried out by who asked for it, once."),
            version="",
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        asked = await self._read(connection)
        cursor = await connection.execute(
            "SELECT console.decide_approval(%s, %s, %s)", (self.approval_id, self.verdict, actor.os_user)
        )
        row = await cursor.fetchone()
        if row and row[0] is not None:
            raise Refused(str(row[0]))
        facts = {"command": asked.command, "asked_by": asked.asked_by}
        subject = f"approval:{self.approval_id}"
        return Change(
            before={subject: {"state": "asked", **facts}},
            after={subject: {"state": self.verdict, **facts}},
            message=f"{self.verdict.capitalize()}: {asked.command}",
        )

    async def _read(self, connection: Connection) -> Approval:
        found = await _find(connection, self.approval_id)
        if found is None:
            raise Refused(f"there is no request {self.approval_id}; look with `opsdeck approvals list`")
        return found


@dataclass(frozen=True, slots=True)
class Approve(_Decide):
    """Lets the one who asked carry it out."""

    action: ClassVar[str] = "approve"
    verb: ClassVar[str] = "Approve"
    verdict: ClassVar[str] = "approved"


@dataclass(frozen=True, slots=True)
class Reject(_Decide):
    """Ends a request; also one's own."""

    action: ClassVar[str] = "reject"
    verb: ClassVar[str] = "Reject"
    verdict: ClassVar[str] = "rejected"


@dataclass(frozen=True, slots=True)
class RequireSecondPerson(Operation):
    """Sets for which action a second person is needed; without a rule, for none of that action any more."""

    action: ClassVar[str] = "require-second-person"
    topic: ClassVar[str] = "approvals"
    writes: ClassVar[tuple[str, ...]] = ("INSERT console.second_person", "DELETE console.second_person")

    of: str
    rule: Rule | None

    @property
    def subjects(self) -> tuple[str, ...]:
        return (f"action:{self.of}",)

    @property
    def shell(self) -> str:
        if self.rule is None:
            return f"opsdeck approvals waive {self.of}"
        return (
            f"opsdeck approvals require {self.of} --above {self.rule.above} --expires {self.rule.expires_s:.0f}s"
            f" --told-apart-by {self.rule.told_apart_by}"
        )

    def at_version(self, version: str) -> Self:
        return self

    async def preview(self, connection: Connection) -> Preview:
        before = await self._other(connection)
        return Preview(
            title=f"{'Require' if self.rule else 'Waive'} a second person for {self.of}",
            verb="Require" if self.rule else "Waive",
            changes=(f"{self.of}: {_words(before)} → {_words(self.rule)}",),
            consequences=("It holds for every console and for the shell, from the next try on.",),
            version="",
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        before = await self._other(connection)
        await connection.execute("DELETE FROM console.second_person WHERE action = %s", (self.of,))
        if self.rule is not None:
            await connection.execute(
                """INSERT INTO console.second_person (action, above, expires_after, told_apart_by)
                   VALUES (%s, %s, make_interval(secs => %s), %s)""",
                (self.of, self.rule.above, self.rule.expires_s, self.rule.told_apart_by),
            )
        return Change(
            before={f"action:{self.of}": {"second person": _words(before)}},
            after={f"action:{self.of}": {"second person": _words(self.rule)}},
            message=f"{self.of}: {_words(self.rule)}",
        )

    async def _other(self, connection: Connection) -> Rule | None:
        """The rule there is. Raises Refused where it is this one."""
        before = await rule_of(connection, self.of)
        if before == self.rule:
            raise Refused(f"{self.of} takes {_words(before)} already")
        return before


def _words(rule: Rule | None) -> str:
    return rule.words if rule else "one person"


async def announced(connection: Connection, operation: Operation, preview: Preview) -> Preview:
    """The preview, saying that it takes a second person where it does."""
    rule = await rule_of(connection, operation.action)
    if rule is None or operation.weight <= rule.above:
        return preview
    line = "It takes a second person: if nobody has approved it yet, this asks for it and changes nothing."
    return replace(preview, consequences=(*preview.consequences, line))

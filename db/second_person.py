"""Whether an act takes a second person, and whether one has approved it (tables console.second_person and approval).

The console enforces it. Who has the rights of an operator and uses them past the console is not held up, but leaves no
approval and no entry in the record either.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from psycopg.rows import class_row

from db.audit import Actor
from db.database import Connection
from db.errors import DatabaseError
from db.moments import span


class NeedsSecondPerson(DatabaseError):
    """Nobody has approved it yet; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What takes a second person: this action, where it weighs more than `above`."""

    action: str
    above: int
    expires_s: float
    told_apart_by: str  # role or login

    @property
    def words(self) -> str:
        above = f" for more than {self.above}" if self.above else ""
        who = "another database login" if self.told_apart_by == "role" else "another login"
        return f"a second person{above}: {who}, within {span(timedelta(seconds=self.expires_s))}"


async def rule_of(connection: Connection, action: str) -> Rule | None:
    """What is set for an action; None when one person is enough."""
    cursor = connection.cursor(row_factory=class_row(Rule))
    await cursor.execute(
        """SELECT action, above, extract(epoch FROM expires_after)::float8 AS expires_s, told_apart_by
           FROM console.second_person WHERE action = %s""",
        (action,),
    )
    return await cursor.fetchone()


async def approver(connection: Connection, command: str, actor: Actor, operation_id: UUID) -> str:
    """Uses up an approval of this command, with the caller's transaction; says who gave it.

    Raises NeedsSecondPerson when there is none.
    """
    cursor = await connection.execute("SELECT console.use_approval(%s, %s, %s)", (command, actor.os_user, operation_id))
    row = await cursor.fetchone()
    if row is None or row[0] is None:
        raise NeedsSecondPerson("it takes a second person")
    return str(row[0])


async def ask(
    connection: Connection, actor: Actor, *, action: str, command: str, subjects: tuple[str, ...], reason: str
) -> UUID:
    """Asks for an approval, once; asked again it is the same request. Raises NeedsSecondPerson without a rule."""
    cursor = await connection.execute(
        "SELECT console.ask_approval(%s, %s, %s, %s, %s)", (action, command, list(subjects), actor.os_user, reason)
    )
    row = await cursor.fetchone()
    if row is None or not isinstance(row[0], UUID):
        raise NeedsSecondPerson("it took a second person a moment ago; try again")
    return row[0]

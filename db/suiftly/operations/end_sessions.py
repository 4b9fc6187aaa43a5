"""Signing a customer out of its dashboard."""

from dataclasses import dataclass
from typing import LiteralString

from db.audit import Actor
from db.database import Connection
from db.errors import Refused, Stale
from db.operations import Change, Preview
from db.suiftly.operations.of_customer import OfCustomer

_SELECT: LiteralString = """
    SELECT count(t.id), max(t.id)
    FROM customers c LEFT JOIN refresh_tokens t ON t.customer_id = c.customer_id AND t.expires_at > now()
    WHERE c.customer_id = %(id)s GROUP BY c.customer_id
"""


@dataclass(frozen=True, slots=True)
class EndSessions(OfCustomer):
    """Deletes the refresh tokens of a customer, of whatever status."""

    action = "end-sessions"
    topic = "customers"
    writes = ("DELETE public.refresh_tokens",)

    customer_id: int
    version: str | None = None

    @property
    def shell(self) -> str:
        return f"opsdeck customers end-sessions {self.customer_id}"

    async def preview(self, connection: Connection) -> Preview:
        sessions, version = await self._read(connection)
        return Preview(
            title=f"End the sessions of customer {self.customer_id}",
            verb="End",
            changes=(f"dashboard sessions: {sessions} → 0",),
            consequences=(
                "Whoever is signed in has to sign in again with the wallet, at the latest when the access token at "
                "hand runs out, within 15 minutes.",
                "API keys go on working.",
            ),
            version=version,
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        _, version = await self._read(connection)
        cursor = await connection.execute(
            "DELETE FROM refresh_tokens WHERE customer_id = %s RETURNING id, expires_at > now()", (self.customer_id,)
        )
        ended = [row[0] for row in await cursor.fetchall() if row[1]]
        # Of two who end them at once, the second had to wait and finds nothing left.
        if not ended or (self.version is not None and version != self.version):
            raise Stale("the sessions changed since they were shown; look at them again")
        subject = f"customer:{self.customer_id}"
        return Change(
            before={subject: {"sessions": len(ended)}},
            after={subject: {"sessions": 0}},
            message=f"Ended {len(ended)} session(s) of customer {self.customer_id}",
        )

    async def _read(self, connection: Connection) -> tuple[int, str]:
        """How many sessions there are, and the newest of them."""
        row = await (await connection.execute(_SELECT, {"id": self.customer_id})).fetchone()
        if row is None:
            raise self.unknown
        if not row[0]:
            raise Refused(f"customer {self.customer_id} has no session to end")
        return int(row[0]), str(row[1])

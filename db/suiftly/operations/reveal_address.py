"""Looking at a client address: nothing changes, but it is on record before it is shown."""

import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from db.audit import Actor
from db.database import Connection
from db.moments import rfc3339
from db.operations import Change, Operation, Preview
from db.suiftly.log.codes import server_label
from db.suiftly.log.row import RequestRow


@dataclass(frozen=True, slots=True)
class RevealAddress(Operation):
    """Puts on record that the operator sees the client address of one request. The address itself is not."""

    action = "reveal-address"
    topic = "audit"

    at: datetime
    server: str
    customer_id: int | None
    key: int  # 0 without one

    @classmethod
    def of(cls, row: RequestRow) -> Self:
        """For the request of this row."""
        return cls(row.timestamp, server_label(row.server_id), row.customer_id, row.api_key_fp)

    @property
    def subjects(self) -> tuple[str, ...]:
        named = (("customer", self.customer_id), ("key", self.key))
        return tuple(f"{kind}:{value}" for kind, value in named if value)

    @property
    def weight(self) -> int:
        """Of a request that names nobody too: it is somebody's address."""
        return max(1, len(self.subjects))

    @property
    def shell(self) -> str:
        span = ("--from", rfc3339(self.at), "--to", rfc3339(self.at + timedelta(microseconds=1)))
        return shlex.join(("opsdeck", "export", "FILE.jsonl", "--server", self.server, *span, "--addresses"))

    def at_version(self, version: str) -> Self:
        return self

    async def preview(self, connection: Connection) -> Preview:
        return Preview(
            title="Show the client address of this request",
            verb="Show",
            changes=(),
            consequences=("It is personal data. Who looks, when, at which request and why goes on record.",),
            version="",
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        request = {"at": rfc3339(self.at), "server": self.server}
        return Change(
            before={},
            after={"request": request},
            message=f"The client address of the request at {request['at']} on {self.server} was shown",
        )

"""Client addresses written to a file: nothing changes, but it is on record before the first one is read."""

import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from db.audit import Actor
from db.database import Connection
from db.moments import rfc3339
from db.operations import Change, Operation, Preview

_HEAVIEST: Final = 2**31
"""More than the threshold of any rule: nobody knows beforehand how many addresses are in a span."""


@dataclass(frozen=True, slots=True)
class ReleaseAddresses(Operation):
    """Puts on record that the addresses of a span go into `file`. `words` are the filter's, addresses masked."""

    action = "reveal-address"
    topic = "audit"

    file: str
    words: tuple[str, ...]
    start: datetime
    end: datetime
    named: tuple[str, ...]  # the subjects that the filter names
    facts: dict[str, Any]  # of the export, for the record

    @property
    def subjects(self) -> tuple[str, ...]:
        return self.named

    @property
    def weight(self) -> int:
        return _HEAVIEST

    @property
    def shell(self) -> str:
        filters: list[str] = []
        for word in self.words:
            name, _, value = word.partition(":")
            filters += [f"--{name.removeprefix('!')}", f"{'!' * name.startswith('!')}{value}"]
        span = ("--from", rfc3339(self.start), "--to", rfc3339(self.end))
        return shlex.join(("opsdeck", "export", self.file, *filters, *span, "--addresses"))

    def at_version(self, version: str) -> Self:
        return self

    async def preview(self, connection: Connection) -> Preview:
        return Preview(
            title=f"Write client addresses to {self.file}",
            verb="Export",
            changes=(),
            consequences=("It is personal data. Who exports what and why goes on record.",),
            version="",
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        return Change(before={}, after={"export": self.facts}, message="Client addresses were released for an export")

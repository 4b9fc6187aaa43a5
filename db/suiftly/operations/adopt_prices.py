"""Billing by another price book from now on."""

from dataclasses import dataclass
from typing import LiteralString

from db.audit import Actor
from db.database import Connection
from db.errors import Refused, Stale
from db.operations import Change, Operation, Preview

_SELECT: LiteralString = "SELECT price_book, xmin::text FROM console.billing"


@dataclass(frozen=True, slots=True)
class AdoptPrices(Operation):
    """Says that this database is billed by the price book of this profile; `label` is the book's."""

    action = "adopt-prices"
    topic = "billing"
    writes = ("UPDATE console.billing",)

    label: str
    version: str | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        return ("billing",)

    @property
    def shell(self) -> str:
        return f"opsdeck billing adopt-prices {self.label}"

    async def preview(self, connection: Connection) -> Preview:
        book, version = await self._read(connection, _SELECT)
        return Preview(
            title=f"Bill by the price book {self.label}",
            verb="Adopt",
            changes=(f"price book: {book or 'none yet'} → {self.label}",),
            consequences=(
                "Everything that is not billed yet is billed by it. What was billed stays as it is.",
                "Consoles and timers whose profile has another book cannot bill any more.",
            ),
            version=version,
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        book, version = await self._read(connection, _SELECT + " FOR UPDATE")
        if self.version is not None and version != self.version:
            raise Stale("billing was changed by someone else since it was shown; look at it again")
        await connection.execute("UPDATE console.billing SET price_book = %s", (self.label,))
        return Change(
            before={"billing": {"price_book": book}},
            after={"billing": {"price_book": self.label}},
            message=f"This database is billed by the price book {self.label} now",
        )

    async def _read(self, connection: Connection, query: LiteralString) -> tuple[str | None, str]:
        row = await (await connection.execute(query)).fetchone()
        if row is None:
            raise Refused("console.billing has no row; run `opsdeck migrate`")
        if row[0] == self.label:
            raise Refused(f"this database is billed by the price book {self.label} already")
        return row[0], str(row[1])

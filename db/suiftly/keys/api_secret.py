"""The API secret of this run: what keys are made and checked with. Everything else works without it."""

from dataclasses import dataclass, field
from typing import LiteralString

from db.database import Connection
from db.errors import Refused
from db.suiftly.simulation.population import demo_secret

_SIMULATED: LiteralString = "SELECT seed FROM console.simulation"
NOT_SET = (
    "no API secret is set, and keys are made and read with it; set API_SECRET_KEY or api_secret_file in the profile"
)


@dataclass(frozen=True, slots=True)
class ApiSecret:
    """32 bytes, or one sentence that says why there are none. No repr holds the bytes."""

    value: bytes | None = field(default=None, repr=False)
    why_not: str = NOT_SET

    async def here(self, connection: Connection) -> bytes:
        """The bytes for this database: a simulated business has a secret of its own, and never gets to see a real one.

        Raises Refused with the sentence.
        """
        row = await (await connection.execute(_SIMULATED)).fetchone()
        if row is not None:
            return demo_secret(int(row[0]))
        if self.value is None:
            raise Refused(self.why_not)
        return self.value

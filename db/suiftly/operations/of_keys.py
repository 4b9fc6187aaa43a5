"""What the operations on several keys share: all of them or none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString, TypeVar

from psycopg.rows import class_row

from db.database import Connection
from db.errors import Refused
from db.operations import Operation
from db.suiftly.keys.format import format_fingerprint

_MOST_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class NamedKey:
    """One of the keys that were named, as it is now."""

    fingerprint: int
    customer_id: int
    service_type: str
    is_active: bool
    revoked_at: datetime | None
    revoked_by: str | None
    version: str

    @property
    def label(self) -> str:
        return format_fingerprint(self.fingerprint)

    @property
    def subject(self) -> str:
        return f"key:{self.fingerprint}"


Named = TypeVar("Named", bound=NamedKey)


class OfKeys(Operation):
    """Touches keys and nothing else; subclasses are dataclasses with the field `fingerprints`."""

    topic = "keys"
    reaches_gateways = True

    fingerprints: tuple[int, ...]

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(f"key:{fingerprint}" for fingerprint in self.fingerprints)

    @property
    def words(self) -> str:
        """The keys as a command has them, in one order: what a second person approved is told by its command."""
        return " ".join(map(format_fingerprint, sorted(self.fingerprints)))

    async def named(
        self, connection: Connection, kind: type[Named], query: LiteralString, **more: Any
    ) -> Sequence[Named]:
        """The keys that were named. Raises Refused when there are too many, or one is not there."""
        if not 1 <= len(self.fingerprints) <= _MOST_AT_ONCE:
            raise Refused(f"name between 1 and {_MOST_AT_ONCE} keys")
        cursor = connection.cursor(row_factory=class_row(kind))
        await cursor.execute(query, {"fingerprints": list(self.fingerprints), **more})
        keys = await cursor.fetchall()
        if missing := sorted(set(self.fingerprints) - {key.fingerprint for key in keys}):
            raise Refused(
                f"there is no key with fingerprint {format_fingerprint(missing[0])}; look with `opsdeck keys find`"
            )
        return keys


def version_of(keys: Sequence[NamedKey]) -> str:
    return ",".join(f"{key.fingerprint}:{key.version}" for key in keys)


def labels_of(keys: Sequence[NamedKey]) -> str:
    """Up to five, and how many more."""
    more = len(keys) - 5
    return ", ".join(key.label for key in keys[:5]) + (f" and {more} more" if more > 0 else "")

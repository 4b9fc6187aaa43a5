"""What a gateway knows of who may be served: from a published vault, or from the tables where no vault is published."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from db.suiftly.simulation.cast import SERVICE_CODES, Sender
from db.suiftly.vault.content import Customers
from db.suiftly.vault.errors import VaultError
from db.suiftly.vault.folder import Found
from db.suiftly.vault.place import VaultPlace
from db.suiftly.vault.versions import open_path

SUSPENDED: Final = 30
REVOKED: Final = 31
NOT_IN_MAP: Final = 32

_SERVICES: Final = {code: name for name, code in SERVICE_CODES.items()}


class Standing(NamedTuple):
    """What a gateway's map says of a key: event 0 = served; else the event it is refused with."""

    event: int
    tier: str


class Access(Protocol):
    """A gateway's map."""

    def standing(self, sender: Sender) -> Standing | None:
        """None: it has not heard of the customer, or not of the key."""
        ...


@dataclass(frozen=True, slots=True)
class TableAccess:
    """The tables as they were at one moment, by fingerprint."""

    keys: Mapping[int, Standing]

    def standing(self, sender: Sender) -> Standing | None:
        return self.keys.get(sender.fp)


class VaultAccess:
    """The content of an MA vault, read as README.md tells those who write gateways."""

    def __init__(self, customers: Customers) -> None:
        self._services: dict[tuple[int, int], tuple[str, str, frozenset[int]]] = {
            (int(customer), SERVICE_CODES[name]): (service["status"], service["tier"], frozenset(service["keys"]))
            for customer, entry in customers.items()
            for name, service in _known(entry)
        }
        self._customers = frozenset(map(int, customers))

    def standing(self, sender: Sender) -> Standing | None:
        """A key that is not listed was revoked, as far as a gateway can tell; so is one that is not published yet."""
        service = self._services.get((sender.customer_id, sender.service))
        if service is None:
            return Standing(SUSPENDED, "starter") if sender.customer_id in self._customers else None
        status, tier, keys = service
        if sender.fp not in keys:
            return Standing(REVOKED, tier)
        return Standing(0 if status == "active" else SUSPENDED, tier)


def _known(entry: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, service) for name, service in entry["services"].items() if name in _SERVICES.values()]


@dataclass(frozen=True, slots=True)
class Offer:
    """What lies ready for the gateways: version `seq`, or why there is nothing to take."""

    seq: int
    access: Access | None
    error: str | None = None


NOTHING: Final = Offer(0, None, "no MA vault has been published")


class VaultFeed:
    """The vault directory as all gateways see it. A file is opened once, however many gateways take it."""

    def __init__(self, place: VaultPlace) -> None:
        self._place = place
        self._seen: tuple[Found, int, int] | None = None
        self._offer = NOTHING

    async def look(self) -> Offer:
        """The newest version; the same object until the newest file is another one."""
        return await asyncio.to_thread(self._look)

    def _look(self) -> Offer:
        try:
            found = self._place.folder.found("ma")
            if not found:
                self._seen, self._offer = None, NOTHING
                return self._offer
            newest = found[-1]
            stat = newest.path.stat()
            seen = (newest, stat.st_mtime_ns, stat.st_size)
            if seen != self._seen:
                self._offer = Offer(
                    newest.seq, VaultAccess(open_path(newest.path, self._place.keys()).parsed().customers)
                )
                self._seen = seen
        except (VaultError, OSError) as error:
            # Looked at again next time: a key that was missing may have come.
            self._seen = None
            if self._offer.error != str(error):
                self._offer = Offer(0, None, str(error))
        return self._offer


async def vault_feed(connection: AsyncConnection[TupleRow]) -> VaultFeed | None:
    """Where this invented business publishes its vaults; None when it does not."""
    cursor = await connection.execute("SELECT vault_directory, vault_key_file FROM console.simulation")
    row = await cursor.fetchone()
    if row is None or row[0] is None or row[1] is None:
        return None
    return VaultFeed(VaultPlace(Path(row[0]), Path(row[1])))

"""The published versions on record, and what is in them: lists, differences, proof that a key is no longer inside."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import LiteralString

from psycopg.rows import class_row

from db.database import Connection, Database
from db.suiftly.pricing import PriceBook
from db.suiftly.vault.content import Customers, count_keys, fingerprints, parse_content, read_content
from db.suiftly.vault.diff import VaultDiff, differences
from db.suiftly.vault.errors import Damaged, VaultError
from db.suiftly.vault.file_format import VAULTS, Header, name_parts, open_file
from db.suiftly.vault.folder import read_file
from db.suiftly.vault.keyring import Keyring
from db.suiftly.vault.place import VaultPlace


@dataclass(frozen=True, slots=True)
class VaultVersion:
    """One published version. `hash` are the first 16 digits of `sha256`, as they stand in the file's name."""

    vault: str
    seq: int
    path: str
    hash: str
    sha256: str
    key_id: str
    customers: int
    keys: int
    built_at: datetime  # what was committed then is inside
    published_at: datetime

    @property
    def label(self) -> str:
        """As system_control has it."""
        return f"{self.seq:09d}-{self.hash}"


@dataclass(frozen=True, slots=True)
class Opened:
    """What is in a vault file."""

    path: Path
    header: Header
    customers: Customers = field(repr=False)

    @property
    def keys(self) -> int:
        """API keys of MA, encryption keys of MM."""
        return count_keys(self.customers)


@dataclass(frozen=True, slots=True)
class VaultFile:
    """A vault file that was decrypted and is what its header and name say; what is in it is still JSON."""

    path: Path
    header: Header
    text: bytes = field(repr=False)

    def parsed(self) -> Opened:
        """Blocks: half a second for 100,000 customers. Raises Damaged."""
        try:
            return Opened(self.path, self.header, parse_content(self.text))
        except Damaged as error:
            raise Damaged(f"{self.path} {error}") from None


def open_path(path: Path, keys: Keyring) -> VaultFile:
    """Reads, decrypts and checks a file; blocks. Raises VaultError."""
    data = read_file(path)
    try:
        header, text = open_file(data, keys)
    except VaultError as error:
        raise type(error)(f"{path} {error}") from None
    named = name_parts(path.name)
    if named is not None and named != (header.vault, header.seq, header.sha256[:16]):
        raise VaultError(f"{path} holds version {header.vault}-{header.label}, not what its name says; it was renamed")
    return VaultFile(path, header, text)


_SELECT: LiteralString = """
    SELECT vault, seq, path, left(sha256, 16) AS hash, sha256, key_id, customers, keys, built_at, published_at
    FROM console.vault_version
"""


async def current_version(connection: Connection, vault: str) -> VaultVersion | None:
    """The newest version on record, in the caller's transaction."""
    cursor = connection.cursor(row_factory=class_row(VaultVersion))
    await cursor.execute(_SELECT + " WHERE vault = %s ORDER BY seq DESC LIMIT 1", (vault,))
    return await cursor.fetchone()


class Vaults:
    """Questions about vaults. What looks into a file raises VaultError when it, or its key, is not here."""

    def __init__(self, database: Database, prices: PriceBook, place: VaultPlace | None = None) -> None:
        self._database = database
        self._prices = prices
        self._place = place or VaultPlace()
        self._inside: tuple[str, frozenset[int]] = ("", frozenset())  # of the content looked into last

    async def place(self) -> VaultPlace:
        """Where vaults are published: as configured, but an invented business goes nowhere but to its demo's place."""
        async with self._database.reading() as connection:
            cursor = await connection.execute("SELECT vault_directory, vault_key_file FROM console.simulation")
            row = await cursor.fetchone()
        if row and row[0] and row[1]:
            return VaultPlace(Path(row[0]), Path(row[1]), loss_percent=self._place.loss_percent)
        return self._place

    async def versions(
        self, vault: str | None = None, *, before: VaultVersion | None = None, limit: int = 100
    ) -> tuple[VaultVersion, ...]:
        """The versions on record, newest first, behind `before`."""
        query: LiteralString = _SELECT + " WHERE vault = ANY(%(vaults)s)"
        parameters: dict[str, object] = {"vaults": list(VAULTS) if vault is None else [vault], "limit": limit}
        if before is not None:
            query += " AND (published_at, vault, seq) < (%(at)s, %(vault)s, %(seq)s)"
            parameters |= {"at": before.published_at, "vault": before.vault, "seq": before.seq}
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(VaultVersion))
            await cursor.execute(
                query + " ORDER BY published_at DESC, vault DESC, seq DESC LIMIT %(limit)s", parameters
            )
            return tuple(await cursor.fetchall())

    async def find(self, vault: str, seq: int | None = None) -> VaultVersion | None:
        """One version; without `seq` the newest on record."""
        async with self._database.reading() as connection:
            if seq is None:
                return await current_version(connection, vault)
            cursor = connection.cursor(row_factory=class_row(VaultVersion))
            await cursor.execute(_SELECT + " WHERE vault = %s AND seq = %s", (vault, seq))
            return await cursor.fetchone()

    async def open(self, version: VaultVersion) -> Opened:
        """What is in a version."""
        opened = await self.verify(Path(version.path))
        if opened.header.sha256 != version.sha256:
            raise VaultError(f"{version.path} is not what was published: its content is another one than on record")
        return opened

    async def verify(self, path: Path) -> Opened:
        """Any vault file: opened with the configured keys and checked against its own header and name."""
        keys = (await self.place()).keys()
        return await asyncio.to_thread(lambda: open_path(path, keys).parsed())

    async def diff(self, before: VaultVersion, after: VaultVersion) -> VaultDiff:
        """What two versions of one vault do not share."""
        if before.vault != after.vault:
            raise VaultError("versions of two different vaults have nothing to compare; name two of one vault")
        old, new = await self.open(before), await self.open(after)
        return _diff(before.vault, before.label, old.customers, after.label, new.customers)

    async def planned(self, before: VaultVersion) -> VaultDiff:
        """What would differ from this version if its vault were published now: reads only."""
        old = await self.open(before)
        content = await read_content(self._database, before.vault, self._prices)
        return _diff(before.vault, before.label, old.customers, None, content.customers)

    async def absence(self, fingerprint: int, since: datetime) -> VaultVersion | None:
        """From which version on a key that was revoked at `since` is no longer served; None: the newest still holds it.

        The newest version is opened to see; the first one stands on record.
        """
        current = await self.find("ma")
        if current is None or fingerprint in await self.keys_in(current):
            return None
        return await self.recorded_absence(fingerprint, since) or current

    async def recorded_absence(self, fingerprint: int, since: datetime) -> VaultVersion | None:
        """The first version without a key that was revoked at `since`, as the record has it: no file is opened."""
        async with self._database.reading() as connection:
            # A key that no version ever held was in none that was built after the revocation.
            cursor = await connection.execute(
                """SELECT coalesce(
                       (SELECT min(r.seq)
                        FROM console.vault_removed_key r JOIN console.vault_version v USING (vault, seq)
                        WHERE r.vault = 'ma' AND r.api_key_fp = %(fingerprint)s AND v.published_at >= %(since)s),
                       (SELECT v.seq FROM console.vault_version v
                        WHERE v.vault = 'ma' AND v.published_at >= %(since)s AND v.built_at >= %(since)s
                        ORDER BY v.published_at, v.seq LIMIT 1))""",
                {"fingerprint": fingerprint, "since": since},
            )
            row = await cursor.fetchone()
        return await self.find("ma", row[0]) if row and row[0] is not None else None

    async def keys_in(self, version: VaultVersion) -> frozenset[int]:
        """The API keys in a version. A timeline asks again and again, so they are kept until there is another one."""
        if self._inside[0] != version.sha256:
            self._inside = (version.sha256, frozenset(fingerprints((await self.open(version)).customers)))
        return self._inside[1]


def _diff(vault: str, before: str | None, old: Customers, after: str | None, new: Customers) -> VaultDiff:
    return VaultDiff(vault, before, after, tuple(differences(old, new)))

"""Publishing a vault, in an order that leaves the version before whole wherever it is cut off.

1. Look at what stands: the newest version on record, and files in the directory that are newer still. A run that ended
   before it could put them on record wrote those; whoever carries files to the gateways may have taken them, so they
   are put on record now, and numbers go on behind them.
2. Read the content in one snapshot. The same content, sealed with the current key, is not published again; only the
   current version counts, so that A, B, A are three publications.
3. Refuse what must not go out: a key that was revoked since the snapshot, or, unless somebody has allowed it against
   this very version, too many customers gone, or a version before that cannot be compared with for want of its key.
4. Temporary file, fsync, rename, fsync of the directory; read back, decrypt, compare.
5. One transaction: console.vault_version, system_control, the audit row. It locks system_control and looks whether
   what stands is still what stood in step 1.
"""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString
from uuid import uuid4

from db import audit
from db.audit import Actor, Entry
from db.changes import notify
from db.database import Connection, Database
from db.errors import Stale
from db.moments import rfc3339
from db.suiftly.pricing import PriceBook
from db.suiftly.vault.content import Content, Customers, read_content, refuse_revoked
from db.suiftly.vault.diff import Change, VaultDiff, differences
from db.suiftly.vault.errors import Damaged, RevokedInside, Unreadable, VaultError, VaultWarning, Warned
from db.suiftly.vault.file_format import Header, open_file, seal
from db.suiftly.vault.folder import read_file, remove
from db.suiftly.vault.keyring import Keyring
from db.suiftly.vault.place import VaultPlace
from db.suiftly.vault.versions import Opened, VaultFile, current_version, open_path

_READINGS = 3  # of the content, while keys are revoked meanwhile
_NAMED_KEYS = 100  # in the audit row of a publication
_LEFT_BEHIND = "left behind by a run that ended before this was on record"


@dataclass(frozen=True, slots=True)
class Published:
    """How it ended. `label` is that of the new version; None when there is none. `changes`: those a dry run found."""

    label: str | None
    sentence: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class _Standing:
    """The newest version: its number and customers as recorded, and its file. `file` None: `trouble` says why.

    `warns`: that is not for us to mend. `may_lose`: customers, as somebody has allowed; None: nobody has.
    """

    seq: int
    label: str | None
    customers: int
    file: VaultFile | None
    trouble: str = ""
    warns: bool = False
    may_lose: int | None = None

    async def content(self) -> Customers | None:
        """What is in the file; None without one."""
        return (await asyncio.to_thread(self.file.parsed)).customers if self.file else None


@dataclass(frozen=True, slots=True)
class Publication:
    """One attempt to publish one vault. It raises Warned, VaultError, or the errors of the database."""

    database: Database
    vault: str
    prices: PriceBook
    place: VaultPlace
    actor: Actor
    reason: str

    async def carry_out(self, *, dry_run: bool = False) -> Published:
        """Publishes what changed."""
        folder = self.place.folder
        keys = await asyncio.to_thread(self.place.keys)
        standing = await self._standing(keys)
        if not dry_run:
            await asyncio.to_thread(folder.sweep, self.vault)
            standing = await self._adopt(standing, keys)
        content = await self._content()
        text = await asyncio.to_thread(content.text)
        if _same(standing, text, keys):
            return Published(None, f"nothing changed since version {standing.label}")
        before = await standing.content()
        diff = _difference(standing, before, content.customers, self.vault)
        self._refuse_unless_meant(standing, before, content, diff)
        seq = standing.seq + 1
        told = _told(before, content, diff)
        if dry_run:
            return Published(None, f"would publish version {seq}: {told}", diff.changes)
        header, data = await asyncio.to_thread(seal, keys.current, self.vault, seq, content.built_at, text)
        path = await asyncio.to_thread(folder.write, header.file_name, data)
        await asyncio.to_thread(_read_back, path, header, text, keys)
        await self._record(standing, Opened(path, header, content.customers), diff, self.reason or told)
        trouble = f"; of the version before: {standing.trouble}" if standing.trouble else ""
        return Published(header.label, f"published version {seq}: {told}{trouble}")

    async def _standing(self, keys: Keyring) -> _Standing:
        async with self.database.reading() as connection:
            version = await current_version(connection, self.vault)
            told = await _told_seq(connection, self.vault)
            may_lose = version and await _may_lose(connection, self.vault, version.label)
        if version is None:
            return _Standing(told, None, 0, None)
        file, trouble, warns = None, "", False
        try:
            file = await asyncio.to_thread(open_path, Path(version.path), keys)
            if file.header.sha256 != version.sha256:
                file, trouble = None, f"{version.path} holds other content than is on record"
        except (Unreadable, Damaged) as error:
            trouble = str(error)
        except VaultError as error:
            trouble, warns = str(error), True
        seq = max(version.seq, told)
        return _Standing(seq, version.label, version.customers, file, trouble, warns, may_lose)

    async def _adopt(self, standing: _Standing, keys: Keyring) -> _Standing:
        """Puts on record what lies in the directory and is newer than the record."""
        for found in await asyncio.to_thread(self.place.folder.found, self.vault):
            if found.seq <= standing.seq:
                continue
            try:
                file = await asyncio.to_thread(open_path, found.path, keys)
                opened = await asyncio.to_thread(file.parsed)
            except VaultError as error:
                raise VaultError(
                    f"{error}. It is newer than version {standing.seq} on record, so nothing is published; "
                    "find out who wrote it, and move it away"
                ) from error
            diff = _difference(standing, await standing.content(), opened.customers, self.vault)
            await self._record(standing, opened, diff, _LEFT_BEHIND)
            standing = _Standing(opened.header.seq, opened.header.label, len(opened.customers), file)
        return standing

    async def _content(self) -> Content:
        """Read again when a key in it was revoked meanwhile: who revokes many at once must not wait for a next run."""
        for reading in range(1, _READINGS + 1):
            content = await read_content(self.database, self.vault, self.prices)
            try:
                await refuse_revoked(self.database, content)
            except RevokedInside:
                if reading == _READINGS:
                    raise
            else:
                return content
        raise AssertionError

    def _refuse_unless_meant(
        self, standing: _Standing, before: Customers | None, content: Content, diff: VaultDiff
    ) -> None:
        total, after = standing.customers, content.customers
        # By count alone when the file is of no use.
        lost = max(0, total - len(after)) if before is None else len(before.keys() - after.keys())
        if standing.may_lose is not None and lost <= standing.may_lose:
            return
        if standing.warns:
            sentence = standing.trouble
        elif lost > max(1, total * self.place.loss_percent / 100):
            sentence = f"{lost:,} of {total:,} customers would vanish from the {self.vault} vault, more than "
            sentence += f"{self.place.loss_percent:g} %"
        else:
            return
        told = _told(before, content, diff)
        raise Warned(VaultWarning(self.vault, standing.label, lost, total, sentence, told))

    async def _record(self, standing: _Standing, opened: Opened, diff: VaultDiff, reason: str) -> None:
        operation_id, removed, header = uuid4(), diff.keys(added=False), opened.header
        subject = f"vault:{self.vault}"
        async with self.database.writing() as connection:
            await _lock(connection, self.vault, standing)
            await connection.execute(
                """INSERT INTO console.vault_version
                       (vault, seq, path, sha256, key_id, customers, keys, built_at, operation_id)
                   VALUES (%(vault)s, %(seq)s, %(path)s, %(sha256)s, %(key_id)s, %(customers)s, %(keys)s, %(built_at)s,
                           %(operation_id)s)""",
                {
                    "vault": self.vault,
                    "seq": header.seq,
                    "path": str(opened.path),
                    "sha256": header.sha256,
                    "key_id": header.key_id,
                    "customers": len(opened.customers),
                    "keys": opened.keys,
                    "built_at": header.built_at,
                    "operation_id": operation_id,
                },
            )
            await connection.execute(
                "INSERT INTO console.vault_removed_key (api_key_fp, vault, seq) SELECT unnest(%s::bigint[]), %s, %s",
                (list(removed), self.vault, header.seq),
            )
            await connection.execute(_TELL[self.vault], (header.label,))
            entry = Entry(
                operation_id=operation_id,
                action="publish-vault",
                subjects=(subject, *(f"key:{key}" for key in removed[:_NAMED_KEYS])),
                actor=self.actor,
                reason=reason,
                outcome="done",
                message=f"Published {self.vault} vault {header.label}",
                before={subject: {"version": standing.label}},
                after={
                    subject: {
                        "version": header.label,
                        "path": str(opened.path),
                        "customers": len(opened.customers),
                        "keys": opened.keys,
                        "built_at": rfc3339(header.built_at),
                        "changes": diff.sentence if standing.file else None,
                    }
                },
            )
            await audit.write(connection, entry)
            await notify(connection, "vaults")


_TELL: dict[str, LiteralString] = {
    "ma": "UPDATE system_control SET ma_vault_version = %s, updated_at = now() WHERE id = 1",
    "mm": "UPDATE system_control SET mm_vault_version = %s, updated_at = now() WHERE id = 1",
}


async def _told_seq(connection: Connection, vault: str) -> int:
    """The number that system_control names: another program may have published before opsdeck did."""
    query = "SELECT CASE %s WHEN 'ma' THEN ma_vault_version ELSE mm_vault_version END FROM system_control WHERE id = 1"
    row = await (await connection.execute(query, (vault,))).fetchone()
    found = re.fullmatch(r"([0-9]{9})-[0-9a-f]{16}", (row[0] if row else None) or "")
    return int(found[1]) if found else 0


async def _may_lose(connection: Connection, vault: str, label: str) -> int | None:
    """How many customers a publication after this version may lose; None when nobody has allowed it."""
    query = "SELECT customers FROM console.vault_loss WHERE vault = %s AND version = %s AND expires_at > now()"
    row = await (await connection.execute(query, (vault, label))).fetchone()
    return int(row[0]) if row else None


async def _lock(connection: Connection, vault: str, standing: _Standing) -> None:
    """Keeps others from publishing until this is committed. Raises Stale when someone did since we looked."""
    await connection.execute("SELECT FROM system_control WHERE id = 1 FOR UPDATE")
    current = await current_version(connection, vault)
    if (current and current.label) != standing.label:
        raise Stale(f"the {vault} vault was published by someone else meanwhile; run the job again")


def _same(standing: _Standing, text: bytes, keys: Keyring) -> bool:
    file = standing.file
    return file is not None and file.header.key_id == keys.current.id and file.text == text


def _difference(standing: _Standing, before: Customers | None, after: Customers, vault: str) -> VaultDiff:
    """Against the version before; empty when there is none to compare with."""
    changes = () if before is None else tuple(differences(before, after))
    return VaultDiff(vault, standing.label, None, changes)


def _told(before: Customers | None, content: Content, diff: VaultDiff) -> str:
    if before is None:
        return f"{len(content.customers):,} customers, {content.keys:,} keys"
    return diff.sentence if diff.changes else "the same content under another key"


def _read_back(path: Path, header: Header, text: bytes, keys: Keyring) -> None:
    """What is in the directory opens to what was meant, or is removed. Raises VaultError."""
    try:
        if open_file(read_file(path), keys) == (header, text):
            return
        why = "opens to something else"
    except VaultError as error:
        why = str(error)
    remove(path)
    raise VaultError(f"{path} was removed: read back after writing it {why}; check the disk, the version before stays")

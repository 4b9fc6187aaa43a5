"""Vault files that nobody needs any more."""

import asyncio

from db.database import Database
from db.suiftly.vault.folder import Folder, Found

KEPT = 10
"""So many of the newest files of each vault stay, to compare with and to look into."""


async def old_files(database: Database, folder: Folder, vault: str) -> list[Found]:
    """Those that may go, the oldest first: on record, older than the current version and the newest that are kept, and
    reported by no gateway. A file that is not on record is somebody else's: it stays. Raises VaultError."""
    found = await asyncio.to_thread(folder.found, vault)
    async with database.reading() as connection:
        cursor = await connection.execute(
            """SELECT seq, left(sha256, 16) FROM console.vault_version v
               WHERE vault = %(vault)s AND seq < (SELECT max(seq) FROM console.vault_version WHERE vault = %(vault)s)
                 AND NOT EXISTS (SELECT FROM console.gateway_vault g WHERE g.vault = v.vault AND g.applied_seq = v.seq)
            """,
            {"vault": vault},
        )
        unused = set(await cursor.fetchall())
    return [file for file in found[:-KEPT] if (file.seq, file.hash) in unused]

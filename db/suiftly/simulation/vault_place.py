"""Where an invented business publishes its vaults, noted in its database so that every command finds it there."""

import asyncio
from pathlib import Path

from db.database import Database
from db.errors import Refused
from db.suiftly.vault.keyring import create_key_file


async def settle_vaults(database: Database, folder: Path) -> None:
    """Makes `folder/vault` and a random `folder/vault.key` unless they are there. Raises Refused."""
    directory, key_file = folder / "vault", folder / "vault.key"
    try:
        await asyncio.to_thread(_make, directory, key_file)
    except OSError as error:
        raise Refused(f"{folder} cannot hold a vault: {error.strerror}; choose another --data-dir") from error
    async with database.writing() as connection:
        await connection.execute(
            "UPDATE console.simulation SET vault_directory = %s, vault_key_file = %s", (str(directory), str(key_file))
        )


def _make(directory: Path, key_file: Path) -> None:
    directory.mkdir(exist_ok=True)
    if not key_file.exists():
        create_key_file(key_file, "demo-1")

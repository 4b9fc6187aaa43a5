"""Expired logins: challenges that were never answered, and sessions past their end; and old vault files."""

import asyncio
from datetime import timedelta
from typing import ClassVar

from db.jobs.job import Job, PartlyFailed, Run
from db.suiftly.vault.errors import VaultError
from db.suiftly.vault.file_format import VAULTS
from db.suiftly.vault.old_files import old_files
from db.suiftly.vault.place import VaultPlace

NONCE_AGE = timedelta(minutes=10)  # the longest time to live any login server has used
_BATCH = 10_000  # rows a step deletes, so that no lock is held for long


class CleanUp(Job):
    """Deletes expired auth_nonces and refresh_tokens, and vault files that are neither among the newest nor in use."""

    name: ClassVar[str] = "clean-up"
    title: ClassVar[str] = "Delete expired login challenges, sessions, old vault files"
    number: ClassVar[int] = 17
    every_s: ClassVar[int] = 3600
    lasting: ClassVar[str] = "What has expired is deleted for good."

    def __init__(self, place: VaultPlace | None = None) -> None:
        self._place = place or VaultPlace()

    async def run(self, run: Run) -> str:
        run.begin("rows")
        more = True
        while more:
            async with run.step() as connection:
                nonces = await connection.execute(
                    """DELETE FROM auth_nonces WHERE address IN (
                           SELECT address FROM auth_nonces WHERE created_at < now() - %(age)s LIMIT %(batch)s)""",
                    {"age": NONCE_AGE, "batch": _BATCH},
                )
                tokens = await connection.execute(
                    """DELETE FROM refresh_tokens WHERE id IN (
                           SELECT id FROM refresh_tokens WHERE expires_at < now() LIMIT %(batch)s)""",
                    {"batch": _BATCH},
                )
            deleted = nonces.rowcount + tokens.rowcount
            await run.report("deleting", done=deleted, nonces=nonces.rowcount, tokens=tokens.rowcount)
            # A dry run is rolled back: the next step would find the same rows again.
            more = max(nonces.rowcount, tokens.rowcount) == _BATCH and not run.dry_run
        verb = "would delete" if run.dry_run else "deleted"
        done = f"{verb} {run.counts['nonces']:,} login challenges and {run.counts['tokens']:,} sessions"
        if self._place.directory is None:
            return done
        try:
            await self._old_vaults(run)
        except VaultError as error:
            raise PartlyFailed(f"{done}; {error}") from error
        return f"{done}, {run.counts['vault_files']:,} old vault files"

    async def _old_vaults(self, run: Run) -> None:
        for vault in VAULTS:
            files = await old_files(run.database, self._place.folder, vault)
            for file in files:
                if run.explain is not None:
                    run.explain(f"{'would delete' if run.dry_run else 'deletes'} {file.path}")
                if not run.dry_run:
                    try:
                        await asyncio.to_thread(file.path.unlink, missing_ok=True)
                    except OSError as error:
                        raise VaultError(
                            f"{file.path} cannot be deleted: {error.strerror}; check the rights"
                        ) from error
                await run.report("deleting vault files", done=1, vault_files=1)
            await run.report("deleting vault files", vault_files=0)

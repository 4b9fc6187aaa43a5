"""Expired logins: challenges that were never answered, and sessions past their end."""

from datetime import timedelta
from typing import ClassVar

from db.jobs.job import Job, Run

NONCE_AGE = timedelta(minutes=10)  # the longest time to live any login server has used
_BATCH = 10_000  # rows a step deletes, so that no lock is held for long


class CleanUp(Job):
    """Deletes expired auth_nonces and refresh_tokens."""

    name: ClassVar[str] = "clean-up"
    title: ClassVar[str] = "Delete expired login challenges and sessions"
    number: ClassVar[int] = 17
    every_s: ClassVar[int] = 3600
    lasting: ClassVar[str] = "What has expired is deleted for good."

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
        return f"{verb} {run.counts['nonces']:,} login challenges and {run.counts['tokens']:,} sessions"

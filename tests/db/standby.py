"""A streaming standby of the server the tests run on."""

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict


@dataclass(frozen=True, slots=True)
class Standby:
    """A running standby."""

    primary: str  # DSN of some database there
    socket: Path

    def dsn(self, primary_dsn: str) -> str:
        """The same database, here."""
        return urlsplit(primary_dsn)._replace(query=f"host={quote(str(self.socket), safe='')}").geturl()

    def ask(self, statement: str) -> object:
        """One value, here; what has no value gives None."""
        return _one(self.dsn(self.primary), statement)

    async def caught_up(self) -> None:
        """Waits until all that is committed on the primary by now is visible here."""
        written = _one(self.primary, "SELECT pg_current_wal_flush_lsn()")
        deadline = monotonic() + 20
        while self.ask(f"SELECT pg_last_wal_replay_lsn() >= '{written}'") is not True:
            assert monotonic() < deadline, f"the standby does not catch up: {(self.socket / 'log').read_text()[-2000:]}"
            await asyncio.sleep(0.02)

    def promote(self) -> None:
        """Makes it a primary of its own."""
        assert self.ask("SELECT pg_promote(true, 20)") is True


def server_user(server_dsn: str) -> int | None:
    """Whom to be to share the server's files; None: one is that already. As root the server runs as another user."""
    owner = Path(str(_one(server_dsn, "SHOW data_directory"))).stat().st_uid
    return owner if owner != os.geteuid() else None


def _one(dsn: str, statement: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


@contextmanager
def _kept_wal(server_dsn: str, name: str) -> Generator[str]:
    """A replication slot: each drop of a database is a checkpoint, which removes what a slow standby still needs."""
    slot = re.sub(r"\W", "_", name).lower()
    _one(server_dsn, f"SELECT pg_create_physical_replication_slot('{slot}', true)::text")
    try:
        yield slot
    finally:
        _one(
            server_dsn,
            f"SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = '{slot}'",
        )
        _one(server_dsn, f"SELECT pg_drop_replication_slot('{slot}')::text")


@contextmanager
def standby_of(server_dsn: str) -> Generator[Standby]:
    """Copies the server and follows it; skips the test when that cannot be done from here."""
    host = str(conninfo_to_dict(server_dsn).get("host"))
    if not host.startswith("/"):
        pytest.skip("a standby is made only of a server on this machine")
    programs = Path(str(_one(server_dsn, "SELECT setting FROM pg_config WHERE name = 'BINDIR'")))
    user = server_user(server_dsn)
    folder = Path(tempfile.mkdtemp(prefix="opsdeck-standby-", dir="/tmp"))
    folder.chmod(0o755)
    copy = folder / "pg"

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), *arguments]
        # pg_ctl would keep pipes open in the server it starts, and with them whoever reads these.
        with (folder / "said").open("w") as said:
            done = subprocess.run(
                command, user=user, stdout=said, stderr=said, cwd="/", timeout=60, check=False, text=True
            )
        assert done.returncode == 0, (folder / "said").read_text(encoding="utf-8")

    try:
        if user is not None:
            os.chown(folder, user, -1)
        made_from = ("-h", host, "-U", "postgres", "-D", str(copy), "-R", "-X", "stream", "-c", "fast")
        with _kept_wal(server_dsn, folder.name) as slot:
            run("pg_basebackup", *made_from, "-S", slot)
            listening = f"-h '' -k {folder} -c max_wal_size=256MB"
            run("pg_ctl", "-w", "-D", str(copy), "-l", str(folder / "log"), "-o", listening, "start")
            try:
                yield Standby(server_dsn, folder)
            finally:
                run("pg_ctl", "-w", "-D", str(copy), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)

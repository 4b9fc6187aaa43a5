"""A pgbouncer in transaction mode in front of the server the tests run on."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.db.standby import server_user

CONNECTIONS = 12
"""To the server, for each database."""

_SETTINGS = """
[databases]
* = {server}
[pgbouncer]
listen_port = 6432
unix_socket_dir = {folder}
logfile = {folder}/log
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
server_reset_query = DISCARD ALL
server_check_delay = 0
"""


@contextmanager
def pooler(server_dsn: str) -> Generator[Path]:
    """The folder of its socket; skips the test where pgbouncer is not installed."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not on the PATH")
    known = conninfo_to_dict(server_dsn)
    if not str(known.get("host")).startswith("/"):
        pytest.skip("pgbouncer is put only in front of a server on this machine")
    server = " ".join(f"{name}={known[name]}" for name in ("host", "port", "user", "password") if name in known)
    folder = Path(tempfile.mkdtemp(prefix="opsdeck-pooler-", dir="/tmp"))
    folder.chmod(0o755)
    settings = folder / "pgbouncer.ini"
    settings.write_text(_SETTINGS.format(server=server, folder=folder, connections=CONNECTIONS), encoding="utf-8")
    user = server_user(server_dsn)  # it refuses to run as root, and the server's socket may lie in its folder
    if user is not None:
        os.chown(folder, user, -1)
    process = subprocess.Popen([program, str(settings)], user=user, stderr=subprocess.DEVNULL)
    try:
        deadline = monotonic() + 10
        while not (folder / ".s.PGSQL.6432").exists():
            assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")
            assert monotonic() < deadline, "pgbouncer does not start"
            sleep(0.02)
        yield folder
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def through(folder: Path, dsn: str) -> str:
    """The same database by way of the pooler."""
    return urlsplit(dsn)._replace(query=f"host={quote(str(folder), safe='')}&port=6432").geturl()


def left_behind(dsn: str) -> set[str]:
    """What earlier clients left on the pooler's connections to the server, whoever gets them next."""
    found: set[str] = set()
    clients = [psycopg.connect(dsn, prepare_threshold=None, connect_timeout=5) for _ in range(CONNECTIONS)]
    try:
        for client in clients:  # each begins a transaction, and keeps a server connection for itself with it
            found |= {name for (name,) in client.execute(_LEFT_BEHIND).fetchall()}
        servers = {client.execute("SELECT pg_backend_pid()").fetchone() for client in clients}
        assert len(servers) == CONNECTIONS
    finally:
        for client in clients:
            client.close()
    return found


# pgbouncer itself sets the few that a client may name as it connects.
_LEFT_BEHIND = """
    SELECT name FROM pg_settings
    WHERE source = 'session'
      AND name NOT IN ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings')
    UNION SELECT 'TimeZone' FROM pg_settings WHERE name = 'TimeZone' AND setting <> reset_val
    UNION SELECT 'prepared statement' FROM pg_prepared_statements
    UNION SELECT 'listening' FROM pg_listening_channels()
    UNION SELECT 'temporary table' FROM pg_class WHERE relpersistence = 't' AND pg_table_is_visible(oid)
    UNION SELECT 'lock' FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'
"""

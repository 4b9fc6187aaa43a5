"""One embedded PostgreSQL for the whole run, one fresh migrated database for each test that asks."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from db.database import Database
from db.embedded import embedded_server
from db.migrate import migrate
from tests.databases import all_dropped, copied, name_of
from tests.screen_snapshots import Snapshots


@pytest.fixture(scope="session")
def server_dsn() -> Iterator[str]:
    """URL of the database `suiftly` on a server of this test run: empty, not migrated.

    OPSDECK_TEST_SERVER names another server to run against: a URL of a database of a superuser.
    """
    if told := os.environ.get("OPSDECK_TEST_SERVER"):
        yield told
        all_dropped()
        return
    folder = Path(tempfile.mkdtemp(prefix="opsdeck-test-"))
    folder.chmod(0o755)  # as root the server runs as another user
    try:
        with embedded_server(folder) as dsn:
            _forgo_durability(dsn)
            yield dsn
            all_dropped()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _forgo_durability(dsn: str) -> None:
    """Nothing here outlives the run, and each database that is dropped would wait for the disk."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")  # pyright: ignore
        connection.execute("SELECT pg_reload_conf()")


# Each partition is fourteen files in every copy, and is planned for in every question about the log.
_FAR_HOURS = """
    SELECT relname FROM pg_class WHERE relname ~ '^haproxy_raw_logs_\\d{10}$'
    AND relname > 'haproxy_raw_logs_' || to_char((now() + interval '30 hours') AT TIME ZONE 'UTC', 'YYYYMMDDHH24')
"""


@pytest.fixture(scope="session")
def migrated_template(server_dsn: str) -> Iterator[str]:
    """Name of a migrated database that tests copy instead of migrating again."""

    async def run(dsn: str) -> None:
        database = Database(dsn)
        await database.open()
        await migrate(database)
        await database.close()

    with copied(server_dsn) as dsn:
        asyncio.run(run(dsn))
        with psycopg.connect(dsn, autocommit=True) as connection:
            for (far,) in connection.execute(_FAR_HOURS).fetchall():
                connection.execute(f"DROP TABLE {far}")  # pyright: ignore
            # A slow run outlives what the rollups are allowed: copies begin caught up, however late they are made.
            connection.execute("UPDATE console.capture_state SET baselined_at = now() + interval '1 hour'")
        yield name_of(dsn)


@pytest.fixture
def empty_dsn(server_dsn: str) -> Iterator[str]:
    """DSN of a fresh database without any table."""
    with copied(server_dsn) as dsn:
        yield dsn


@pytest.fixture
def dsn(server_dsn: str, migrated_template: str) -> Iterator[str]:
    """DSN of a fresh migrated database."""
    with copied(server_dsn, migrated_template) as dsn:
        yield dsn


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """An open Database on a fresh migrated database."""
    database = Database(dsn)
    await database.open()
    yield database
    await database.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-snapshots", action="store_true", help="accept the screens as they look now")


@pytest.fixture
def snapshots(request: pytest.FixtureRequest) -> Snapshots:
    """The pictures of screens accepted so far."""
    return Snapshots(update=bool(request.config.getoption("--update-snapshots")))

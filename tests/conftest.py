"""One embedded PostgreSQL for the whole run, one fresh migrated database for each test that asks."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from db.database import Database
from db.embedded import embedded_server
from db.migrate import migrate
from tests.screen_snapshots import Snapshots

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server_dsn() -> Iterator[str]:
    """URL of the database `suiftly` on a server of this test run: empty, not migrated.

    OPSDECK_TEST_SERVER names another server to run against: a URL of a database of a superuser.
    """
    if told := os.environ.get("OPSDECK_TEST_SERVER"):
        yield told
        return
    folder = Path(tempfile.mkdtemp(prefix="opsdeck-test-"))
    folder.chmod(0o755)  # as root the server runs as another user
    try:
        with embedded_server(folder) as dsn:
            yield dsn
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _create(server_dsn: str, template: str) -> str:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE {name} TEMPLATE "{template}"')  # pyright: ignore
    return urlsplit(server_dsn)._replace(path=f"/{name}").geturl()


def _name(dsn: str) -> str:
    return str(conninfo_to_dict(dsn)["dbname"])


def _drop(server_dsn: str, dsn: str) -> None:
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {_name(dsn)} WITH (FORCE)")  # pyright: ignore


@pytest.fixture(scope="session")
def migrated_template(server_dsn: str) -> str:
    """Name of a migrated database that tests copy instead of migrating again."""
    dsn = _create(server_dsn, "template1")

    async def run() -> None:
        database = Database(dsn)
        await database.open()
        await migrate(database)
        await database.close()

    asyncio.run(run())
    return _name(dsn)


@pytest.fixture
def empty_dsn(server_dsn: str) -> Iterator[str]:
    """DSN of a fresh database without any table."""
    dsn = _create(server_dsn, "template1")
    yield dsn
    _drop(server_dsn, dsn)


@pytest.fixture
def dsn(server_dsn: str, migrated_template: str) -> Iterator[str]:
    """DSN of a fresh migrated database."""
    dsn = _create(server_dsn, migrated_template)
    yield dsn
    _drop(server_dsn, dsn)


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

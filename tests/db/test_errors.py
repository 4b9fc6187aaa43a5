"""What the driver says at length becomes one sentence; the texts are those that libpq and PostgreSQL 18 gave."""

import asyncio
import os
from time import monotonic
from urllib.parse import urlsplit

import psycopg
import pytest

from db.database import Database
from db.errors import Denied, NotLetIn, Unavailable, translated
from db.suiftly.customers import Customers

_TCP = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: '
_NOT_LET_IN = (
    (_TCP + 'FATAL:  database "nope" does not exist', 'the database "nope" does not exist on this server'),
    (_TCP + 'FATAL:  role "eve" does not exist', 'the role "eve" does not exist on this server'),
    (
        _TCP + 'FATAL:  password authentication failed for user "eve"',
        "the password is wrong, or the user does not exist",
    ),
    (_TCP + "fe_sendauth: no password supplied", "the server wants a password, and none was given"),
    (_TCP + 'FATAL:  role "eve" is not permitted to log in', 'the role "eve" may not log in'),
)
_GONE = (
    (
        "consuming input failed: server closed the connection unexpectedly\n"
        "\tThis probably means the server terminated abnormally\n\tbefore or while processing the request.",
        "the connection was lost",
    ),
    ("the connection is closed", "the connection was lost"),
    ("terminating connection due to administrator command", "the connection was lost"),
    (
        _TCP + "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
        'nothing listens on "127.0.0.1", port 5432',
    ),
    (
        'connection is bad: connection to server on socket "/tmp/x/.s.PGSQL.5432" failed: No such file or directory\n'
        "\tIs the server running locally and accepting connections on that socket?",
        'nothing listens on "/tmp/x/.s.PGSQL.5432"',
    ),
    ("failed to resolve host 'db.invalid': [Errno -2] Name or service not known", "the host db.invalid is not known"),
    (_TCP + "FATAL:  the database system is in recovery mode", "the server is starting up or shutting down"),
    (_TCP + 'FATAL:  too many connections for role "eve"', "the server has no connection left to give"),
    ("something new\n\tover two lines", "something new"),
)


@pytest.mark.parametrize(("text", "sentence"), [*_NOT_LET_IN, *_GONE])
def test_what_libpq_says_becomes_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(Unavailable) as caught, translated():
        raise psycopg.OperationalError(text)
    assert str(caught.value) == sentence
    assert isinstance(caught.value, NotLetIn) == ((text, sentence) in _NOT_LET_IN)


async def test_a_database_that_is_not_there(dsn: str) -> None:
    missing = Database(urlsplit(dsn)._replace(path="/nope").geturl())
    await missing.open()
    began = monotonic()
    for _ in range(2):
        with pytest.raises(NotLetIn, match='the database "nope" does not exist on this server'):
            await Customers(missing).find(7)
    assert monotonic() - began < missing.limits.connect_s, "it is told at once"
    await missing.close()


async def test_all_who_wait_are_told_and_the_next_one_gets_a_connection_once_there_is_one(server_dsn: str) -> None:
    name = f"later_{os.getpid()}"
    later = Database(urlsplit(server_dsn)._replace(path=f"/{name}").geturl())
    await later.open()
    asked = await asyncio.gather(*(_answer(later) for _ in range(9)), return_exceptions=True)
    assert [type(answer) for answer in asked] == [NotLetIn] * 9
    with psycopg.connect(server_dsn, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")  # pyright: ignore
        assert await asyncio.gather(*(_answer(later) for _ in range(9))) == [1] * 9
        await later.close()
        server.execute(f"DROP DATABASE {name}")  # pyright: ignore


async def _answer(database: Database) -> int:
    async with database.reading() as connection:
        row = await (await connection.execute("SELECT 1")).fetchone()
    assert row is not None
    return int(row[0])


async def _end_own_backend(database: Database, dsn: str) -> None:
    async with database.reading() as connection:
        with psycopg.connect(dsn) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        for _ in range(2):  # the first may hear the server's own words, the second only that nobody is there
            await connection.execute("SELECT 1")


async def test_a_backend_that_was_ended(database: Database, dsn: str) -> None:
    with pytest.raises(Unavailable, match=r"^the connection was lost$"):
        await _end_own_backend(database, dsn)


def test_a_login_without_any_of_our_roles_is_told_which_to_ask_for() -> None:
    with pytest.raises(Denied, match="have opsdeck_reader, opsdeck_operator or opsdeck_admin granted"), translated():
        raise psycopg.errors.InsufficientPrivilege("permission denied for schema console")

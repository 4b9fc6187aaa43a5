"""Hints between consoles: with the commit, never before it, and an end that is noticed."""

import asyncio
from contextlib import suppress

import psycopg
import pytest

from db.changes import listen, notify
from db.database import Database
from db.errors import Unavailable


async def test_a_hint_comes_with_the_commit_and_not_before(database: Database) -> None:
    hints = listen(database)
    assert await anext(hints) is None
    waiting = asyncio.ensure_future(anext(hints))
    async with database.writing() as connection:
        await notify(connection, "keys")
        # A round trip of another session is enough time for a hint that would come too early.
        for _ in range(5):
            async with database.reading() as other:
                await other.execute("SELECT 1")
        assert not waiting.done()
    assert await asyncio.wait_for(waiting, 5) == "keys"
    await hints.aclose()


async def test_what_was_rolled_back_is_not_hinted(database: Database) -> None:
    hints = listen(database)
    assert await anext(hints) is None
    with suppress(RuntimeError):
        async with database.writing() as connection:
            await notify(connection, "undone")
            raise RuntimeError
    async with database.writing() as connection:
        await notify(connection, "done")
    assert await asyncio.wait_for(anext(hints), 5) == "done"
    await hints.aclose()


async def test_every_console_hears_each_topic_in_the_order_of_commits(database: Database) -> None:
    consoles = [listen(database) for _ in range(3)]
    for hints in consoles:
        assert await anext(hints) is None
    for topic in ("keys", "customers", "it's; DROP"):
        async with database.writing() as connection:
            await notify(connection, topic)
    for hints in consoles:
        heard = [await asyncio.wait_for(anext(hints), 5) for _ in range(3)]
        assert heard == ["keys", "customers", "it's; DROP"]
        await hints.aclose()


async def test_a_listener_whose_backend_is_killed_says_unavailable(dsn: str, database: Database) -> None:
    hints = listen(database)
    assert await anext(hints) is None
    with psycopg.connect(dsn, autocommit=True) as other:
        killed = other.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND query LIKE 'LISTEN%'"""
        ).fetchall()
    assert killed == [(True,)]
    with pytest.raises(Unavailable):
        await asyncio.wait_for(anext(hints), 5)


async def test_a_listener_that_stops_leaves_no_connection(dsn: str, database: Database) -> None:
    hints = listen(database)
    assert await anext(hints) is None
    await hints.aclose()
    async with asyncio.timeout(5):
        with psycopg.connect(dsn, autocommit=True) as other:
            while other.execute(  # noqa: ASYNC110 - the other side is a server process
                "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            ).fetchall():
                await asyncio.sleep(0.02)


async def test_without_a_server_listening_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await anext(listen(Database("postgresql://nobody@/none?host=/nowhere")))

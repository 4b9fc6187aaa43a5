"""Rows beyond a mark, case by case, on a small table of our own."""

from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import Connection as SyncConnection

from db.capture import Mark, Span, present, rows_since, span_since
from db.database import Database

Session = SyncConnection[tuple[object, ...]]


@pytest.fixture
async def table(dsn: str, database: Database) -> str:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            """CREATE TABLE event (n int, timestamp timestamptz NOT NULL DEFAULT '2026-01-01 00:00+00',
                                   xid xid8 NOT NULL DEFAULT pg_current_xact_id())"""
        )
        connection.execute("CREATE INDEX ON event (xid)")
        connection.execute("CREATE INDEX ON event (timestamp)")
    return dsn


class Tail:
    """Reads the table the way a reader is meant to: the mark first, in one transaction with the rows."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.mark = Mark(0)

    async def start(self) -> None:
        async with self.database.reading(one_snapshot=True) as connection:
            self.mark = await present(connection, "event")

    async def poll(self) -> list[int]:
        async with self.database.reading(one_snapshot=True) as connection:
            mark = await present(connection, "event")
            cursor = await connection.execute(rows_since("n", "event", "true"), self.mark.parameters())
            rows = sorted(row[0] for row in await cursor.fetchall())
            span = await span_since(connection, "event", self.mark)
        assert (span is not None) == bool(rows)
        self.mark = mark
        return rows


def put(session: Session, *numbers: int) -> None:
    for number in numbers:
        session.execute("INSERT INTO event (n) VALUES (%s)", (number,))


@pytest.fixture
async def tail(table: str, database: Database) -> Tail:
    tail = Tail(database)
    await tail.start()
    return tail


async def test_a_transaction_that_commits_after_later_ones_is_seen_then(table: str, tail: Tail) -> None:
    with psycopg.connect(table) as early, psycopg.connect(table) as late:
        put(early, 1)
        put(late, 2)
        late.commit()
        assert await tail.poll() == [2]
        put(early, 3)
        assert await tail.poll() == []
        early.commit()
        assert await tail.poll() == [1, 3]
        assert await tail.poll() == []


async def test_a_transaction_that_was_open_at_the_start_is_seen_when_it_commits(table: str, database: Database) -> None:
    with psycopg.connect(table) as old:
        put(old, 1)
        tail = Tail(database)
        await tail.start()
        assert await tail.poll() == []
        old.commit()
        assert await tail.poll() == [1]


async def test_what_was_there_before_and_what_was_undone_is_never_seen(table: str, database: Database) -> None:
    with psycopg.connect(table) as session:
        put(session, 1)
        session.commit()
        tail = Tail(database)
        await tail.start()
        put(session, 2)
        session.rollback()
        assert await tail.poll() == []


async def test_a_row_of_a_savepoint_belongs_to_its_whole_transaction(table: str, tail: Tail) -> None:
    with psycopg.connect(table) as session, psycopg.connect(table) as other:
        # More than 64 subtransactions: the server no longer keeps each of them in shared memory.
        for number in range(150):
            session.execute("SAVEPOINT one")
            put(session, number)
            session.execute("ROLLBACK TO one" if number % 3 == 0 else "RELEASE one")
            if number % 30 == 0:
                put(other, 1000 + number)
                other.commit()
                assert await tail.poll() == [1000 + number]
        session.commit()
        assert await tail.poll() == [number for number in range(150) if number % 3]


async def test_a_prepared_transaction_is_seen_when_it_is_committed(table: str, tail: Tail) -> None:
    with psycopg.connect(table, autocommit=True) as session:
        session.execute("BEGIN")
        put(session, 1)
        session.execute("PREPARE TRANSACTION 'half'")
        put(session, 2)
        assert await tail.poll() == [2]
        session.execute("COMMIT PREPARED 'half'")
        assert await tail.poll() == [1]


async def test_one_reading_transaction_neither_sees_nor_skips_what_commits_meanwhile(
    table: str, database: Database, tail: Tail
) -> None:
    async with database.reading(one_snapshot=True) as connection:
        mark = await present(connection, "event")
        with psycopg.connect(table) as session:
            put(session, 1)
        cursor = await connection.execute(rows_since("n", "event", "true"), tail.mark.parameters())
        assert await cursor.fetchall() == []
        assert await span_since(connection, "event", tail.mark) is None
    tail.mark = mark
    assert await tail.poll() == [1]


async def test_a_condition_with_or_narrows_both_branches(table: str, database: Database, tail: Tail) -> None:
    with psycopg.connect(table) as old, psycopg.connect(table) as session:
        put(old, 1, 2, 3)
        await tail.start()  # `old` is in progress: its rows come by the second branch
        put(session, 1, 2, 3)
        session.commit()
        old.commit()
    async with database.reading(one_snapshot=True) as connection:
        query = rows_since("n", "event", "n = 1 OR n = 3")
        found = await (await connection.execute(query, tail.mark.parameters())).fetchall()
    assert sorted(row[0] for row in found) == [1, 1, 3, 3]


async def test_the_span_holds_both_branches_and_leaves_the_session_as_it_was(
    table: str, database: Database, tail: Tail
) -> None:
    with psycopg.connect(table) as old, psycopg.connect(table) as session:
        old.execute("INSERT INTO event VALUES (1, '2025-05-05 05:05+00')")
        await tail.start()
        session.execute("INSERT INTO event VALUES (2, '2026-06-06 06:06+00'), (3, '2025-07-07 07:07+00')")
        session.commit()
        old.commit()
    async with database.reading(one_snapshot=True) as connection:
        span = await span_since(connection, "event", tail.mark)
        settings = await (
            await connection.execute(
                """SELECT current_setting('plan_cache_mode'), current_setting('enable_seqscan'),
                          current_setting('max_parallel_workers_per_gather')"""
            )
        ).fetchone()
    assert span == Span(datetime(2025, 5, 5, 5, 5, tzinfo=UTC), datetime(2026, 6, 6, 6, 6, tzinfo=UTC), 3)
    assert settings == ("auto", "on", "2")

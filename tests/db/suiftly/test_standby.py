"""Reading on a standby: the log exactly, what was just written on the primary, and a replica that fails is told."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from db.audit import Actor
from db.capture import present
from db.database import Database, Limits
from db.errors import Refused, ReplicaUnavailable
from db.replica import replica_state
from db.source import Source
from db.suiftly.health import Check, State, health
from db.suiftly.jobs.clean_up import CleanUp
from db.suiftly.log.requests import Requests
from db.suiftly.operations.revoke_keys import RevokeKeys
from tests.db.seed import CUSTOMER, add_customer, add_key, add_request
from tests.db.standby import Standby, standby_of
from tests.db.suiftly.log_traffic import ALL, Writers, in_table, numbers, read_in_every_way

ANN = Actor("ann", None)
_NOWHERE = "postgresql://nobody@/none?host=/nowhere"
_DIFFERENCE = """SELECT bytes_sent FROM haproxy_raw_logs WHERE xid >= pg_snapshot_xmax(%(since)s::pg_snapshot)
                 OR xid = ANY(ARRAY(SELECT pg_snapshot_xip(%(since)s::pg_snapshot)))"""
_PUT = """INSERT INTO haproxy_raw_logs (timestamp, network, server_id, service_type, api_key_fp, fe_type, traffic_type,
                                        event_type, client_ip, status_code, bytes_sent, time_total)
          VALUES (now(), 1, 1, 1, 0, 2, 1, 0, '203.0.113.9', 200, %s, 1)"""


@pytest.fixture(scope="module")
def standby(server_dsn: str) -> Iterator[Standby]:
    with standby_of(server_dsn) as standby:
        yield standby


@pytest.fixture
async def database(dsn: str, standby: Standby) -> AsyncIterator[Database]:
    """What may lag is read on the standby."""
    await standby.caught_up()
    database = Database(dsn, replica_dsn=standby.dsn(dsn))
    await database.open()
    yield database
    await database.close()


async def _difference(dsn: str, done: asyncio.Event) -> Counter[int]:
    """The tail that is right on a primary: the difference of two snapshots."""
    rows: Counter[int] = Counter()
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        since = "1:1:"
        last = False
        while not last:
            last = done.is_set()
            [(now,)] = await (await connection.execute("SELECT pg_current_snapshot()::text")).fetchall()
            rows.update(row[0] for row in await (await connection.execute(_DIFFERENCE, {"since": since})).fetchall())
            await connection.commit()
            since = now
            await asyncio.sleep(0.02)
    return rows


async def test_every_committed_row_is_delivered_once_where_the_difference_of_snapshots_loses_some(
    dsn: str, standby: Standby, database: Database
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    writers = Writers(dsn, seed, seconds=3.5)
    done = asyncio.Event()

    async def work() -> None:
        await writers.run()
        await standby.caught_up()
        done.set()

    received, difference, _ = await asyncio.gather(
        read_in_every_way(Requests(database), done, random.Random(seed + 1)),
        _difference(standby.dsn(dsn), done),
        work(),
    )
    received.assert_exact(dsn)
    assert in_table(dsn) - difference, "the control lost nothing: it was no storm, or it did not read on the standby"


async def test_rows_in_progress_belong_to_the_future_of_a_cursor_also_on_a_standby(
    dsn: str, standby: Standby, database: Database
) -> None:
    requests = Requests(database)
    with psycopg.connect(dsn) as held, psycopg.connect(dsn, autocommit=True) as other:
        other.execute(_PUT, (1,))
        held.execute(_PUT, (2,))
        other.execute(_PUT, (3,))
        await standby.caught_up()
        assert str(standby.ask("SELECT pg_current_snapshot()")).endswith(":"), "a standby lists nobody"
        begun = await requests.begin(ALL)
        assert numbers(begun.rows) == Counter([1, 3])
        assert begun.cursor.mark.seen
        other.execute(_PUT, (4,))
        held.commit()
        await standby.caught_up()
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert numbers((await requests.before(ALL, later, cursor=begun.cursor)).rows) == Counter([1, 3])
    forward = [row async for rows in requests.forward(begun.cursor, timedelta(minutes=5)) for row in rows]
    assert numbers(forward) == Counter([1, 3])
    news = await requests.since(begun.cursor)
    assert numbers(news.rows) == Counter([2, 4])
    assert (await requests.since(news.cursor)).rows == []


async def test_a_tail_goes_on_when_its_standby_is_promoted(dsn: str, server_dsn: str) -> None:
    """A prepared transaction is what a promotion carries over: begun on the primary, committed on its heir."""
    with standby_of(server_dsn) as standby, psycopg.connect(dsn, autocommit=True) as primary:
        heir_dsn = standby.dsn(dsn)
        primary.execute(_PUT, (0,))  # makes the chunk, for which the second writer would have to wait
        primary.execute("BEGIN")
        primary.execute(_PUT, (1,))
        primary.execute("PREPARE TRANSACTION 'carried over'")
        primary.execute(_PUT, (2,))
        await standby.caught_up()
        database = Database(dsn, replica_dsn=heir_dsn)
        await database.open()
        requests = Requests(database)
        before = (await requests.begin(ALL, recent=0)).cursor
        async with database.reading(one_snapshot=True, may_lag=True) as connection:
            standby.promote()
            across = await present(connection, "haproxy_raw_logs")
        primary.execute("ROLLBACK PREPARED 'carried over'")
        with psycopg.connect(heir_dsn, autocommit=True) as heir, psycopg.connect(heir_dsn) as held:
            heir.execute("COMMIT PREPARED 'carried over'")
            heir.execute(_PUT, (3,))
            held.execute(_PUT, (4,))
            heir.execute(_PUT, (5,))
            for cursor in (before, replace(before, mark=across)):
                news = await requests.since(cursor)
                assert numbers(news.rows) == Counter([1, 3, 5])
                assert news.cursor.mark.open, "the heir lists who is in progress"
            held.commit()
        last = await requests.since(news.cursor)
        assert numbers(last.rows) == Counter([4])
        state = await replica_state(database)
        await database.close()
    assert state is not None
    assert "promoted" in state.trouble


@contextmanager
def stopped(standby: Standby) -> Generator[None]:
    """The standby still receives everything, and shows nothing of it."""
    standby.ask("SELECT pg_wal_replay_pause()")
    try:
        yield
    finally:
        standby.ask("SELECT pg_wal_replay_resume()")


async def test_what_was_just_written_is_read_on_the_primary(dsn: str, standby: Standby) -> None:
    add_customer(dsn, CUSTOMER)
    add_key(dsn, 42, CUSTOMER)
    add_request(dsn, bytes_sent=1)
    await standby.caught_up()
    database = Database(dsn, replica_dsn=standby.dsn(dsn))
    await database.open()
    source = Source(database, ANN)
    with stopped(standby):
        add_request(dsn, bytes_sent=2)
        receipt = await source.perform(RevokeKeys((42,)), "leaked")
        assert receipt.done
        key = await source.keys.find(42)
        assert key is not None
        assert not key.is_active
        assert [row.operation_id for row in (await source.audit.page()).rows] == [receipt.operation_id]
        with pytest.raises(Refused):
            await source.preview(RevokeKeys((42,)))
        run = await source.run_job(CleanUp())
        assert run.outcome == "succeeded"
        assert await source.jobs.page() == (run,)
        assert numbers(await source.requests.latest(ALL, limit=9)) == Counter([1])
        assert (await source.keys.traffic(key)).requests == 1
    await standby.caught_up()
    assert numbers(await source.requests.latest(ALL, limit=9)) == Counter([1, 2])
    await database.close()


async def _look(database: Database) -> Check:
    [found] = [check for check in await health(database) if check.name == "replica"]
    return found


async def test_the_doctor_says_where_the_log_is_read_and_how_far_behind_that_is(
    dsn: str, standby: Standby, database: Database
) -> None:
    good = await _look(database)
    assert good.state is State.GOOD
    assert good.sentence.startswith(f"the log is read on {database.replica}, a standby: ")
    await standby.caught_up()
    with stopped(standby):
        add_request(dsn)
        behind = await _look(database)
        assert re.search(r"a standby: \d+ kB, at most \d+\.\d s behind$", behind.sentence)
    state = await replica_state(database)
    assert state is not None
    assert replace(state, behind_bytes=0, behind_s=3600.0).delay == "up to date"
    assert not replace(state, behind_bytes=0, behind_s=3600.0).late
    assert replace(state, behind_bytes=4096, behind_s=10.1).late


async def test_a_replica_that_is_none_is_bad(dsn: str) -> None:
    """The primary itself, a server that is not there."""
    for replica, sentence in ((dsn, "is no standby"), (_NOWHERE, "cannot be used: ")):
        database = Database(dsn, replica_dsn=replica, limits=Limits(connect_s=0.5))
        await database.open()
        check = await _look(database)
        await database.close()
        assert check.state is State.BAD
        assert sentence in check.sentence


async def test_a_replica_that_is_gone_is_told_and_nothing_else_is_read_instead(dsn: str) -> None:
    add_customer(dsn, CUSTOMER)
    add_key(dsn, 42, CUSTOMER)
    database = Database(dsn, replica_dsn=_NOWHERE, limits=Limits(connect_s=0.5))
    await database.open()
    source = Source(database, ANN)
    for reading in (source.requests.latest(ALL, limit=1), source.traffic.overview(), source.traffic.still_served()):
        with pytest.raises(ReplicaUnavailable, match="/nowhere"):
            await reading
    assert (await source.perform(RevokeKeys((42,)), "leaked")).done
    assert (await source.control.read()).can_write
    await database.close()

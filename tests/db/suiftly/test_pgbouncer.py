"""Everything through pgbouncer in transaction mode, where no session is one's own."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from db.audit import Actor
from db.changes import listen
from db.database import Database, Limits
from db.errors import Unavailable
from db.jobs.job import Job
from db.migrate import ADVISORY_CLASS, migrate, schema_state
from db.source import JOBS, Source
from db.suiftly.jobs.aggregate_usage import AggregateUsage
from db.suiftly.jobs.log_consumer import take_step
from db.suiftly.log.requests import Requests
from db.suiftly.operations.revoke_keys import RevokeKeys
from tests.db.pooler import left_behind, pooler, through
from tests.db.seed import CUSTOMER, OTHER_CUSTOMER, add_customer, add_key, add_request
from tests.db.suiftly.jobs.publishing import press
from tests.db.suiftly.log_traffic import ALL, Writers, in_table, numbers, read_in_every_way

ANN = Actor("ann", None)


@pytest.fixture(scope="module")
def folder(server_dsn: str) -> Iterator[Path]:
    with pooler(server_dsn) as folder:
        yield folder


@pytest.fixture
def pooled(folder: Path, dsn: str) -> str:
    add_customer(dsn, CUSTOMER)
    add_key(dsn, 42, CUSTOMER)
    return through(folder, dsn)


@pytest.fixture
async def database(pooled: str) -> AsyncIterator[Database]:
    database = Database(pooled, pgbouncer=True)
    await database.open()
    yield database
    await database.close()


async def test_every_committed_row_is_delivered_once_and_counted_once(
    dsn: str, pooled: str, database: Database
) -> None:
    """Five readers and two aggregators that wait for each other, on shared connections."""
    for customer in (1, OTHER_CUSTOMER):
        add_customer(dsn, customer)
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    writers = Writers(dsn, seed, seconds=3.5)

    async def aggregate() -> int:
        steps, last = 0, False
        while not last:
            last = writers.done.is_set()
            async with database.writing() as connection:
                await take_step(connection, AggregateUsage())
            steps += 1
        return steps

    received, one, two, _ = await asyncio.gather(
        read_in_every_way(Requests(database), writers.done, random.Random(seed + 1)),
        aggregate(), aggregate(), writers.run(),
    )  # fmt: skip
    received.assert_exact(dsn)
    assert min(one, two) > 5
    source = Source(database, ANN)
    mark = await source.reconciliation.watermark()
    assert await source.reconciliation.uncounted_rows() == 0
    end = mark.now + timedelta(hours=1)
    checked = [hour async for hour in source.reconciliation.hours(end - timedelta(hours=50), end, rule=mark.rule)]
    assert sum(hour.unbilled_requests for hour in checked) > 0
    assert [difference for hour in checked for difference in hour.differences] == []
    assert left_behind(pooled) == set()


async def test_the_tail_an_operation_and_its_record(dsn: str, pooled: str, database: Database) -> None:
    source = Source(database, ANN)
    add_request(dsn, bytes_sent=1)
    begun = await source.requests.begin(ALL)
    assert numbers(begun.rows) == Counter([1])
    for number in range(2, 12):  # often enough for what would be prepared
        add_request(dsn, bytes_sent=number)
        news = await source.requests.since(begun.cursor)
        assert numbers(news.rows) == Counter([number])
        begun = news
    forward = [row async for rows in source.requests.forward(begun.cursor, timedelta(minutes=5)) for row in rows]
    assert numbers(forward) == in_table(dsn)
    await source.preview(RevokeKeys((42,)))
    receipt = await source.perform(RevokeKeys((42,)), "leaked")
    assert receipt.done
    key = await source.keys.find(42)
    assert key is not None
    assert not key.is_active
    assert (await source.traffic.overview()).requests == 11
    assert {check.state.value for check in await source.health()} <= {"good", "warn"}
    assert left_behind(pooled) == set()


# sync-chain needs a node beside the pooler; its own tests let two of it run at once.
@pytest.mark.parametrize("job", [job for job in JOBS if job.name != "sync-chain"], ids=lambda job: job.name)
async def test_a_job_is_run_by_one_at_a_time(pooled: str, database: Database, job: Job, tmp_path: Path) -> None:
    source = Source(database, ANN, vault=press(pooled, database, tmp_path).place)
    async with database.writing() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (ADVISORY_CLASS, job.number))
        assert (await source.run_job(job)).outcome == "skipped"
    assert (await source.run_job(job)).outcome == "succeeded"
    assert (await source.run_job(job, dry_run=True)).outcome == "succeeded"
    assert left_behind(pooled) == set()


async def test_an_empty_database_is_migrated(empty_dsn: str, folder: Path) -> None:
    database = Database(through(folder, empty_dsn), pgbouncer=True)
    await database.open()
    assert await migrate(database)
    assert (await schema_state(database)).current
    await database.close()
    assert left_behind(through(folder, empty_dsn)) == set()


async def test_listening_leaves_nothing_behind_and_notices_a_server_that_is_gone(pooled: str, dsn: str) -> None:
    database = Database(pooled, pgbouncer=True, limits=Limits(connect_s=0.5))
    hints = listen(database)
    assert await anext(hints) is None
    assert left_behind(pooled) == set()
    name = dsn.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(dsn.replace(name, "postgres"), autocommit=True) as server:
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        with pytest.raises(Unavailable):
            await asyncio.wait_for(anext(hints), 10)
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


async def test_the_look_at_what_is_left_behind_can_tell(pooled: str) -> None:
    """What opsdeck would do without `pgbouncer = true`, and what a session SET does."""
    database = Database(pooled)
    await database.open()
    cursor = (await Requests(database).begin(ALL)).cursor
    await Requests(database).since(cursor)
    await database.close()
    with psycopg.connect(pooled, autocommit=True) as connection:
        connection.execute("SET statement_timeout = '50s'")
    assert left_behind(pooled) == {"prepared statement", "statement_timeout"}

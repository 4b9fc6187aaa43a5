"""The request log: every committed row once, pages that meet, filters that mean one thing, queries with a bound."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from db.capture import span_since
from db.database import Database
from db.suiftly.keys.keys import Keys
from db.suiftly.log.codes import TrafficClass
from db.suiftly.log.filter import NAMES, RequestFilter
from db.suiftly.log.requests import Requests
from db.suiftly.log.row import RequestRow
from db.suiftly.overview import Traffic
from tests.db.seed import CUSTOMER, add_customer, add_key, add_request
from tests.db.suiftly.log_traffic import ALL, EVER, Writers, a_row, in_table, insert, numbers, read_in_every_way, write


async def test_every_committed_row_is_delivered_once_whatever_the_writers_do(dsn: str, database: Database) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    writers = Writers(dsn, seed, seconds=3.5)
    received, _ = await asyncio.gather(
        read_in_every_way(Requests(database), writers.done, random.Random(seed + 1)), writers.run()
    )
    received.assert_exact(dsn)


async def test_pages_back_meet_exactly_also_within_one_instant(dsn: str, database: Database) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    randomness = random.Random(seed)
    now = datetime.now(UTC)
    # Forty instants between now and thirty hours ago for 900 rows, and one instant that holds 300 more.
    instants = [now - timedelta(seconds=30 * 3600 * randomness.random() ** 4) for _ in range(40)]
    rows = [a_row(randomness, n, randomness.choice(instants)) for n in range(900)]
    rows += [a_row(randomness, 1000 + n, instants[0]) for n in range(300)]
    write(dsn, rows)
    for wanted, limit in ((ALL, 1), (ALL, 7), (ALL, 250), (ALL, 5000), (RequestFilter(event=(31,)), 20)):
        found, moment = await _pages_back(Requests(database), wanted, now + timedelta(minutes=1), limit)
        assert numbers(found) == Counter(row.bytes_sent for row in found if wanted.matches(row))
        expected = in_table(dsn, "event_type = 31" if wanted.event else "true")
        assert numbers(found) == expected
        assert [row.timestamp for row in found] == sorted((row.timestamp for row in found), reverse=True)
        assert moment <= now - timedelta(hours=47)


async def _pages_back(
    requests: Requests, wanted: RequestFilter, moment: datetime, limit: int
) -> tuple[list[RequestRow], datetime]:
    found: list[RequestRow] = []
    while True:
        history = await requests.before(wanted, moment, limit=limit)
        found += history.rows
        if history.complete:
            return found, history.reached
        assert len(history.rows) >= limit
        assert history.reached < moment
        moment = history.reached


async def test_pages_of_a_cursor_leave_out_what_a_tail_delivers(dsn: str, database: Database) -> None:
    requests = Requests(database)
    now = datetime.now(UTC)
    randomness = random.Random(1)
    write(dsn, [a_row(randomness, 1, now - timedelta(minutes=2))])
    begun = await requests.begin(ALL)
    write(dsn, [a_row(randomness, 2, now - timedelta(minutes=3))])
    back = await requests.before(ALL, now, cursor=begun.cursor)
    assert numbers(back.rows) == Counter([1])
    assert numbers((await requests.since(begun.cursor)).rows) == Counter([2])
    assert numbers((await requests.before(ALL, now)).rows) == Counter([1, 2])


async def test_a_cursor_can_be_asked_again_after_a_lost_answer(dsn: str, database: Database) -> None:
    requests = Requests(database)
    cursor = (await requests.begin(ALL)).cursor
    write(dsn, [a_row(random.Random(1), n, datetime.now(UTC)) for n in range(5)])
    once, again = await requests.since(cursor), await requests.since(cursor)
    assert numbers(once.rows) == numbers(again.rows) == Counter(range(5))
    assert (await requests.since(once.cursor)).rows == []


async def test_what_piled_up_comes_in_steps_each_row_once_also_of_a_transaction_that_commits_late(
    dsn: str, database: Database
) -> None:
    requests, randomness, now = Requests(database), random.Random(1), datetime.now(UTC)
    with psycopg.connect(dsn) as late:
        for transaction in range(30):
            if transaction == 7:
                insert(late, [a_row(randomness, 1000, now)])
            if transaction == 3:
                cursor = (await requests.begin(ALL)).cursor
            write(dsn, [a_row(randomness, 10 * transaction + n, now) for n in range(10)])
        found: Counter[int] = Counter()
        sizes: list[int] = []
        more = True
        while more:
            batch = await requests.since(cursor, step=45)
            found += numbers(batch.rows)
            sizes.append(batch.committed)
            cursor, more = batch.cursor, batch.more
            if len(sizes) == 4:
                late.commit()
        assert found == Counter([*range(30, 300), 1000])
        assert len(sizes) == 6
        assert max(sizes) <= 61
    nothing = await requests.since(cursor, step=45)
    assert (nothing.rows, nothing.more) == ([], False)


async def test_latest_are_the_newest_oldest_first(dsn: str, database: Database) -> None:
    now = datetime.now(UTC)
    write(dsn, [a_row(random.Random(1), n, now - timedelta(minutes=n)) for n in range(60)])
    requests = Requests(database)
    assert [row.bytes_sent for row in await requests.latest(ALL, limit=3)] == [2, 1, 0]
    within = await requests.latest(ALL, within=timedelta(minutes=9.5), limit=100)
    assert [row.bytes_sent for row in within] == list(range(9, -1, -1))


async def test_rows_outside_every_partition_of_their_hour_are_found(dsn: str, database: Database) -> None:
    """The first migration makes partitions from an hour ago on: older rows land in the DEFAULT."""
    requests = Requests(database)
    cursor = (await requests.begin(ALL)).cursor
    late = datetime.now(UTC) - timedelta(hours=30)
    write(dsn, [a_row(random.Random(1), 77, late)])
    with psycopg.connect(dsn) as connection:
        where = connection.execute("SELECT tableoid::regclass::text FROM haproxy_raw_logs").fetchall()
        hypertable = connection.execute("SELECT console.log_is_hypertable()").fetchall()[0][0]
    assert hypertable or where == [("haproxy_raw_logs_default",)]
    assert numbers((await requests.since(cursor)).rows) == Counter([77])
    assert numbers((await requests.before(ALL, datetime.now(UTC))).rows) == Counter([77])
    forward = [
        row async for rows in requests.forward((await requests.begin(ALL)).cursor, timedelta(days=2)) for row in rows
    ]
    assert numbers(forward) == Counter([77])


async def test_a_gateway_whose_clock_is_ahead_is_followed_too(dsn: str, database: Database) -> None:
    requests = Requests(database)
    ahead = datetime.now(UTC) + timedelta(minutes=4)
    write(dsn, [a_row(random.Random(1), 1, ahead)])
    begun = await requests.begin(ALL)
    assert numbers(begun.rows) == Counter([1])
    assert begun.rows[0].timestamp == ahead
    far = datetime.now(UTC) + timedelta(hours=2)
    write(dsn, [a_row(random.Random(1), 2, far)])
    assert numbers((await requests.since(begun.cursor)).rows) == Counter([2])


def _some(randomness: random.Random, values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(randomness.sample(values, randomness.randint(1, 2)))


def a_filter(randomness: random.Random) -> RequestFilter:
    choices: dict[str, Callable[[], Any]] = {
        "customer": lambda: _some(randomness, (0, 1, CUSTOMER, 5)),
        "key": lambda: _some(randomness, (0, 42, 2**32 - 1)),
        "status": lambda: _some(randomness, ((200, 299), (400, 499), (500, 504), (-1, -1), (403, 403))),
        "traffic_class": lambda: _some(randomness, tuple(TrafficClass)),
        "event": lambda: _some(randomness, (0, 31, 51, 98)),
        "service": lambda: _some(randomness, (1, 2, 4)),
        "network": lambda: _some(randomness, (0, 1, 3)),
        "server": lambda: _some(randomness, (128, 255, 0x13, 127)),
        "ip": lambda: randomness.choice(("203.0.113.9", "203.0.112.0/20", "2001:db8::/32", "2001:db8::/48")),
        "path": lambda: randomness.choice(("v1", "v1/service", "v1/services/all", "sui", "v1/fetch_key", "%")),
        "slower_than": lambda: randomness.choice((0, 499, 500)),
    }  # fmt: skip
    fields = randomness.sample(list(choices), randomness.randint(1, 3))
    words = {"traffic_class": "class"}
    negatable = [words.get(name, name) for name in fields if name != "slower_than"]
    negated = frozenset(name for name in negatable if randomness.random() < 0.4)
    return RequestFilter(**{name: choices[name]() for name in fields}, negated=negated)


async def test_a_filter_means_the_same_in_sql_and_in_memory(dsn: str, database: Database) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    randomness = random.Random(seed)
    now = datetime.now(UTC)
    write(dsn, [a_row(randomness, n, now - timedelta(seconds=n / 100)) for n in range(1500)])
    requests = Requests(database)
    rows = (await requests.begin(ALL, recent=EVER)).rows
    assert len(rows) == 1500
    hits: Counter[bool] = Counter()
    asked: set[str] = set()
    for _ in range(250):
        wanted = a_filter(randomness)
        asked |= {chip.lstrip("!").split(":")[0] for chip in wanted.chips()}
        expected = [row.bytes_sent for row in rows if wanted.matches(row)]
        found = await requests.latest(wanted, within=timedelta(minutes=5), limit=EVER)
        assert [row.bytes_sent for row in found] == expected, wanted.chips()
        hits[bool(expected)] += 1
    assert asked == set(NAMES)
    assert hits[True] > 100


def scans(plan: dict[str, Any]) -> list[tuple[str, str]]:
    """(relation or index, kind of node) of every scan in a plan."""
    found = [
        (str(plan.get("Index Name") or plan.get("Relation Name")), str(plan["Node Type"]))
        for _ in range(1)
        if "Index Name" in plan or "Relation Name" in plan
    ]
    for child in plan.get("Plans", []):
        found += scans(child)
    return found


class Questions:
    """Keeps what the readers really send, to ask the planner about it."""

    def __init__(self, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dsn = dsn
        self.sent: list[tuple[Any, Any]] = []
        execute = psycopg.AsyncCursor.execute

        async def noting(cursor: Any, query: Any, params: Any = None, **options: Any) -> Any:
            if "haproxy_raw_logs" in str(query):
                self.sent.append((query, params))
            return await execute(cursor, query, params, **options)

        monkeypatch.setattr(psycopg.AsyncCursor, "execute", noting)

    def plans(self) -> list[list[tuple[str, str]]]:
        """Of the questions since the last call: the scans of the log that would run."""
        with psycopg.connect(self.dsn) as connection:
            found = [
                connection.execute(b"EXPLAIN (FORMAT JSON) " + _bytes(query), params).fetchall()[0][0]
                for query, params in self.sent
            ]
        self.sent.clear()
        parsed = [plan if isinstance(plan, list) else json.loads(plan) for plan in found]
        return [
            [scan for scan in scans(plan[0]["Plan"]) if "haproxy_raw_logs" in scan[0] or "_hyper_" in scan[0]]
            for plan in parsed
        ]


def _bytes(query: str) -> bytes:
    return query.encode()


@pytest.fixture
def busy(dsn: str) -> str:
    """Thirty hours of log with a partition for each, 300 customers, three keys that were revoked."""
    add_customer(dsn, CUSTOMER)
    for fingerprint in (42, 43, 44):
        add_key(dsn, fingerprint, CUSTOMER)
    now = datetime.now(UTC)
    randomness = random.Random(5)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT console.ensure_log_partitions(now() - interval '31 hours', now())")
    rows: list[tuple[object, ...]] = []
    for n in range(24_000):
        row = list(a_row(randomness, n, now - timedelta(seconds=30 * 3600 * randomness.random() ** 3)))
        row[1], row[6] = randomness.randrange(1000, 1300), 5
        rows.append(tuple(row))
    write(dsn, rows)
    for seconds in range(5, 200, 5):
        add_request(dsn, timestamp=now - timedelta(seconds=seconds))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE api_keys SET is_active = false, revoked_at = now() - interval '10 minutes' WHERE api_key_fp <> 44"
        )
        connection.execute("VACUUM ANALYZE haproxy_raw_logs")
        connection.execute("ANALYZE api_keys")
        connection.execute("ANALYZE customers")
    return dsn


async def test_every_question_has_a_bound_that_prunes_partitions(
    busy: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests, questions = Requests(database), Questions(busy, monkeypatch)
    now = datetime.now(UTC)
    begun = await requests.begin(ALL, recent=50)
    asked = questions.plans()
    assert asked
    for plan in asked:
        assert len(_partitions(plan)) <= 2, plan
    await requests.before(ALL, now - timedelta(hours=3), limit=20)
    for plan in questions.plans():
        # A window of an hour at most, so two partitions, and never the DEFAULT.
        assert len(_partitions(plan)) <= 2, plan
        assert "haproxy_raw_logs_default" not in _partitions(plan)
    async for _ in requests.forward(begun.cursor, timedelta(minutes=20)):
        pass
    for plan in questions.plans():
        assert len(_partitions(plan)) <= 2, plan
    await Traffic(database).overview()
    asked = questions.plans()
    assert len(asked) >= 4
    for plan in asked:
        assert len(_partitions(plan)) <= 2, plan


def _partitions(plan: list[tuple[str, str]]) -> set[str]:
    # A bitmap scan names its index and its table; indexes are named after their table.
    return {name for name, kind in plan if "Bitmap Index" not in kind} - {"haproxy_raw_logs"}


async def test_a_poll_without_news_reads_no_row_and_one_with_news_only_their_partition(
    busy: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = Requests(database)
    cursor = (await requests.begin(ALL)).cursor
    questions = Questions(busy, monkeypatch)
    assert (await requests.since(cursor)).rows == []
    assert len(questions.sent) == 1  # only whether there is any
    questions.sent.clear()
    add_request(busy, bytes_sent=7)
    assert numbers((await requests.since(cursor)).rows) == Counter([7])
    assert len(_partitions(questions.plans()[1])) <= 1


async def test_a_poll_reads_no_table_from_end_to_end_also_where_it_was_empty_when_planned(
    dsn: str, database: Database
) -> None:
    """The plan is made once for each connection, so it must not depend on what the log held then."""

    async def poll() -> object:
        async with database.reading(one_snapshot=True) as connection:
            await connection.execute("SELECT pg_stat_force_next_flush()")
            return await span_since(connection, "haproxy_raw_logs", mark)

    mark = (await Requests(database).begin(ALL)).cursor.mark
    assert await poll() is None
    now = datetime.now(UTC)
    write(dsn, [a_row(random.Random(3), n, now - timedelta(milliseconds=n)) for n in range(3000)])
    mark = (await Requests(database).begin(ALL, recent=1)).cursor.mark
    with psycopg.connect(dsn) as connection:
        before = _sequential(connection)
    for _ in range(8):
        assert await poll() is None
    with psycopg.connect(dsn) as connection:
        assert _sequential(connection) == before


def _sequential(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        """SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables
           WHERE relname ~ '^(haproxy_raw_logs|_hyper_)'"""
    ).fetchone()
    assert row is not None
    return int(row[0])


async def test_questions_about_one_key_go_by_the_index_of_its_customer(
    busy: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await Keys(database).find(42)
    assert key is not None
    questions = Questions(busy, monkeypatch)
    assert (await Keys(database).traffic(key)).requests > 30
    (plan,) = questions.plans()
    assert plan
    assert all("customer" in name for name, kind in plan if "Index" in kind), plan
    next_hour = f"{datetime.now(UTC) + timedelta(hours=1):%Y%m%d%H}"  # empty, and read as such near the end of an hour
    assert not any("Seq" in kind for name, kind in plan if not name.endswith(next_hour)), plan
    assert await Traffic(database).still_served() == 1
    (plan,) = questions.plans()
    assert any("customer" in name for name, _ in plan), plan
    assert not any("Seq" in kind for name, kind in plan if not name.endswith(next_hour)), plan

"""A span of the log, page by page: every row of it once, none beside it, whatever is written meanwhile."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import psycopg

from db.database import Database, Limits
from db.errors import TimedOut
from db.suiftly.log.filter import RequestFilter
from db.suiftly.log.requests import Requests
from db.suiftly.log.windows import Forward
from tests.db.suiftly.log_traffic import ALL, a_row, in_table, numbers, write


async def pages(requests: Requests, wanted: RequestFilter, start: datetime, end: datetime) -> list[Forward]:
    cursor = (await requests.begin(wanted, recent=0)).cursor
    return [page async for page in requests.within(cursor, start, end)]


async def test_pages_meet_exactly_and_the_end_is_exclusive(dsn: str, database: Database) -> None:
    randomness = random.Random(7)
    now = datetime.now(UTC).replace(microsecond=0)
    start, end = now - timedelta(hours=3), now - timedelta(minutes=1)
    crowd = now - timedelta(minutes=90)  # more rows within ten instants than a page holds, twice over
    rows = [a_row(randomness, n, crowd + timedelta(milliseconds=n % 10)) for n in range(23_000)]
    rows += [a_row(randomness, 50_000 + n, start + timedelta(minutes=n)) for n in range(120)]
    rows += [a_row(randomness, 90_000, end), a_row(randomness, 90_001, start - timedelta(microseconds=1))]
    write(dsn, rows)
    found = await pages(Requests(database), ALL, start, end)
    every = [row for page in found for row in page.rows]
    assert numbers(every) == in_table(dsn, "bytes_sent < 90000")
    assert [row.timestamp for row in every] == sorted(row.timestamp for row in every)
    assert max(len(page.rows) for page in found) < 15_000
    assert [page.reached for page in found] == sorted({page.reached for page in found})
    assert [page.complete for page in found] == [False] * (len(found) - 1) + [True]
    assert found[-1].reached == end


async def test_rows_of_the_filter_that_were_there_when_it_began(dsn: str, database: Database) -> None:
    randomness, now = random.Random(8), datetime.now(UTC)
    write(dsn, [a_row(randomness, n, now - timedelta(minutes=n)) for n in range(60)])
    requests = Requests(database)
    wanted = RequestFilter(event=(31,))
    cursor = (await requests.begin(wanted, recent=0)).cursor
    expected = in_table(dsn, "event_type = 31")
    write(dsn, [a_row(randomness, 1000 + n, now - timedelta(minutes=n)) for n in range(60)])
    found = [page async for page in requests.within(cursor, now - timedelta(hours=2), now + timedelta(minutes=1))]
    assert numbers([row for page in found for row in page.rows]) == expected
    assert expected


async def test_a_window_that_takes_too_long_is_tried_narrower_and_one_that_cannot_be_narrower_is_told(dsn: str) -> None:
    randomness, now = random.Random(9), datetime.now(UTC)
    write(dsn, [a_row(randomness, n, now - timedelta(minutes=n, seconds=1)) for n in range(300)])
    with psycopg.connect(dsn) as connection:  # now every row takes a hundredth of a second
        connection.execute("ALTER TABLE haproxy_raw_logs RENAME TO the_log")
        connection.execute(
            "CREATE VIEW haproxy_raw_logs AS SELECT * FROM the_log WHERE pg_sleep(0.01)::text IS NOT NULL"
        )
    for patience_s, whole in ((0.3, True), (0.005, False)):
        database = Database(dsn, limits=Limits(statement_s=patience_s))
        await database.open()
        try:
            found = await pages(Requests(database), ALL, now - timedelta(hours=5, minutes=1), now)
            assert numbers([row for page in found for row in page.rows]) == Counter(range(300))
            assert whole
        except TimedOut:
            assert not whole
        finally:
            await database.close()

"""Looking around in the log: forward pages, the next hit, how many hits, and a tail that samples honestly."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from db.database import Database
from db.suiftly.log.breakdown import Breakdown, GroupBy
from db.suiftly.log.filter import RequestFilter, parse
from db.suiftly.log.requests import Hits, Requests
from db.suiftly.log.row import RequestRow
from tests.db.seed import CUSTOMER, add_request
from tests.db.suiftly.log_traffic import ALL, a_row, in_table, numbers, write


async def test_pages_forward_meet_exactly_also_within_one_instant(dsn: str, database: Database) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    now = datetime.now(UTC)
    instants = [now - timedelta(seconds=20 * 3600 * chance.random() ** 4) for _ in range(30)]
    write(dsn, [a_row(chance, n, chance.choice(instants)) for n in range(700)])
    for limit in (1, 9, 5000):
        found: list[RequestRow] = []
        moment, complete = now - timedelta(hours=30), False
        while not complete:
            page = await Requests(database).after(ALL, moment, limit=limit)
            found += page.rows
            moment, complete = page.reached, page.complete
        assert numbers(found) == in_table(dsn)
        assert [row.timestamp for row in found] == sorted(row.timestamp for row in found)


async def test_a_page_back_ends_at_its_bound(dsn: str, database: Database) -> None:
    now = datetime.now(UTC)
    write(dsn, [a_row(random.Random(1), n, now - timedelta(minutes=n)) for n in range(30)])
    page = await Requests(database).before(ALL, now, bound=now - timedelta(minutes=4.5))
    assert numbers(page.rows) == Counter(range(1, 5))
    assert page.complete


async def test_the_next_hit_meets_the_filter_and_the_search(dsn: str, database: Database) -> None:
    now = datetime.now(UTC)
    for minutes, status, customer in ((50, 500, CUSTOMER), (40, 500, 1), (30, 503, CUSTOMER), (20, 200, CUSTOMER)):
        add_request(dsn, timestamp=now - timedelta(minutes=minutes), status_code=status, customer_id=customer)
    requests, mine, errors = Requests(database), RequestFilter(customer=(CUSTOMER,)), parse("status:5xx")
    older = await requests.nearest(mine, errors, now, newer=False)
    assert older is not None
    assert older.status_code == 503
    oldest = await requests.nearest(mine, errors, older.timestamp, newer=False)
    assert oldest is not None
    assert (oldest.status_code, oldest.customer_id) == (500, CUSTOMER)
    assert await requests.nearest(mine, errors, oldest.timestamp, newer=False) is None
    assert await requests.nearest(mine, errors, oldest.timestamp, newer=True) == older
    assert await requests.nearest(mine, errors, older.timestamp, newer=True) is None


async def test_a_filter_and_a_search_may_ask_about_the_same_thing(dsn: str, database: Database) -> None:
    now = datetime.now(UTC)
    for minutes, status in ((3, 500), (2, 503), (1, 404)):
        add_request(dsn, timestamp=now - timedelta(minutes=minutes), status_code=status)
    hits = await Requests(database).hits(parse("status:5xx"), parse("!status:500"), timedelta(hours=1), at_most=9)
    assert hits == Hits(1, more=False)


@pytest.mark.parametrize(("at_most", "hits"), [(5, Hits(5, more=True)), (6, Hits(6, more=False))])
async def test_hits_are_counted_up_to_a_bound(dsn: str, database: Database, at_most: int, hits: Hits) -> None:
    now = datetime.now(UTC)
    write(dsn, [a_row(random.Random(1), n, now - timedelta(minutes=n)) for n in range(7)])
    assert await Requests(database).hits(ALL, ALL, timedelta(minutes=5.5), at_most=at_most) == hits


@pytest.mark.parametrize(("retention", "rows"), [("5 days", 3), ("2 days", 2), ("12 hours", 1)])
async def test_it_is_looked_as_far_back_as_the_database_keeps_the_log(
    dsn: str, database: Database, retention: str, rows: int
) -> None:
    now = datetime.now(UTC)
    for number, days in enumerate((0, 1, 3, 6)):
        add_request(dsn, timestamp=now - timedelta(days=days, minutes=1), bytes_sent=number)
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE console.metering SET retention = %s::interval", (retention,))
    requests, kept, ages = Requests(database), Counter(range(rows)), timedelta(days=9)
    cursor = (await requests.begin(ALL, recent=1)).cursor
    assert numbers((await requests.begin(ALL, within=ages)).rows) == kept
    assert numbers((await requests.before(ALL, now)).rows) == kept
    assert numbers((await requests.before(ALL, now, cursor=cursor, bound=now - ages)).rows) == kept
    assert numbers(await requests.latest(ALL, limit=9)) == kept
    assert numbers(await requests.latest(ALL, within=ages, limit=9)) == kept
    assert numbers([row async for some in requests.forward(cursor, ages) for row in some]) == kept
    assert await requests.hits(ALL, ALL, None, at_most=9) == Hits(rows, more=False)
    assert (await requests.nearest(ALL, ALL, now - timedelta(days=2), newer=False) is None) == (rows < 3)
    breakdown = Breakdown(database)
    assert (await breakdown.recent(ALL, GroupBy.CUSTOMER, None)).requests == rows
    log = await requests.kept()
    assert len(await breakdown.per_minute()) == (log.now - log.since) // timedelta(minutes=1) + 1


async def test_a_poll_accounts_for_every_row_it_did_not_bring(dsn: str, database: Database) -> None:
    requests = Requests(database)
    cursor = (await requests.begin(RequestFilter(customer=(CUSTOMER,)))).cursor
    now = datetime.now(UTC)
    with psycopg.connect(dsn) as connection:
        connection.execute(
            """INSERT INTO haproxy_raw_logs (timestamp, customer_id, network, server_id, service_type, api_key_fp,
                   fe_type, traffic_type, event_type, client_ip, time_total, status_code)
               SELECT %(now)s, CASE WHEN n %% 2 = 0 THEN %(customer)s ELSE 1 END, 1, 17, 1, 5, 2, 1, 0, '192.0.2.1', 5,
                      CASE n %% 100 WHEN 0 THEN 503 WHEN 2 THEN 429 WHEN 4 THEN -1 ELSE 200 END
               FROM generate_series(1, 4000) n""",
            {"now": now, "customer": CUSTOMER},
        )
    whole = await requests.since(cursor)
    assert (whole.committed, whole.passed, len(whole.rows)) == (4000, 2000, 2000)
    some = await requests.since(cursor, at_most=200)
    assert (some.committed, some.passed) == (4000, 2000)
    assert 200 < len(some.rows) < 500
    kept = Counter(row.status_code for row in some.rows)
    assert (kept[503], kept[429], kept[-1]) == (40, 40, 40)
    enough = await requests.since(cursor, at_most=2000)
    assert len(enough.rows) == 2000


async def test_a_quiet_poll_is_not_sampled(dsn: str, database: Database) -> None:
    requests = Requests(database)
    cursor = (await requests.begin(ALL)).cursor
    write(dsn, [a_row(random.Random(1), n, datetime.now(UTC)) for n in range(20)])
    batch = await requests.since(cursor, at_most=20)
    assert (batch.committed, batch.passed, len(batch.rows)) == (20, 20, 20)

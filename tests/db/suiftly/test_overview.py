"""The overview in numbers that can be counted by hand, and the lines that ask for a look."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from db.database import Database
from db.suiftly.jobs.log_consumer import take_step
from db.suiftly.jobs.roll_up_traffic import RollUpTraffic
from db.suiftly.log.codes import TRAFFIC_CLASS_SQL, traffic_class
from db.suiftly.overview import BUCKET, WINDOW, Traffic
from tests.db.seed import CUSTOMER, OTHER_CUSTOMER, add_customer, add_key, add_request


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def change(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(statement)  # pyright: ignore


async def sentences(database: Database) -> list[str]:
    return [line.sentence for line in (await Traffic(database).overview()).attention]


def test_the_class_in_sql_is_the_class_in_python(dsn: str) -> None:
    statuses = [-1, 0, 99, 100, 199, 200, 299, 300, 399, 400, 429, 499, 500, 599, 600, 999]
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT traffic_type, status_code, " + TRAFFIC_CLASS_SQL + " FROM generate_series(-1, 9) AS traffic_type,"  # pyright: ignore
            " unnest(%s::int[]) AS status_code",
            (statuses,),
        ).fetchall()
    assert len(rows) == 11 * len(statuses)
    assert [row for row in rows if traffic_class(row[0], row[1]).value != row[2]] == []
    assert len({row[2] for row in rows}) == 6


@pytest.mark.parametrize("rolled_up", [0, 200, 400])
async def test_the_overview_is_counted_by_hand(dsn: str, database: Database, rolled_up: int) -> None:
    """Whatever share of the rows the rollups have: the rest comes from the log."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    randomness = random.Random(seed)
    rows: list[dict[str, Any]] = [
        {
            "timestamp": ago(randomness.choice((randomness.uniform(-30, 240), randomness.uniform(240, 4000)))),
            "customer_id": randomness.choice((None, 1, 2, CUSTOMER)),
            "traffic_type": randomness.choice((0, 1, 1, 2, 3, 4, 8)),
            "status_code": randomness.choice((-1, 200, 204, 301, 400, 403, 429, 500, 503)),
            "bytes_sent": randomness.randrange(5000),
            "time_total": randomness.randrange(300),
            "repeat": randomness.choice((1, 1, 6)),
        }
        for _ in range(400)
    ]
    for row in rows[:rolled_up]:
        add_request(dsn, **row)
    async with database.writing() as connection:
        await take_step(connection, RollUpTraffic())
    # What comes later than a minute after its time shows once it is rolled up.
    rows[rolled_up:] = [row for row in rows[rolled_up:] if row["timestamp"] > ago(50)]
    for row in rows[rolled_up:]:
        add_request(dsn, **row)
    overview = await Traffic(database).overview()
    assert overview.end - overview.start == WINDOW
    assert timedelta(0) < overview.end - datetime.now(UTC) <= BUCKET
    inside = [row for row in rows if overview.start <= row["timestamp"] < overview.end]
    series: list[Counter[str]] = [Counter() for _ in range(60)]
    for row in inside:
        name = traffic_class(row["traffic_type"], row["status_code"]).value
        series[(row["timestamp"] - overview.start) // BUCKET][name] += row["repeat"]
    assert [dict(counts) for counts in series] == list(overview.series)
    recent = [row for row in inside if row["timestamp"] >= overview.end - 2 * BUCKET]
    assert 60 <= overview.recent_s <= 120
    assert overview.requests == sum(row["repeat"] for row in recent)
    assert overview.server_errors == sum(row["repeat"] for row in recent if row["status_code"] >= 500)
    assert overview.client_errors == sum(row["repeat"] for row in recent if 400 <= row["status_code"] < 500)
    assert overview.bytes == sum(row["bytes_sent"] for row in recent)
    served = sorted(row["time_total"] for row in recent if row["traffic_type"] in (1, 2) for _ in range(row["repeat"]))
    exact = [served[int(share * (len(served) - 1))] for share in (0.5, 0.95, 0.99)]
    assert overview.latencies == pytest.approx(exact, rel=0.3, abs=2)
    top: Counter[int] = Counter()
    errors: Counter[int] = Counter()
    for row in inside:
        if row["customer_id"] is not None and overview.now - BUCKET <= row["timestamp"] < overview.now:
            top[row["customer_id"]] += row["repeat"]
            errors[row["customer_id"]] += row["repeat"] * (row["status_code"] >= 400)
    assert [(line.customer_id, line.requests, line.errors) for line in overview.top] == [
        (id_, count, errors[id_]) for id_, count in sorted(top.items(), key=lambda item: (-item[1], item[0]))
    ]


async def test_without_the_job_the_last_minutes_come_from_the_log_and_the_gap_is_told(
    dsn: str, database: Database
) -> None:
    change(dsn, "UPDATE console.capture_state SET baselined_at = now() - interval '20 min' WHERE name = 'traffic'")
    for minutes in (2, 20):
        add_request(dsn, timestamp=ago(60 * minutes))
    overview = await Traffic(database).overview()
    assert sum(sum(bucket.values()) for bucket in overview.series) == 1
    [line] = overview.attention
    assert (line.severity, line.subject) == ("warn", "jobs:roll-up-traffic")
    assert "charts have gaps" in line.sentence


async def test_the_top_is_ten_customers_and_ties_stand_by_id(dsn: str, database: Database) -> None:
    for id_ in range(20, 0, -1):
        add_request(dsn, timestamp=ago(30), customer_id=id_, repeat=9 if id_ == 17 else 2)
    top = (await Traffic(database).overview()).top
    assert [line.customer_id for line in top] == [17, 1, 2, 3, 4, 5, 6, 7, 8, 9]


async def test_a_silent_log_is_an_overview_too(database: Database) -> None:
    overview = await Traffic(database).overview()
    assert (overview.requests, overview.bytes, overview.latencies, overview.top) == (0, 0, None, ())
    assert overview.series == ({},) * 60
    assert overview.attention == ()


async def test_a_revoked_key_that_is_served_is_named_until_it_no_longer_is(dsn: str, database: Database) -> None:
    traffic = Traffic(database)
    add_customer(dsn, CUSTOMER)
    for fingerprint in (42, 43, 4294967295):
        add_key(dsn, fingerprint, CUSTOMER)
    add_request(dsn, timestamp=ago(30), api_key_fp=42)
    assert await traffic.still_served() == 0  # it is live
    change(dsn, "UPDATE api_keys SET is_active = false, revoked_at = now() - interval '45 s' WHERE api_key_fp <> 43")
    assert await traffic.still_served() == 0  # the revocation may still be on its way
    change(dsn, "UPDATE api_keys SET revoked_at = now() - interval '3 min' WHERE NOT is_active")
    add_request(dsn, timestamp=ago(20), api_key_fp=42, repeat=6)
    add_request(dsn, timestamp=ago(20), api_key_fp=42, traffic_type=3, event_type=31, status_code=403)  # refused
    add_request(dsn, timestamp=ago(20), api_key_fp=42, customer_id=OTHER_CUSTOMER)  # not this key
    add_request(dsn, timestamp=ago(150), api_key_fp=42)  # within the allowance
    add_request(dsn, timestamp=ago(10), api_key_fp=4294967295, traffic_type=2, status_code=500)
    assert await traffic.still_served() == 2
    first, second = (await traffic.overview()).attention
    assert (first.severity, first.subject) == ("bad", "key:42")
    assert first.sentence == "revoked key 0x0000002a is still served: 7 request(s) in 5 min"
    assert first.since is not None
    assert timedelta(minutes=3) <= datetime.now(UTC) - first.since < timedelta(minutes=4)
    assert second.subject == "key:4294967295"
    # Later, when what was served has left the window.
    change(dsn, "DELETE FROM haproxy_raw_logs")
    add_request(dsn, timestamp=ago(310), api_key_fp=42)
    change(dsn, "UPDATE api_keys SET revoked_at = now() - interval '20 min' WHERE NOT is_active")
    assert await traffic.still_served() == 0
    assert await sentences(database) == []


async def test_a_key_revoked_more_than_a_day_ago_is_history(dsn: str, database: Database) -> None:
    add_customer(dsn, CUSTOMER)
    add_key(dsn, 42, CUSTOMER)
    add_request(dsn, timestamp=ago(20))
    change(dsn, "UPDATE api_keys SET is_active = false, revoked_at = now() - interval '23 hours'")
    assert await Traffic(database).still_served() == 1
    change(dsn, "UPDATE api_keys SET revoked_at = now() - interval '25 hours'")
    assert await Traffic(database).still_served() == 0


async def test_a_suspended_customer_that_is_served_is_named_until_it_is_resumed(dsn: str, database: Database) -> None:
    add_customer(dsn, CUSTOMER, "suspended")
    add_customer(dsn, OTHER_CUSTOMER, "closed")
    add_request(dsn, timestamp=ago(20), repeat=4)
    add_request(dsn, timestamp=ago(20), customer_id=OTHER_CUSTOMER)
    add_request(dsn, timestamp=ago(20), traffic_type=3, event_type=30, status_code=403)
    assert await sentences(database) == []  # suspended just now
    change(dsn, "UPDATE customers SET updated_at = now() - interval '5 min'")
    lines = (await Traffic(database).overview()).attention
    assert [(line.severity, line.sentence, line.subject) for line in lines] == [
        ("bad", f"customer {CUSTOMER} is not active but served: 4 request(s)", f"customer:{CUSTOMER}"),
        ("bad", f"customer {OTHER_CUSTOMER} is not active but served: 1 request(s)", f"customer:{OTHER_CUSTOMER}"),
    ]
    change(dsn, "UPDATE customers SET status = 'active'")
    assert await sentences(database) == []


async def test_maintenance_mode_is_named_while_it_is_on(dsn: str, database: Database) -> None:
    change(dsn, "UPDATE system_control SET maintenance_mode = true")
    assert await sentences(database) == ["maintenance mode is on: new signups are paused"]
    (line,) = (await Traffic(database).overview()).attention
    assert (line.severity, line.subject) == ("warn", "control")
    change(dsn, "UPDATE system_control SET maintenance_mode = false")
    assert await sentences(database) == []

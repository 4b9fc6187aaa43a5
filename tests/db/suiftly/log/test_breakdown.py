"""The log counted by hand against the log counted by the database."""

import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from db.database import Database, Limits
from db.errors import TimedOut
from db.suiftly.jobs.log_consumer import take_step
from db.suiftly.jobs.roll_up_traffic import RollUpTraffic
from db.suiftly.log.breakdown import Breakdown, Group, GroupBy, Groups
from db.suiftly.log.codes import traffic_class
from db.suiftly.log.filter import RequestFilter, parse
from tests.db.seed import CUSTOMER, add_customer, add_request

Row = dict[str, Any]
ALL = RequestFilter()
NOW = datetime(2026, 3, 14, 12, 0, 30, tzinfo=UTC)


def some_rows(randomness: random.Random, count: int, newest: datetime, span_s: float) -> list[Row]:
    return [
        {
            "timestamp": newest - timedelta(seconds=randomness.uniform(0, span_s)),
            "customer_id": randomness.choice((None, 1, 2, 3, CUSTOMER)),
            "api_key_fp": randomness.choice((0, 42, 2**32 - 1)),
            "path_prefix": randomness.choice((None, "/v1/a", "v1/a", "sui")),
            "network": randomness.choice((0, 1)),
            "server_id": randomness.choice((0x13, 0x27, -56, 200 - 256, 127)),
            "service_type": randomness.choice((1, 2, 9)),
            "event_type": randomness.choice((0, 0, 31, 98)),
            "traffic_type": randomness.choice((0, 1, 1, 2, 3, 8)),
            "status_code": randomness.choice((-1, 200, 204, 301, 403, 429, 500, 503)),
            "time_total": randomness.randrange(300),
            "repeat": randomness.choice((1, 1, 6)),
        }
        for _ in range(count)
    ]


def write(dsn: str, rows: list[Row]) -> None:
    for row in rows:
        add_request(dsn, **row)


OF: dict[GroupBy, Any] = {
    GroupBy.CUSTOMER: lambda row: row["customer_id"] or 0,
    GroupBy.KEY: lambda row: row["api_key_fp"],
    GroupBy.EVENT: lambda row: row["event_type"],
    GroupBy.SERVER: lambda row: row["server_id"] & 255,
    GroupBy.PATH: lambda row: row["path_prefix"] and row["path_prefix"].lstrip("/"),
    GroupBy.SERVICE: lambda row: row["service_type"],
    GroupBy.STATUS: lambda row: row["status_code"],
    GroupBy.CLASS: lambda row: traffic_class(row["traffic_type"], row["status_code"]).value,
}


async def test_groups_are_counted_by_hand_and_their_filters_let_as_many_through(dsn: str, database: Database) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    rows = some_rows(random.Random(seed), 250, NOW, 120)
    write(dsn, rows)
    breakdown, start = Breakdown(database), NOW - timedelta(seconds=60)
    inside = [row for row in rows if start <= row["timestamp"] < NOW]
    for by in GroupBy:
        groups = await breakdown.groups(ALL, by, start, NOW)
        assert (groups.start, groups.end) == (start, NOW)
        expected: dict[Any, list[Row]] = defaultdict(list)
        for row in inside:
            expected[OF[by](row)].append(row)
        assert {group.value: (group.requests, group.errors, group.newest) for group in groups.rows} == {
            value: (
                sum(row["repeat"] for row in members),
                sum(row["repeat"] for row in members if row["status_code"] >= 400),
                max(row["timestamp"] for row in members),
            )
            for value, members in expected.items()
        }, by
        assert [group.requests for group in groups.rows] == sorted((g.requests for g in groups.rows), reverse=True)
        assert groups.count == len(expected)
        assert groups.requests == sum(row["repeat"] for row in inside)
        assert [group.share for group in groups.rows] == [g.requests / groups.requests for g in groups.rows]
        assert groups.errors == sum(group.errors for group in groups.rows)
        for group in groups.rows:
            served = sorted(
                row["time_total"]
                for row in expected[group.value]
                if row["traffic_type"] in (1, 2)
                for _ in range(row["repeat"])
            )
            if group.value is None or not served:
                assert group.p95 is None
                continue
            # Of few the percentile of a histogram lies between two neighbours.
            low, high = (
                served[max(0, int(0.95 * len(served)) - 2)],
                served[min(len(served) - 1, int(0.95 * len(served)))],
            )
            assert group.p95 is not None
            assert 0.75 * low - 1 <= group.p95 <= 1.26 * high + 1
            await _drilled(breakdown, groups, group)


async def _drilled(breakdown: Breakdown, groups: Groups, group: Group) -> None:
    """The filter of one group lets exactly its requests through, and the filter without it the others."""
    assert group.value is not None
    window = (groups.start, groups.end)
    only, without = ALL.only(groups.by, group.value), ALL.without(groups.by, group.value)
    for wanted in (only, without):
        assert parse(" ".join(wanted.chips())) == wanted
    inside = await breakdown.groups(only, groups.by, *window)
    assert [other.value for other in inside.rows] == [group.value]
    assert inside.requests == group.requests
    assert (await breakdown.groups(without, groups.by, *window)).requests == groups.requests - group.requests


async def test_a_filter_narrows_what_is_counted_and_a_limit_only_what_is_listed(dsn: str, database: Database) -> None:
    for customer, repeat in ((1, 5), (2, 9), (3, 7)):
        add_request(dsn, timestamp=NOW, customer_id=customer, repeat=repeat)
        add_request(dsn, timestamp=NOW, customer_id=customer, status_code=503)
    window = (NOW - timedelta(minutes=1), NOW + timedelta(seconds=1))
    breakdown = Breakdown(database)
    groups = await breakdown.groups(parse("!customer:2 200"), GroupBy.CUSTOMER, *window)
    assert [(group.value, group.requests, group.errors) for group in groups.rows] == [(3, 7, 0), (1, 5, 0)]
    groups = await breakdown.groups(ALL, GroupBy.CUSTOMER, *window, limit=1)
    assert [(group.value, group.requests) for group in groups.rows] == [(2, 10)]
    assert (groups.count, groups.requests, groups.errors) == (3, 24, 3)


async def test_nothing_is_an_answer_too(database: Database) -> None:
    groups = await Breakdown(database).groups(ALL, GroupBy.KEY, NOW - timedelta(hours=1), NOW)
    assert (groups.rows, groups.count, groups.requests) == ((), 0, 0)
    histogram = await Breakdown(database).histogram(ALL, NOW - timedelta(hours=1), NOW, 60)
    assert histogram.series == ({},) * 60
    assert histogram.width == timedelta(minutes=1)


async def test_recent_is_counted_back_from_the_clock_of_the_database(dsn: str, database: Database) -> None:
    for age in (10, 50, 70):
        add_request(dsn, timestamp=datetime.now(UTC) - timedelta(seconds=age))
    groups = await Breakdown(database).recent(ALL, GroupBy.CUSTOMER, timedelta(minutes=1))
    assert groups.requests == 2
    assert abs(groups.end - datetime.now(UTC)) < timedelta(seconds=5)


def by_hand(rows: list[Row], wanted: RequestFilter, start: datetime, width: timedelta, buckets: int) -> list[Row]:
    series: list[Counter[str]] = [Counter() for _ in range(buckets)]
    names = ("service_type", "network", "server_id", "status_code")
    for row in rows:
        at = (row["timestamp"] - start) // width
        if 0 <= at < buckets and _meets(wanted, {name: row[name] for name in names}):
            series[at][traffic_class(row["traffic_type"], row["status_code"]).value] += row["repeat"]
    return [dict(counts) for counts in series]


def _meets(wanted: RequestFilter, row: Row) -> bool:
    """Plainly, for the few filters used here."""
    asked = {
        "service": row["service_type"] in wanted.service,
        "network": row["network"] in wanted.network,
        "server": row["server_id"] & 255 in wanted.server,
        "status": any(low <= row["status_code"] <= high for low, high in wanted.status),
    }
    return all(asked[name] != (name in wanted.negated) for name in wanted.asked)


@pytest.mark.parametrize("rolled_up", [0, 150, 300])
async def test_a_histogram_is_the_same_from_the_rollups_and_from_the_log(
    dsn: str, database: Database, rolled_up: int
) -> None:
    """Whatever share of the rows the rollups have. What is not rolled up has to be young: the rest of the log."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    randomness = random.Random(seed)
    now = datetime.now(UTC)
    old = some_rows(randomness, rolled_up, now, 3000)
    write(dsn, old)
    async with database.writing() as connection:
        await take_step(connection, RollUpTraffic())
    young = some_rows(randomness, 300 - rolled_up, datetime.now(UTC), 50)
    write(dsn, young)
    breakdown, rows = Breakdown(database), old + young
    end = now.replace(second=0, microsecond=0) + timedelta(minutes=2)
    for words in ("", "service:1,2", "!network:testnet server:r12-s08,r1-s03", "!status:4xx", "status:2xx,5xx"):
        wanted = parse(words)
        for minutes, buckets in ((60, 60), (60, 20), (20, 4)):
            start = end - timedelta(minutes=minutes)
            histogram = await breakdown.histogram(wanted, start, end, buckets)
            expected = by_hand(rows, wanted, start, histogram.width, buckets)
            assert list(histogram.series) == expected, words
    # What no rollup knows: seconds, a status, and (by its filter) a customer.
    start = end - timedelta(seconds=95)
    histogram = await breakdown.histogram(parse("status:500-502"), start, end, 19)
    assert list(histogram.series) == by_hand(rows, parse("status:500-502"), start, timedelta(seconds=5), 19)
    only = [row for row in rows if row["customer_id"] == 2]
    start = end - timedelta(hours=1)
    histogram = await breakdown.histogram(parse("customer:2"), start, end, 60)
    assert list(histogram.series) == by_hand(only, ALL, start, timedelta(minutes=1), 60)


@pytest.mark.parametrize("rolled_up", [150, 300])
async def test_groups_of_a_long_window_are_the_same_from_the_rollups_and_from_the_log(
    dsn: str, database: Database, rolled_up: int
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    randomness = random.Random(seed)
    for customer in (1, 2, 3, CUSTOMER):
        add_customer(dsn, customer)
    end = datetime.now(UTC)
    old = some_rows(randomness, rolled_up, end - timedelta(minutes=1), 40 * 3600)
    write(dsn, old)
    async with database.writing() as connection:
        await take_step(connection, RollUpTraffic())
    young = some_rows(randomness, 300 - rolled_up, end, 50)
    write(dsn, young)
    start = end - timedelta(hours=36)
    inside = [row for row in (*old, *young) if start <= row["timestamp"] < end]
    breakdown = Breakdown(database)
    asked = [(by, words) for by in ("customer", "server", "service", "class") for words in ("", "!network:testnet")]
    asked += [
        ("server", "status:5xx class:!other"),
        ("class", "!server:r1-s03 !status:2xx"),
        ("customer", "!customer:2"),
    ]
    expected: dict[tuple[str, str], dict[Any, tuple[int, int, datetime]]] = {}
    for by, words in asked:
        groups = await breakdown.groups(parse(words), GroupBy(by), start, end)
        sums: dict[Any, tuple[int, int, datetime]] = {}
        for row in inside:
            if _lets_through(words, row):
                value = OF[GroupBy(by)](row)
                requests, errors, newest = sums.get(value, (0, 0, row["timestamp"]))
                failed = row["repeat"] * (row["status_code"] >= 400)
                sums[value] = (requests + row["repeat"], errors + failed, max(newest, row["timestamp"]))
        assert {group.value: (group.requests, group.errors, group.newest) for group in groups.rows} == sums, (by, words)
        assert (groups.count, groups.requests) == (len(sums), sum(requests for requests, *_ in sums.values()))
        expected[by, words] = sums
    # Only the rollups have the whole hours now: they were asked.
    first, last = (start + timedelta(hours=1)).replace(minute=0), end - timedelta(hours=1, minutes=1)
    with psycopg.connect(dsn) as connection:
        connection.execute("DELETE FROM haproxy_raw_logs WHERE timestamp > %s AND timestamp < %s", (first, last))
    for (by, words), sums in expected.items():
        groups = await breakdown.groups(parse(words), GroupBy(by), start, end)
        counts = {group.value: (group.requests, group.errors) for group in groups.rows}
        assert counts == {value: counted[:2] for value, counted in sums.items()}, (by, words)
    logged = await breakdown.groups(ALL, GroupBy.PATH, start, end)
    assert logged.requests < sum(row["repeat"] for row in inside), "the log lost them"


def _lets_through(words: str, row: Row) -> bool:
    kind = traffic_class(row["traffic_type"], row["status_code"]).value
    return {
        "": True,
        "!network:testnet": row["network"] != 0,
        "status:5xx class:!other": row["status_code"] >= 500 and kind != "other",
        "!server:r1-s03 !status:2xx": row["server_id"] != 0x13 and row["status_code"] // 100 != 2,
        "!customer:2": row["customer_id"] != 2,
    }[words]


def rolled_up_rows(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(statement)  # pyright: ignore


async def test_whole_minutes_come_from_the_rollups_alone_and_the_log_need_not_be_there(
    dsn: str, database: Database
) -> None:
    add_request(dsn, timestamp=datetime.now(UTC) - timedelta(minutes=30), repeat=7)
    async with database.writing() as connection:
        await take_step(connection, RollUpTraffic())
    rolled_up_rows(dsn, "DELETE FROM haproxy_raw_logs")
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    breakdown = Breakdown(database)
    histogram = await breakdown.histogram(ALL, end - timedelta(hours=1), end, 60)
    assert sum(sum(counts.values()) for counts in histogram.series) == 7
    histogram = await breakdown.histogram(parse("customer:7"), end - timedelta(hours=1), end, 60)
    assert histogram.series == ({},) * 60


@pytest.mark.parametrize(
    "trouble",
    ["caught_up_at = now() - interval '20 min'", "recount_from = now()", "system_identifier = 1"],
)
async def test_where_the_rollups_stand_still_or_mean_nothing_the_log_is_counted(
    dsn: str, database: Database, trouble: str
) -> None:
    async with database.writing() as connection:
        await take_step(connection, RollUpTraffic())
    add_request(dsn, timestamp=datetime.now(UTC) - timedelta(minutes=10))
    rolled_up_rows(dsn, f"UPDATE console.capture_state SET {trouble} WHERE name = 'traffic'")
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    histogram = await Breakdown(database).histogram(ALL, end - timedelta(hours=1), end, 60)
    assert sum(sum(counts.values()) for counts in histogram.series) == 1


async def test_a_width_of_no_whole_microsecond_loses_no_row(dsn: str, database: Database) -> None:
    end = NOW + timedelta(seconds=1)
    add_request(dsn, timestamp=end - timedelta(microseconds=1))
    histogram = await Breakdown(database).histogram(ALL, NOW, end, 3)
    assert histogram.series == ({}, {}, {"guaranteed": 1})


async def test_what_takes_too_long_is_an_error_and_no_half_answer(dsn: str, database: Database) -> None:
    rolled_up_rows(
        dsn,
        "INSERT INTO haproxy_raw_logs (timestamp, network, server_id, service_type, api_key_fp, fe_type, traffic_type,"
        " event_type, client_ip, status_code, time_total) SELECT '2026-03-14 12:00Z', 1, 19, 1, n, 2, 1, 0,"
        " '203.0.113.9', 200, 1 FROM generate_series(1, 100000) n",
    )
    hasty = Database(dsn, limits=Limits(statement_s=0.005))
    await hasty.open()
    try:
        with pytest.raises(TimedOut):
            await Breakdown(hasty).groups(ALL, GroupBy.KEY, NOW - timedelta(hours=1), NOW)
        with pytest.raises(TimedOut):
            await Breakdown(hasty).histogram(ALL, NOW - timedelta(hours=1), NOW, 7)
    finally:
        await hasty.close()

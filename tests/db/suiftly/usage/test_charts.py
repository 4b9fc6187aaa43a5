"""Usage charts say what the log says, to the request, wherever the numbers come from."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from db.database import Database
from db.errors import Refused
from db.suiftly.jobs.log_consumer import take_step
from db.suiftly.jobs.roll_up_traffic import RollUpTraffic
from db.suiftly.log.codes import TrafficClass, traffic_class
from db.suiftly.log.filter import RequestFilter
from db.suiftly.usage.charts import Charts, Usage
from db.suiftly.usage.sums import Measures
from db.suiftly.usage.top import Ranking, Top, TopBy
from db.suiftly.usage.window import DAY, HOUR, MINUTE, UsageQuestion, parse_usage_question, window_of
from tests.db.seed import CUSTOMER, OTHER_CUSTOMER, add_customer, add_request

Row = dict[str, Any]
DAYS_AGO = (0, 0, 0, 0, 1, 8, 12)  # few: each hour of the log is a table of its own
_INSERT = """
    INSERT INTO haproxy_raw_logs (timestamp, customer_id, network, server_id, service_type, traffic_type,
                                  status_code, bytes_sent, time_total, api_key_fp, path_prefix, repeat, fe_type,
                                  event_type, client_ip)
    VALUES (%(timestamp)s, %(customer_id)s, %(network)s, %(server_id)s, %(service_type)s, %(traffic_type)s,
            %(status_code)s, %(bytes_sent)s, %(time_total)s, %(api_key_fp)s, %(path_prefix)s, %(repeat)s, 2, 0,
            '203.0.113.9')
"""


def write(dsn: str, rows: list[Row]) -> None:
    with psycopg.connect(dsn) as connection:
        connection.cursor().executemany(_INSERT, rows)


def invent(chance: random.Random, now: datetime) -> Row:
    return {
        "timestamp": now - chance.choice(DAYS_AGO) * DAY - chance.random() * chance.choice((1, 3)) * HOUR,
        "customer_id": chance.choice((None, CUSTOMER, CUSTOMER, OTHER_CUSTOMER, 77)),  # 77 is nobody
        "network": chance.choice((0, 1)),
        "server_id": chance.choice((1, 17, -56)),  # -56 is 200 of a writer that takes the eight bits for signed
        "service_type": chance.choice((1, 2)),
        "traffic_type": chance.choice((0, 1, 1, 1, 2, 3, 6)),
        "status_code": chance.choice((-1, 200, 204, 304, 404, 429, 500, 503)),
        "bytes_sent": chance.randrange(10_000),
        "time_total": chance.choice((0, 1, 5, 33, 700, 10**5)),
        "api_key_fp": chance.choice((0, 42, 43)),
        "path_prefix": chance.choice((None, "v1/fetch_k", "/v1/servic")),
        "repeat": chance.choice((1, 1, 9)),
    }


def lets_through(wanted: RequestFilter, row: Row, *, known: bool) -> bool:
    """`known`: customers that are in no table count as nobody."""
    values = {
        "customer": (row["customer_id"] if not known or row["customer_id"] != 77 else None) or 0,
        "service": row["service_type"],
        "network": row["network"],
        "server": row["server_id"] & 255,
    }
    return all((values[name] in getattr(wanted, name)) != (name in wanted.negated) for name in wanted.asked)


def check(measures: Measures, rows: list[Row]) -> None:
    classes = Counter[TrafficClass]()
    for row in rows:
        classes[traffic_class(row["traffic_type"], row["status_code"])] += row["repeat"]
    assert {kind: count for kind, count in measures.classes.items() if count} == classes
    assert measures.requests == sum(row["repeat"] for row in rows)
    assert measures.bytes == sum(row["bytes_sent"] for row in rows)
    assert measures.client_errors == sum(row["repeat"] for row in rows if 400 <= row["status_code"] < 500)
    assert measures.server_errors == sum(row["repeat"] for row in rows if row["status_code"] >= 500)


def check_latency(measures: Measures, rows: list[Row]) -> None:
    served = sorted(row["time_total"] for row in rows if row["traffic_type"] in (1, 2) for _ in range(row["repeat"]))
    if not served:
        assert measures.latencies is None
        return
    assert measures.latencies is not None
    found = (measures.latencies.p50, measures.latencies.p95, measures.latencies.p99)
    for share, ms in zip((0.5, 0.95, 0.99), found, strict=True):
        # Which of two neighbours a percentile falls on is a matter of definition; it lies between them.
        at = share * len(served)
        near = served[max(0, int(at - 1)) : int(at + 2)] or served[-1:]
        assert 0.75 * min(near) - 2 <= ms <= 1.26 * max(near) + 2


def within(rows: list[Row], start: datetime, end: datetime) -> list[Row]:
    return [row for row in rows if start <= row["timestamp"] < end]


QUESTIONS = (
    "1h",
    "90m service:seal",
    "24h",
    "24h network:mainnet server:r1-s01,200",
    "6h !server:17",
    "7d",
    f"1h customer:{CUSTOMER}",
    f"24h customer:{CUSTOMER}",
    f"24h customer:{CUSTOMER} server:17",
    "7d customer:none",
    f"7d !customer:{CUSTOMER} network:testnet",
    "30d service:2",
)


async def test_sums_on_screen_are_the_sums_of_the_log(dsn: str, database: Database) -> None:
    """Whatever is rolled up already, and whichever rollup or log a question is answered from."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    add_customer(dsn, CUSTOMER)
    add_customer(dsn, OTHER_CUSTOMER)
    now = datetime.now(UTC)
    rows = [invent(chance, now) for _ in range(500)]
    rows[0]["timestamp"] = now - 70 * DAY  # so that something is known of every period before
    write(dsn, rows[:450])
    async with database.writing() as connection:
        await take_step(connection, RollUpTraffic())
    for row in rows[450:]:
        row["timestamp"] = datetime.now(UTC) - timedelta(seconds=chance.uniform(0, 40))
    write(dsn, rows[450:])
    charts, ranking = Charts(database), Ranking(database)
    origins: set[str] = set()
    for text in QUESTIONS:
        question = parse_usage_question(text)
        usage = await charts.usage(question, columns=chance.choice((30, 72, 110)))
        origins.add(usage.origin)
        known = usage.origin != "counted in the log"
        mine = [row for row in rows if lets_through(question.wanted, row, known=known)]
        check_usage(usage, mine)
        for by in TopBy:
            check_top(await ranking.top(question, by), by, question, rows)
    assert origins >= {"rolled up by minute", "rolled up by hour", "counted in the log"}


def check_usage(usage: Usage, rows: list[Row]) -> None:
    window = usage.window
    assert usage.behind is None
    assert window.start < window.now <= window.end
    assert len(usage.points) == window.steps
    for number, point in enumerate(usage.points):
        start = usage.start_of(number)
        check(point, within(rows, start, start + window.step))
        check_latency(point, within(rows, start, start + window.step))
    check(usage.total, within(rows, window.start, window.end))
    check_latency(usage.total, within(rows, window.start, window.end))
    assert usage.before is not None
    grain = {"rolled up by hour": HOUR, "rolled up by day": DAY}.get(usage.origin, MINUTE)
    until = window.before_until(grain)
    assert abs((until - window.before) - window.elapsed) <= grain / 2
    check(usage.before, within(rows, window.before, until))


def check_top(top: Top, by: TopBy, question: UsageQuestion, rows: list[Row]) -> None:
    def value(row: Row) -> int | str | None:
        if by is TopBy.CUSTOMER:
            return (row["customer_id"] if top.from_log or row["customer_id"] != 77 else None) or 0
        if by is TopBy.SERVER:
            return row["server_id"] & 255
        return row["api_key_fp"] if by is TopBy.KEY else row["path_prefix"] and row["path_prefix"].lstrip("/")

    mine = [row for row in rows if lets_through(question.wanted, row, known=not top.from_log)]
    requests, errors, before = Counter[Any](), Counter[Any](), Counter[Any]()
    for row in within(mine, top.window.start, top.window.end):
        requests[value(row)] += row["repeat"]
        errors[value(row)] += row["repeat"] * (row["status_code"] >= 400)
    until = top.window.before + top.window.elapsed
    for row in within(mine, top.window.before, until):
        before[value(row)] += row["repeat"]
    assert {row.value: (row.requests, row.errors) for row in top.rows} == {
        name: (count, errors[name]) for name, count in requests.items()
    }
    assert [row.requests for row in top.rows] == sorted(requests.values(), reverse=True)
    assert top.requests == sum(requests.values())
    assert top.count == len(requests)
    assert sum(row.share for row in top.rows) == pytest.approx(1)
    if top.from_log and not any(row.before is None for row in top.rows):
        assert {row.value: row.before for row in top.rows} == {name: before[name] for name in requests}


async def test_what_is_no_longer_kept_is_said_or_left_open(dsn: str, database: Database) -> None:
    now = datetime.now(UTC)
    add_customer(dsn, CUSTOMER)
    for age in (800, 400, 300, 100, 0):
        add_request(dsn, timestamp=now - timedelta(days=age, minutes=1), repeat=age + 1)
    charts, ranking = Charts(database), Ranking(database)
    async with database.writing() as connection:
        await take_step(connection, RollUpTraffic())
    year = await charts.usage(UsageQuestion(timedelta(days=365)), columns=110)
    assert (year.origin, year.total.requests) == ("rolled up by day", 301 + 101 + 1)
    assert year.before is not None
    assert year.before.requests == 401
    two_years = await charts.usage(UsageQuestion(timedelta(days=790)), columns=110)
    assert (two_years.total.requests, two_years.before) == (401 + 301 + 101 + 1, None)  # it begins 800 days ago
    two_months = await charts.usage(UsageQuestion(timedelta(days=60)), columns=200)
    assert two_months.before is None  # hours are kept for 90 days
    with pytest.raises(Refused, match="customers by hour are kept since"):
        await charts.usage(UsageQuestion(timedelta(days=365), wanted=RequestFilter(customer=(CUSTOMER,))), columns=110)
    with pytest.raises(Refused, match="customer by server"):
        await charts.usage(parse_usage_question(f"7d customer:{CUSTOMER} server:1"), columns=110)
    with pytest.raises(Refused, match="a key is in the log only"):
        await ranking.top(parse_usage_question("2025-01-01..2025-01-02"), TopBy.KEY)
    keys = await ranking.top(UsageQuestion(timedelta(days=30)), TopBy.KEY)
    assert (keys.from_log, keys.window.end - keys.window.start) == (True, HOUR)
    [customer] = (await ranking.top(UsageQuestion(timedelta(days=365)), TopBy.CUSTOMER)).rows
    assert (customer.value, customer.requests, customer.before) == (CUSTOMER, 301 + 101 + 1, 401)


async def test_rollups_that_stand_still_are_told(dsn: str, database: Database) -> None:
    charts = Charts(database)
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE console.capture_state SET caught_up_at = now() - interval '20 min'")
    usage = await charts.usage(UsageQuestion(HOUR), columns=110)
    assert usage.behind is not None
    assert timedelta(minutes=20) < usage.window.now - usage.behind < timedelta(minutes=22)
    ended = UsageQuestion(HOUR, usage.window.now - HOUR)
    assert (await charts.usage(ended, columns=110)).behind is None


NOW = datetime(2026, 11, 21, 13, 7, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "columns", "step", "start", "end"),
    [
        ("1h", 110, MINUTE, "2026-11-21T12:08", "2026-11-21T13:08"),
        ("1h", 30, 2 * MINUTE, "2026-11-21T12:08", "2026-11-21T13:08"),
        ("24h", 110, 15 * MINUTE, "2026-11-20T13:15", "2026-11-21T13:15"),
        ("24h", 72, 20 * MINUTE, "2026-11-20T13:20", "2026-11-21T13:20"),
        ("7d", 110, 2 * HOUR, "2026-11-15", "2026-11-22"),
        ("30d", 110, 8 * HOUR, "2026-10-23", "2026-11-22"),
        ("30d", 40, DAY, "2026-10-23", "2026-11-22"),
        ("800d", 20, 7 * DAY, "2024-09-08", "2026-11-22"),
        ("2026-11-01..2026-11-04T12:00Z", 110, HOUR, "2026-11-01", "2026-11-04T12:00"),
        ("2026-11-20T09:00Z..2026-11-20T09:45Z", 110, MINUTE, "2026-11-20T09:00", "2026-11-20T09:45"),
    ],
)
def test_a_window_has_whole_steps_and_as_many_as_fit(
    text: str, columns: int, step: timedelta, start: str, end: str
) -> None:
    question = parse_usage_question(text)
    window = window_of(question, NOW, columns=columns, finest=MINUTE)
    assert window.step == step
    assert window.start == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert window.end == datetime.fromisoformat(end).replace(tzinfo=UTC)
    assert window.steps * step == window.end - window.start
    assert parse_usage_question(question.words) == question


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0m", "a minute to 800 days"),
        ("801d", "a minute to 800 days"),
        ("24h status:5xx", "status: usage is added up by customer, service, network, server"),
        ("2026-11-08..2026-11-01", "begin before it ends"),
        ("2026-13-01..2026-11-01", "window: write 24h"),
        ("0001-01-01..0001-02-01", "years 2000 to 2100"),
        ("9999-12-31T23:59-12:00..", "window: write 24h"),
        ("7x", "7x"),
    ],
)
def test_what_is_no_question_is_answered_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_usage_question(text)

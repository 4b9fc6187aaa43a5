"""What needs a look: each rule finds its trouble, names where it leads, and falls silent when it is over."""

from datetime import UTC, datetime, timedelta

import psycopg

from db.database import Database
from db.jobs.history import CRASHED
from db.source import Source
from db.suiftly.attention import attention
from db.suiftly.attention.disk_watch import DiskWatch
from tests.db.seed import CUSTOMER, add_customer, add_request


def execute(dsn: str, statement: str, *parameters: object) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(statement.encode(), parameters)


async def look(database: Database) -> list[tuple[str, str, str]]:
    async with database.reading() as connection:
        return [(line.severity, line.subject, line.sentence) for line in await attention(connection)]


def ran(dsn: str, job: str, outcome: str, *, hours_ago: int, dry: bool = False) -> None:
    execute(
        dsn,
        """INSERT INTO console.job_run (run_id, job, os_user, started_at, finished_at, outcome, message, dry_run)
           VALUES (gen_random_uuid(), %s, 'cron', now() - make_interval(hours => %s), now(), %s, 'no room', %s)""",
        job, hours_ago, outcome, dry,
    )  # fmt: skip


async def test_a_job_that_fails_or_is_no_longer_run_is_a_line_until_it_runs_again(dsn: str, database: Database) -> None:
    assert await look(database) == []
    ran(dsn, "clean-up", "succeeded", hours_ago=2)
    ran(dsn, "calculate-bills", "failed", hours_ago=3)
    ran(dsn, "monthly-reset", "succeeded", hours_ago=9)
    ran(dsn, "generate-mm-vault", "partial", hours_ago=0)
    ran(dsn, "generate-ma-vault", "succeeded", hours_ago=0)
    ran(dsn, "generate-ma-vault", "failed", hours_ago=0, dry=True)
    overdue = f"monthly-reset is overdue: it ran last {datetime.now(UTC) - timedelta(hours=9):%Y-%m-%d %H:%M}; "
    assert sorted(await look(database)) == [
        ("warn", "jobs:calculate-bills", "calculate-bills failed: no room"),
        ("warn", "jobs:generate-mm-vault", "generate-mm-vault did not do all: no room"),
        ("warn", "jobs:monthly-reset", overdue + "is `opsdeck jobs run --all-due` in cron?"),
    ]
    for job in ("calculate-bills", "generate-mm-vault", "monthly-reset"):
        ran(dsn, job, "succeeded", hours_ago=0)
    execute(dsn, "UPDATE console.job_run SET started_at = now() WHERE outcome = 'succeeded'")
    assert await look(database) == []
    # Killed: nothing of it is on record until it runs again, an hour later. One that goes on is no trouble.
    for job, silence_s in (("calculate-bills", 40), ("monthly-reset", 0)):
        execute(
            dsn,
            """INSERT INTO console.job_run (run_id, job, os_user, started_at, heartbeat_at)
               VALUES (gen_random_uuid(), %s, 'cron', now() + interval '1 s', now() - make_interval(secs => %s))""",
            job, silence_s,
        )  # fmt: skip
    assert await look(database) == [("warn", "jobs:calculate-bills", f"calculate-bills crashed: {CRASHED}")]
    ran(dsn, "calculate-bills", "succeeded", hours_ago=-1)
    assert await look(database) == []
    # What metering leaves undone says more than that it failed.
    ran(dsn, "aggregate-usage", "failed", hours_ago=0)
    execute(dsn, "UPDATE console.capture_state SET caught_up_at = now() - interval '40 hours' WHERE name = 'usage'")
    assert [line[:2] for line in await look(database)] == [("bad", "jobs:aggregate-usage")]


async def test_bills_clocks_and_partitions(dsn: str, database: Database) -> None:
    add_customer(dsn, CUSTOMER)
    execute(
        dsn,
        """INSERT INTO billing_records
               (customer_id, billing_period_start, billing_period_end, amount_usd_cents, type, status)
           SELECT %s, '2026-06-01', timestamptz '2026-06-02' + make_interval(days => n), 150, 'charge', 'failed'
           FROM generate_series(1, 2) n""",
        CUSTOMER,
    )
    add_request(dsn, server_id=0x13, timestamp=datetime.now(UTC) + timedelta(seconds=90))
    add_request(dsn, server_id=0x14, timestamp=datetime.now(UTC) + timedelta(seconds=2))
    found = {subject: (severity, sentence) for severity, subject, sentence in await look(database)}
    assert found["billing:2026-06 failed"][1].startswith("2 bill(s) failed: $3.00 is not paid")
    assert found["requests:server:r1-s03"][1].endswith("s ahead of the database: its clock is off")
    assert "requests:server:r1-s04" not in found
    execute(dsn, "UPDATE billing_records SET status = 'pending'")
    execute(dsn, "DELETE FROM haproxy_raw_logs")
    assert await look(database) == []
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT console.log_is_hypertable()").fetchone()
        if row and row[0]:
            return  # a hypertable makes its own chunks
        ahead = connection.execute(
            """SELECT relname FROM pg_class WHERE relname ~ '^haproxy_raw_logs_\\d{10}$'
               AND relname >= 'haproxy_raw_logs_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDDHH24')
               ORDER BY relname OFFSET 4"""
        ).fetchall()
        for (name,) in ahead:
            connection.execute(f"DROP TABLE {name}")  # pyright: ignore
    assert [line[:2] for line in await look(database)] == [("bad", "jobs:maintain-partitions")]


async def test_the_room_that_is_left(dsn: str, database: Database) -> None:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT pg_database_size(current_database()) / 1e9").fetchone()
    assert row is not None
    for share, severities in ((None, []), (0.7, []), (0.9, ["warn"]), (1.1, ["bad"])):
        lines = await Source(database, disk_gb=share and float(row[0]) / share).watched()
        assert [line.severity for line in lines] == severities
        assert all(line.subject == "database" and "% of the" in line.sentence for line in lines)


async def test_room_that_cannot_be_told_is_a_line() -> None:
    database = Database("postgresql://127.0.0.1:1/none")
    await database.open()
    [line] = await DiskWatch(database, 10.0).attention()
    await database.close()
    assert line.sentence.startswith("what room the database takes is not known")

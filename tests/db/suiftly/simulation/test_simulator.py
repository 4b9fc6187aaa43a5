"""Live traffic on a real database: exact counts, revocations that arrive later, lost connections."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from time import monotonic

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from db.errors import Refused, Unavailable
from db.suiftly.simulation import Progress, populate, simulate
from db.suiftly.simulation.cast import load_cast
from db.suiftly.simulation.fleet import open_fleet
from db.suiftly.simulation.outbox import ensure_partitions

Connection = psycopg.AsyncConnection[TupleRow]


async def fetch(connection: Connection, statement: str, *values: object) -> list[TupleRow]:
    return await (await connection.execute(statement.encode(), values)).fetchall()


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Connection]:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def people(connection: Connection) -> None:
    await populate(connection, 60, 42, datetime.now(UTC))


async def counted(connection: Connection) -> tuple[int, int, int]:
    return tuple(
        (await fetch(connection, "SELECT count(*), sum(repeat), count(DISTINCT xid) FROM haproxy_raw_logs"))[0]
    )


async def writes(connection: Connection) -> None:
    """Until there are rows."""
    async with asyncio.timeout(10):
        while not (await counted(connection))[0]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_it_counts_exactly_what_it_writes(dsn: str, connection: Connection, people: None) -> None:
    reports: list[Progress] = []
    done = await simulate(dsn, 400, 3, 7, report=reports.append)
    assert done.rows == 1_200
    assert await counted(connection) == (done.rows, done.requests, done.batches)
    assert (done.uncertain, done.dropped, done.reconnects) == (0, 0, 0)
    assert done.batches > 30, "several transactions a second"
    assert reports[-1] == done
    assert len(reports) >= 3
    ((servers, first, last),) = await fetch(
        connection, "SELECT count(DISTINCT server_id), min(timestamp), max(timestamp) FROM haproxy_raw_logs"
    )
    assert servers == 12
    assert last <= datetime.now(UTC)
    assert last - first > timedelta(seconds=2)


@pytest.mark.parametrize("rate", [0.7, 9_000])
async def test_slow_and_fast(dsn: str, connection: Connection, people: None, rate: float) -> None:
    done = await simulate(dsn, rate, 1.5, 1)
    assert done.rows == pytest.approx(rate * 1.5, abs=1)
    assert (await counted(connection))[0] == done.rows


async def test_a_revoked_key_is_refused_some_seconds_later(dsn: str, connection: Connection, people: None) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(simulate(dsn, 1_500, None, 7, stop=stop))
    await asyncio.sleep(2)
    ((fp, customer_id),) = await fetch(
        connection,
        "SELECT api_key_fp, customer_id FROM haproxy_raw_logs WHERE event_type = 0 AND api_key_fp <> 0 "
        "GROUP BY 1, 2 ORDER BY count(*) DESC LIMIT 1",
    )
    ((suspended,),) = await fetch(
        connection,
        "SELECT customer_id FROM haproxy_raw_logs WHERE event_type = 0 AND customer_id <> %s "
        "GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
        customer_id,
    )
    revoked_at = datetime.now(UTC)
    await connection.execute(
        "UPDATE api_keys SET is_active = false, revoked_at = now(), revoked_by = 't', revocation_reason = 't' "
        "WHERE api_key_fp = %s",
        (fp,),
    )
    await connection.execute("UPDATE customers SET status = 'suspended' WHERE customer_id = %s", (suspended,))
    refusals = (
        "SELECT server_id, min(timestamp) FROM haproxy_raw_logs "
        "WHERE api_key_fp = %s AND event_type = 31 AND customer_id = %s GROUP BY 1"
    )
    deadline = monotonic() + 10
    while len(await fetch(connection, refusals, fp, customer_id)) < 12 and monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    await asyncio.sleep(2)  # to see that they stay refused
    stop.set()
    await running
    refused = await fetch(connection, refusals, fp, customer_id)
    assert len(refused) == 12
    delays = sorted((first - revoked_at).total_seconds() for _, first in refused)
    assert delays[0] > 0  # rows of the second before the gateway changed carry times of that second
    assert delays[-1] < 9.5
    assert delays[-1] - delays[0] > 1, "not everywhere at the same moment"
    after_refusal = """
        SELECT count(*) FROM haproxy_raw_logs l
        JOIN (SELECT server_id, min(timestamp) AS first FROM haproxy_raw_logs
              WHERE api_key_fp = %s AND event_type = 31 GROUP BY 1) r USING (server_id)
        WHERE l.api_key_fp = %s AND l.event_type <> 31 AND l.timestamp > r.first + interval '1.2 s'
    """
    assert await fetch(connection, after_refusal, fp, fp) == [(0,)]
    ((blocked, statuses),) = await fetch(
        connection,
        "SELECT count(*), array_agg(DISTINCT (status_code, traffic_type, config_hex)::text) FROM haproxy_raw_logs "
        "WHERE customer_id = %s AND event_type = 30",
        suspended,
    )
    assert blocked > 0
    assert statuses == ["(403,3,0)"]


async def test_new_keys_are_used(connection: Connection, people: None) -> None:
    fleet = await open_fleet(connection, Random(1), 0.0)
    await connection.execute(
        """INSERT INTO api_keys (api_key_id, api_key_fp, api_key_hash, customer_id, service_type, metadata)
           SELECT 'x', 12345, repeat('0', 64), customer_id, service_type, metadata FROM api_keys k
           JOIN customers c USING (customer_id) WHERE is_active AND c.status = 'active' LIMIT 1"""
    )
    (sender,) = [one for one in (await load_cast(connection, 42)).senders if one.fp == 12345]
    gateway = fleet.gateways[0]
    await fleet.refresh(connection, 10.0)
    fleet.advance(10.0)
    assert gateway.standing(sender) is None
    fleet.advance(15.1)
    standing = gateway.standing(sender)
    assert standing is not None
    assert standing.event == 0
    assert await fetch(connection, "SELECT * FROM console.gateway_vault") == [], "without a vault nothing is reported"


async def test_old_lines_show_only_keys_that_did_not_change_since(connection: Connection, people: None) -> None:
    fleet = await open_fleet(connection, Random(1), 0.0)
    now = datetime.now(UTC)
    lines = fleet.old_lines(fleet.gateways[0], 50, now - timedelta(hours=1))
    assert 0 < len(lines) <= 50
    # Mostly event 0; a failing backend is not a matter of the key.
    assert not {b"30", b"31", b"32"} & {line.tail.split(b"\t")[9] for line in lines}
    assert fleet.old_lines(fleet.gateways[0], 50, now - timedelta(days=900)) == []


async def test_some_batches_come_late(
    dsn: str, connection: Connection, people: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.suiftly.simulation.simulator._HELD", 0.3)
    monkeypatch.setattr("db.suiftly.simulation.simulator._HELD_SECONDS", (2.0, 60.0))
    done = await simulate(dsn, 200, 3.5, 3)
    assert 5 <= done.late_batches < done.batches
    assert await counted(connection) == (done.rows, done.requests, done.batches)
    assert done.rows == 700
    # Later transactions (a higher xid) with earlier times: what a timestamp watermark would lose.
    overtaken = """
        WITH written AS (SELECT xid, min(timestamp) AS first, max(timestamp) AS last FROM haproxy_raw_logs GROUP BY 1)
        SELECT count(*) FROM written a JOIN written b ON b.xid > a.xid AND b.first < a.last - interval '1.5 s'
    """
    assert (await fetch(connection, overtaken))[0][0] > 0


async def test_rarely_a_batch_is_hours_old(
    dsn: str, connection: Connection, people: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.suiftly.simulation.simulator._OLD", 0.5)
    done = await simulate(dsn, 300, 2, 3)
    assert await counted(connection) == (done.rows, done.requests, done.batches)
    assert done.rows == 600
    ((old, events, oldest),) = await fetch(
        connection,
        "SELECT count(*), array_agg(DISTINCT event_type) && '{30,31,32}', min(timestamp) FROM haproxy_raw_logs "
        "WHERE timestamp < now() - interval '4 min'",
    )
    assert old > 0
    assert not events
    assert oldest > datetime.now(UTC) - timedelta(hours=2, minutes=1)


async def test_cancelling_closes_the_connection(dsn: str, connection: Connection, people: None) -> None:
    running = asyncio.create_task(simulate(dsn, 100, None, 3))
    await writes(connection)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.sleep(0.2)
    alive = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'opsdeck simulate' AND datname = %s"
    assert await fetch(connection, alive, connection.info.dbname) == [(0,)]


async def test_it_stops_within_a_second(dsn: str, connection: Connection, people: None) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(simulate(dsn, 500, None, 7, stop=stop))
    await writes(connection)
    began = monotonic()
    stop.set()
    done = await running
    assert monotonic() - began < 1
    assert (await counted(connection))[0] == done.rows > 0


async def test_it_stops_while_the_table_is_locked(dsn: str, connection: Connection, people: None) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(simulate(dsn, 500, None, 7, stop=stop))
    await writes(connection)
    async with connection.transaction():
        await connection.execute("LOCK TABLE haproxy_raw_logs IN ACCESS EXCLUSIVE MODE")
        await asyncio.sleep(0.3)
        began = monotonic()
        stop.set()
        done = await running
        assert monotonic() - began < 1
    await asyncio.sleep(0.3)
    assert (await counted(connection))[0] == done.rows


async def test_a_killed_connection_loses_and_doubles_nothing(dsn: str, connection: Connection, people: None) -> None:
    running = asyncio.create_task(simulate(dsn, 3_000, 4, 7))
    for _ in range(6):
        await asyncio.sleep(0.5)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'opsdeck simulate' AND datname = current_database()"
        )
    done = await running
    rows, requests, batches = await counted(connection)
    assert done.reconnects >= 5
    assert done.rows <= rows <= done.rows + done.uncertain_rows
    if done.uncertain == 0:
        assert (rows, requests, batches) == (done.rows, done.requests, done.batches)
    assert done.rows + done.uncertain_rows == 12_000


@asynccontextmanager
async def proxy(dsn: str, *, forward: bool, nth: int) -> AsyncGenerator[str]:
    """A DSN whose connection breaks at the nth COMMIT: before the server sees it, or before its answer is seen."""
    target = conninfo_to_dict(dsn)
    path = f"{target['host']}/.s.PGSQL.{target.get('port') or 5432}"
    commits = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal commits
        server_reader, server_writer = await asyncio.open_unix_connection(path)
        broken = False

        async def answers() -> None:
            while data := await server_reader.read(65_536):
                if not broken:
                    writer.write(data)

        answering = asyncio.create_task(answers())
        try:
            while data := await reader.read(65_536):
                if b"COMMIT\0" in data:
                    commits += 1
                    if commits == nth:
                        broken = True
                        if forward:
                            server_writer.write(data)
                            await asyncio.sleep(0.2)
                        break
                server_writer.write(data)
        except ConnectionResetError:
            pass
        finally:
            answering.cancel()
            for each in (server_writer, writer):
                each.close()
                await asyncio.gather(each.wait_closed(), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield make_conninfo(dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("forward", [False, True])
async def test_a_commit_without_an_answer_is_uncertain(
    dsn: str, connection: Connection, people: None, *, forward: bool
) -> None:
    async with proxy(dsn, forward=forward, nth=10) as through:
        done = await simulate(through, 600, 2, 7)
    assert (done.uncertain, done.reconnects) == (1, 1)
    assert done.rows + done.uncertain_rows == 1_200
    await asyncio.sleep(0.3)
    assert (await counted(connection))[0] == done.rows + (done.uncertain_rows if forward else 0)


async def test_refusals(dsn: str, connection: Connection) -> None:
    with pytest.raises(Refused, match="populate"):
        await simulate(dsn, 10, 1, 1)
    await connection.execute("INSERT INTO customers (customer_id, wallet_address) VALUES (7, '0x' || repeat('ab', 32))")
    with pytest.raises(Refused, match="not simulated"):
        await simulate(dsn, 10, 1, 1)
    assert await fetch(connection, "SELECT count(*) FROM haproxy_raw_logs") == [(0,)]
    for rate in (0, -1, float("nan"), float("inf")):
        with pytest.raises(Refused, match="rate"):
            await simulate(dsn, rate, 1, 1)


async def test_no_server(tmp_path: object) -> None:
    with pytest.raises(Unavailable):
        await simulate(f"host={tmp_path} dbname=none", 10, 1, 1)


async def test_an_hour_that_lies_in_the_default_partition_stays_there(connection: Connection) -> None:
    ((hypertable,),) = await fetch(connection, "SELECT console.log_is_hypertable()")
    if hypertable:
        pytest.skip("a hypertable has no DEFAULT partition")
    hour = datetime(2031, 1, 1, 5, tzinfo=UTC)
    await connection.execute(
        "INSERT INTO haproxy_raw_logs (timestamp, network, server_id, service_type, api_key_fp, fe_type, traffic_type, "
        "event_type, client_ip, status_code, time_total) VALUES (%s, 1, 17, 1, 0, 2, 3, 10, '192.0.2.1', 400, 1)",
        (hour,),
    )
    await ensure_partitions(connection, hour, hour + timedelta(hours=2))
    made = await fetch(connection, "SELECT relname FROM pg_class WHERE relname LIKE 'haproxy_raw_logs_20310101%%' ")
    assert {name[:27] for (name,) in made} == {"haproxy_raw_logs_2031010106"}


async def test_partitions_are_made_and_may_exist(connection: Connection) -> None:
    hour = datetime(2031, 1, 1, 5, tzinfo=UTC)
    for _ in range(2):
        await ensure_partitions(connection, hour, hour + timedelta(hours=2))
    ((hypertable,),) = await fetch(connection, "SELECT console.log_is_hypertable()")
    ((made,),) = await fetch(
        connection, "SELECT count(*) FROM pg_class WHERE relname LIKE 'haproxy_raw_logs_20310101%%'"
    )
    assert hypertable or made >= 2

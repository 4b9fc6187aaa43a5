"""Simulated gateways over a real published vault, and what is told of them. Time is the test's own: seconds."""

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import psycopg
import pytest
from psycopg.rows import TupleRow

from db.database import Database
from db.source import Source, fleet_words
from db.suiftly.simulation import populate
from db.suiftly.simulation.cast import Sender, load_cast
from db.suiftly.simulation.fleet import Fleet, open_fleet
from db.suiftly.simulation.vault_place import settle_vaults
from tests.vault_reader import newest, serves

Connection = psycopg.AsyncConnection[TupleRow]


@pytest.fixture
async def connection(dsn: str, database: Database, tmp_path: Path) -> AsyncIterator[Connection]:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await populate(connection, 60, 42, datetime.now(UTC))
        await settle_vaults(database, tmp_path)
        yield connection


async def published(source: Source) -> int:
    run = await source.publish_vault("")
    assert run.outcome == "succeeded", run.message
    version = await source.vaults.find("ma")
    assert version is not None
    return version.seq


async def pass_to(fleet: Fleet, connection: Connection, at: float) -> None:
    """A look at what is published, and a moment in which nothing is left to apply."""
    await fleet.refresh(connection, at)
    fleet.advance(at + 5.1)
    await fleet.refresh(connection, at + 5.1)


async def states(source: Source) -> set[str]:
    return {str(one.state) for one in await source.gateways.states()}


async def busiest(connection: Connection) -> Sender:
    active = await (await connection.execute("SELECT api_key_fp FROM api_keys WHERE is_active")).fetchall()
    live = {row[0] for row in active}
    return next(one for one in (await load_cast(connection, 42)).senders if one.fp in live)


async def test_without_a_vault_nobody_is_served_and_with_one_who_is_in_it(
    connection: Connection, database: Database, tmp_path: Path
) -> None:
    source = Source(database)
    fleet = await open_fleet(connection, Random(1), 0.0)
    lines = [line.tail.split(b"\t") for gateway in fleet.gateways for line in fleet.lines(gateway, 50)]
    assert {line[8] for line in lines}.isdisjoint({b"1", b"2"}), "the traffic types that a backend answers"
    cast = await load_cast(connection, 42)
    assert {gateway.standing(sender) for gateway in fleet.gateways for sender in cast.senders} == {None}
    await fleet.refresh(connection, 1.0)
    assert await states(source) == {"error"}
    assert "no MA vault has been published" in ((await source.gateways.states())[0].trouble or "")

    assert await published(source) == 1
    await pass_to(fleet, connection, 10.0)
    assert await states(source) == {"in_sync"}
    assert fleet_words(await source.gateways.states()) == "12 of 12 reporting, 12 in_sync"
    version = await source.vaults.find("ma")
    assert version is not None
    content = {"customers": (await source.vaults.open(version)).customers}
    services = {1: "seal", 2: "grpc", 3: "graphql"}
    for sender in cast.senders:
        standing = fleet.gateways[0].standing(sender)
        is_served = standing is not None and standing.event == 0
        assert is_served == serves(content, sender.customer_id, services[sender.service], sender.fp), sender


async def test_a_revoked_key_is_refused_by_each_gateway_when_it_has_applied_the_version_without_it(
    connection: Connection, database: Database
) -> None:
    source = Source(database)
    await published(source)
    fleet = await open_fleet(connection, Random(1), 0.0, stuck="r1-s03")
    sender = await busiest(connection)
    await fleet.refresh(connection, 0.5)
    await connection.execute(
        "UPDATE api_keys SET is_active = false, revoked_at = now() WHERE api_key_fp = %s", (sender.fp,)
    )
    await pass_to(fleet, connection, 10.0)
    assert {gateway.standing(sender).event for gateway in fleet.gateways} == {0}, "not published, not refused"  # type: ignore[union-attr]

    assert await published(source) == 2
    await fleet.refresh(connection, 20.0)
    mixed = False
    for tenth in range(60):
        fleet.advance(20.0 + tenth / 10)
        events = {gateway.applied_seq: gateway.standing(sender).event for gateway in fleet.gateways}  # type: ignore[union-attr]
        assert events.items() <= {(1, 0), (2, 31)}
        refusing = sum(gateway.applied_seq == 2 for gateway in fleet.gateways)
        mixed |= 2 < refusing < 10
    assert mixed, "they do not change at the same moment"
    assert [gateway.server_id for gateway in fleet.gateways if gateway.applied_seq == 1] == [0x13]
    await fleet.refresh(connection, 27.0)
    assert await states(source) == {"in_sync", "applying"}
    await connection.execute("UPDATE console.vault_version SET published_at = published_at - interval '150 s'")
    told = await source.gateways.states()
    assert fleet_words(told) == "12 of 12 reporting, 11 in_sync, 1 late (r1-s03 at 1, 2m)"
    (late,) = [one.trouble for one in told if one.trouble]
    assert late == "gateway r1-s03 has not applied the ma vault: r1-s03 at 1, 2m, published is 2"

    # Silent, and after a day gone.
    await connection.execute(
        "UPDATE console.gateway_vault SET seen_at = seen_at - interval '200 s' WHERE gateway = 'r2-s01'"
    )
    assert "11 of 12 reporting" in fleet_words(await source.gateways.states())
    assert "1 unknown (r2-s01 at 2, silent 3m)" in fleet_words(await source.gateways.states())
    await connection.execute(
        "UPDATE console.gateway_vault SET seen_at = seen_at - interval '1 day' WHERE gateway = 'r2-s01'"
    )
    assert "11 of 11 reporting" in fleet_words(await source.gateways.states())


async def test_an_altered_vault_is_refused_reported_and_the_old_one_kept(
    connection: Connection, database: Database, tmp_path: Path
) -> None:
    source = Source(database)
    await published(source)
    fleet = await open_fleet(connection, Random(1), 0.0)
    sender = await busiest(connection)
    good = newest(tmp_path / "vault", "ma")
    bad = good.with_name(good.name.replace("ma-000000001", "ma-000000002"))
    shutil.copy(good, bad)
    data = bytearray(bad.read_bytes())
    data[-1] ^= 1
    bad.write_bytes(data)
    await pass_to(fleet, connection, 10.0)
    assert {(gateway.applied_seq, gateway.standing(sender)) for gateway in fleet.gateways} == {
        (1, fleet.gateways[0].standing(sender))
    }
    assert fleet.gateways[0].standing(sender).event == 0  # type: ignore[union-attr]
    assert await states(source) == {"error"}
    trouble = (await source.gateways.states())[0].trouble
    assert trouble is not None
    assert "gateway r1-s01 cannot apply the ma vault: " in trouble
    assert "does not open" in trouble

    bad.unlink()
    await pass_to(fleet, connection, 20.0)
    assert await states(source) == {"in_sync"}
    # Back to a lower number: a gateway never goes back.
    await connection.execute(
        "UPDATE api_keys SET is_active = false, revoked_at = now() WHERE api_key_fp = %s", (sender.fp,)
    )
    assert await published(source) == 2
    await pass_to(fleet, connection, 30.0)
    newest(tmp_path / "vault", "ma").unlink()
    await pass_to(fleet, connection, 40.0)
    assert {gateway.standing(sender).event for gateway in fleet.gateways} == {31}  # type: ignore[union-attr]
    assert {gateway.applied_seq for gateway in fleet.gateways} == {2}

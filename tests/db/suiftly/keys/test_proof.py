"""From a revocation to its proof: over real vault files, reports of gateways and the log."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from db.database import Database
from db.source import Proof, ProofState, Source
from tests.db.seed import add_request
from tests.db.suiftly.jobs.publishing import Press, business, press, revoke, rows, run

KEY, CUSTOMER = 11, 1
GATEWAYS = ("r1-s03", "r2-s07")  # 0x13 and 0x27 in the log


@pytest.fixture
def vault(dsn: str, database: Database, tmp_path: Path) -> Press:
    business(dsn)
    return press(dsn, database, tmp_path)


async def proven(source: Source) -> Proof:
    key = await source.keys.find(KEY)
    assert key is not None
    return await source.proofs.of(key)


def steps(proof: Proof) -> str:
    return " ".join(f"{step.name}:{step.severity}" for step in proof.steps)


def report(dsn: str, seq: int, gateways: Sequence[str] = GATEWAYS) -> None:
    for gateway in gateways:
        run(
            dsn,
            """INSERT INTO console.gateway_vault VALUES (%s, 'ma', %s, now(), NULL) ON CONFLICT (gateway, vault)
               DO UPDATE SET applied_seq = excluded.applied_seq, seen_at = excluded.seen_at""",
            gateway,
            seq,
        )


def age(dsn: str, seconds: int) -> None:
    """Lets that much time pass: everything on record is older now, and the gateways have reported again."""
    with psycopg.connect(dsn) as connection:
        # A row of a hypertable cannot move to another chunk.
        connection.execute("CREATE TEMP TABLE aged AS SELECT * FROM haproxy_raw_logs")
        connection.execute("DELETE FROM haproxy_raw_logs")
        for table, column in (
            ("api_keys", "revoked_at"),
            ("console.vault_version", "published_at"),
            ("console.vault_version", "built_at"),
            ("aged", "timestamp"),
        ):
            connection.execute(f"UPDATE {table} SET {column} = {column} - %s".encode(), (timedelta(seconds=seconds),))
        connection.execute("INSERT INTO haproxy_raw_logs SELECT * FROM aged")


def log(dsn: str, server: int, at: datetime | None = None, *, refused: bool = False) -> None:
    columns = {"traffic_type": 3, "event_type": 31, "status_code": 403} if refused else {}
    moment = {} if at is None else {"timestamp": at}
    add_request(dsn, customer_id=CUSTOMER, api_key_fp=KEY, server_id=server, **columns, **moment)


async def test_every_step_in_its_order(vault: Press) -> None:
    dsn, source = vault.dsn, vault.source
    assert (await proven(source)).state is ProofState.NOT_REVOKED
    await vault.published()
    report(dsn, 1)
    revoke(dsn, KEY)
    now = await proven(source)
    assert (now.state, now.sentence) == (
        ProofState.PROPAGATING, "PROPAGATING: the newest vault still holds the key; publish one without it",
    )  # fmt: skip
    assert steps(now) == "committed:good vault:wait gateways:open refused:wait served:good"

    await vault.published()
    now = await proven(source)
    assert (now.state, now.version, now.applied, now.not_applied) == (ProofState.PROPAGATING, 2, (), GATEWAYS)
    assert "r1-s03, r2-s07 may still serve it: version 2 is not applied" in now.sentence

    report(dsn, 2, GATEWAYS[:1])
    log(dsn, 0x13, refused=True)
    log(dsn, 0x27)
    now = await proven(source)
    assert (now.state, now.not_applied) == (ProofState.PROPAGATING, GATEWAYS[1:]), "a refusal elsewhere proves nothing"
    assert steps(now) == "committed:good vault:good gateways:wait refused:good served:wait"

    report(dsn, 2)
    now = await proven(source)
    assert now.state is ProofState.PROPAGATING, "it says so, but served it a moment ago"
    log(dsn, 0x27, refused=True)
    now = await proven(source)
    assert now.state is ProofState.PROVEN
    assert steps(now) == "committed:good vault:good gateways:good refused:good served:good"
    assert (now.refused, now.applied) == (2, GATEWAYS)
    assert now.sentence.startswith("PROVEN: 2 refusals, no success since ")

    # Half an hour later other versions are in force; what was proven stays so.
    revoke(dsn, 13)
    await vault.published()
    report(dsn, 3)
    age(dsn, 3600)
    report(dsn, 3)
    now = await proven(source)
    assert (now.state, now.version) == (ProofState.PROVEN, 2)
    assert "the first and the last 15 minutes" in now.caveat


async def test_a_gateway_held_back_is_late_and_named_when_it_serves(vault: Press) -> None:
    dsn, source = vault.dsn, vault.source
    await vault.published()
    revoke(dsn, KEY)
    await vault.published()
    age(dsn, 90)
    report(dsn, 2, GATEWAYS[:1])
    report(dsn, 1, GATEWAYS[1:])
    log(dsn, 0x13, refused=True)
    now = await proven(source)
    assert now.state is ProofState.LATE
    assert "not by r2-s07 at 1, 90s, late" in now.steps[2].sentence
    log(dsn, 0x27)
    now = await proven(source)
    assert (now.state, now.served_by) == (ProofState.STILL_SERVED, ("r2-s07",))
    assert now.sentence.startswith("STILL SERVED by r2-s07, last at ")
    # Where versions take their time on the way, all that is still in order.
    assert {line.severity for line in (await source.traffic.overview()).attention} == {"bad"}
    run(dsn, "UPDATE console.metering SET gateway_allowance = '6 minutes'")
    assert (await proven(source)).state is ProofState.PROPAGATING
    assert [one.state for one in await source.gateways.states()] == ["in_sync", "applying"]
    assert (await source.traffic.overview()).attention == ()
    run(dsn, "UPDATE console.metering SET gateway_allowance = '1 minute'")
    # It catches up at last: what it did stays in sight, but it serves no more.
    report(dsn, 2)
    assert (await proven(source)).state is ProofState.STILL_SERVED, "not before it refuses, or was quiet for a while"
    log(dsn, 0x27, refused=True)
    now = await proven(source)
    assert now.state is ProofState.PROVEN
    assert now.last_served is not None


async def test_where_nothing_is_published_or_reported_the_log_alone_tells(vault: Press) -> None:
    dsn, source = vault.dsn, vault.source
    revoke(dsn, KEY)
    now = await proven(source)
    assert now.state is ProofState.NO_TRAFFIC
    assert steps(now) == "committed:good vault:open gateways:open refused:wait served:good"
    log(dsn, 0x13, refused=True)
    assert (await proven(source)).state is ProofState.PROPAGATING, "other gateways may be behind"
    age(dsn, 90)
    assert (await proven(source)).state is ProofState.PROVEN

    # A vault whose file is not here, or a key that was in none.
    await vault.published()
    report(dsn, 1)
    now = await proven(source)
    assert (now.state, now.version) == (ProofState.PROVEN, 1)
    (vault.directory / vault.files()[0]).unlink()
    elsewhere = Source(vault.database, vault=vault.place)
    now = await proven(elsewhere)
    assert (now.state, now.version) == (ProofState.PROVEN, 1)
    assert "by the record" in now.steps[1].sentence
    run(dsn, "UPDATE console.vault_version SET built_at = built_at - interval '1 hour'")
    assert "cannot be read" in (await proven(elsewhere)).steps[1].sentence
    assert rows(dsn, "SELECT count(*) FROM console.vault_removed_key") == [(0,)]


async def test_a_log_that_does_not_answer_in_time_is_said_to(vault: Press) -> None:
    revoke(vault.dsn, KEY)
    key = await vault.source.keys.find(KEY)
    assert key is not None
    with psycopg.connect(vault.dsn) as other:
        other.execute("LOCK TABLE haproxy_raw_logs IN ACCESS EXCLUSIVE MODE")
        proof = await vault.source.proofs.of(key, statement_s=0.2)
    assert proof.steps[3].sentence == "the log did not answer in time"
    assert proof.state is ProofState.NO_TRAFFIC

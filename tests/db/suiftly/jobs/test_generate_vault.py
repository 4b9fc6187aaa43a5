"""Publishing: what is inside, when there is a new version, what is refused, and what is found and healed."""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from db.database import Database
from db.suiftly.jobs.clean_up import CleanUp
from db.suiftly.pricing import load_prices
from db.suiftly.vault.content import read_content, refuse_revoked
from db.suiftly.vault.errors import RevokedInside
from db.suiftly.vault.publish import Publication
from tests.db.suiftly.jobs.publishing import (
    WAITING,
    Press,
    allow,
    business,
    press,
    revoke,
    rows,
    run,
    until,
    write_keys,
)
from tests.vault_reader import newest, serves


@pytest.fixture
def vault(dsn: str, database: Database, tmp_path: Path) -> Press:
    business(dsn)
    return press(dsn, database, tmp_path)


async def test_who_is_inside_and_who_is_served(vault: Press) -> None:
    run(vault.dsn, "UPDATE system_control SET ma_vault_version = '000000899-0123456789abcdef'")
    revoke(vault.dsn, 12)
    dry = await vault.generate(dry_run=True)
    assert dry.message == "would publish version 900: 4 customers, 4 keys"
    assert vault.files() == []
    assert await vault.published() == 900, "numbers go on where another publisher left off"
    vault.assert_whole()

    content = vault.content()
    starter = {"burst_qos": 0, "burst_rps": 0, "guaranteed_rps": 100, "per_ip_rps": 100}
    assert content["customers"]["1"] == {
        "services": {
            "grpc": {"keys": [13], "limits": starter, "status": "active", "tier": "starter"},
            "seal": {
                "keys": [11],
                "limits": {"burst_qos": 0, "burst_rps": 1000, "guaranteed_rps": 1000, "per_ip_rps": 1000},
                "status": "active",
                "tier": "pro",
            },
        },
        "status": "active",
    }
    assert content["customers"]["2"]["services"]["seal"]["status"] == "disabled"
    assert content["customers"]["3"]["services"]["seal"] == {
        "keys": [31], "limits": starter, "status": "suspended", "tier": "starter",
    }  # fmt: skip
    assert content["customers"].keys() == {"1", "2", "3", "5"}, "who is closed is gone"
    assert content["customers"]["5"]["services"] == {}, "a key without its service opens nothing"
    served = {
        key
        for key in (11, 12, 13, 21, 31, 41, 51)
        for name in ("seal", "grpc")
        if serves(content, key // 10, name, key)
    }
    assert served == {11, 13}

    [(action, who, reason, subjects, after)] = rows(
        vault.dsn,
        "SELECT action, os_user, reason, subjects, after FROM console.audit WHERE action = 'publish-vault'",
    )
    assert (action, who, reason, subjects) == ("publish-vault", "ann", "4 customers, 4 keys", ["vault:ma"])
    assert after["vault:ma"]["path"] == str(newest(vault.directory, "ma"))


async def test_there_and_back_is_three_versions_and_standing_still_is_none(vault: Press) -> None:
    assert await vault.published() == 1
    first = newest(vault.directory, "ma").name
    for _ in range(2):
        again = await vault.generate()
        assert again.message == f"nothing changed since version {first[3:-4]}"
    revoke(vault.dsn, 11)
    assert await vault.published() == 2
    assert 11 not in vault.inside()
    allow(vault.dsn, 11)
    assert await vault.published() == 3
    assert newest(vault.directory, "ma").name[13:] == first[13:], "the same content as the first"
    vault.assert_whole()
    assert len(vault.files()) == 3
    assert rows(vault.dsn, "SELECT api_key_fp, vault, seq FROM console.vault_removed_key") == [(11, "ma", 2)]


async def test_a_suspension_is_published_and_so_is_a_price_book(vault: Press) -> None:
    await vault.published()
    run(vault.dsn, "UPDATE customers SET status = 'suspended' WHERE customer_id = 1")
    await vault.published()
    content = vault.content()
    assert content["customers"]["1"]["status"] == "suspended"
    assert not serves(content, 1, "seal", 11)
    cheaper = Publication(vault.database, "ma", load_prices(None, "head-2026"), vault.place, vault.source.actor, "")
    assert (await cheaper.carry_out()).sentence == "published version 3: 4 other changes"
    assert vault.content()["customers"]["1"]["services"]["grpc"]["limits"]["guaranteed_rps"] == 12


async def test_imported_keys_go_into_a_vault_of_their_own(vault: Press) -> None:
    for customer, name, status in ((1, "a", "active"), (1, "b", "retired"), (3, "c", "active"), (4, "d", "active")):
        run(
            vault.dsn,
            """INSERT INTO customer_encryption_keys
                   (customer_id, key_id, key_type, encrypted_key_material, metadata, status)
               VALUES (%s, %s, 'aes256', 'material', '{"note": "theirs"}', %s)""",
            customer, name, status,
        )  # fmt: skip
    assert (await vault.generate_mm()).message == "published version 1: 2 customers, 2 keys"
    content = vault.content("mm")
    assert {customer: list(one["keys"]) for customer, one in content["customers"].items()} == {"1": ["a"], "3": ["c"]}
    key = content["customers"]["1"]["keys"]["a"]
    assert (key["encrypted_key"], key["key_type"], key["metadata"]) == ("material", "aes256", {"note": "theirs"})
    assert content["customers"]["3"]["status"] == "suspended"
    run(vault.dsn, "UPDATE customer_encryption_keys SET status = 'retired' WHERE key_id = 'c'")
    assert (await vault.generate_mm()).message == "published version 2: 1 customer gone, 1 other change"
    assert "material" not in str(rows(vault.dsn, "SELECT * FROM console.audit"))
    assert vault.files() == [], "the other vault has numbers of its own"


async def test_a_key_revoked_since_the_snapshot_does_not_go_out(vault: Press) -> None:
    with psycopg.connect(vault.dsn) as other:
        other.execute("LOCK TABLE service_instances IN ACCESS EXCLUSIVE MODE")
        generating = asyncio.create_task(vault.generate())
        await until(WAITING, vault.dsn)  # its snapshot is taken, and in that key 13 lives
        other.execute("UPDATE api_keys SET is_active = false, revoked_at = now() WHERE api_key_fp = 13")
    assert (await generating).message == "published version 1: 4 customers, 4 keys"
    assert vault.inside() == {11, 12, 21, 31}


async def test_a_dead_key_in_a_content_is_named(vault: Press) -> None:
    content = await read_content(vault.database, "ma", load_prices())
    await refuse_revoked(vault.database, content)
    revoke(vault.dsn, 31)
    with pytest.raises(RevokedInside, match="0x0000001f"):
        await refuse_revoked(vault.database, content)


async def test_customers_do_not_vanish_unless_told(vault: Press) -> None:
    await vault.published()
    run(vault.dsn, "UPDATE customers SET status = 'closed' WHERE customer_id IN (1, 2)")
    refused = await vault.generate()
    assert refused.outcome == "failed"
    assert "2 of 4 customers would vanish from the ma vault, more than 10 %" in (refused.message or "")
    assert "run `opsdeck vault publish ma --accept-loss 2`" in (refused.message or "")
    assert len(vault.files()) == 1
    vault.assert_whole()
    too_few = await vault.accept_loss(1)
    assert "2 customers would vanish, more than 1" in too_few.message
    meant = await vault.accept_loss(2)
    assert meant.done
    assert meant.after is not None
    assert meant.after["vault:ma"]["may_lose"] == 2
    run(vault.dsn, "UPDATE customers SET status = 'closed' WHERE customer_id = 3")
    assert "3 of 4 customers would vanish" in ((await vault.generate()).message or ""), "that was not meant"
    run(vault.dsn, "UPDATE customers SET status = 'suspended' WHERE customer_id = 3")
    run(vault.dsn, "UPDATE console.vault_loss SET expires_at = now()")
    assert (await vault.generate()).outcome == "failed", "it was meant for an hour"
    assert (await vault.accept_loss(2)).done
    told = await vault.generate()
    assert told.message == "published version 2: 2 customers gone, 4 keys removed, 3 other changes"
    run(vault.dsn, "UPDATE customers SET status = 'closed' WHERE customer_id IN (3, 4, 5)")
    assert (await vault.generate()).outcome == "failed", "it was meant once"
    vault.assert_whole()


async def test_a_new_key_seals_anew_and_the_old_one_still_reads(vault: Press) -> None:
    await vault.published()
    assert vault.place.key_file is not None
    vault.keys["k2"] = bytes(range(32))
    write_keys(vault.place.key_file, ("k2", vault.keys["k2"]))
    missing = await vault.generate()
    assert missing.outcome == "failed"
    assert "'k1', which is not configured" in (missing.message or "")
    write_keys(vault.place.key_file, ("k2", vault.keys["k2"]), ("k1", vault.keys["k1"]))
    assert (await vault.generate()).message == "published version 2: the same content under another key"
    assert "nothing changed" in ((await vault.generate()).message or "")
    assert rows(vault.dsn, "SELECT seq, key_id FROM console.vault_version ORDER BY seq") == [(1, "k1"), (2, "k2")]
    write_keys(vault.place.key_file, ("k2", vault.keys["k2"]))
    assert "nothing changed" in ((await vault.generate()).message or ""), "the old one is needed no more"
    write_keys(vault.place.key_file, ("k3", bytes(32)))
    vault.keys["k3"] = bytes(32)
    assert (await vault.generate()).outcome == "failed"
    assert (await vault.accept_loss(0)).done
    assert (await vault.generate()).outcome == "succeeded", "a key that is lost is left behind when told"
    vault.assert_whole()


async def test_a_current_file_that_is_gone_or_damaged_is_replaced_by_a_new_version(vault: Press) -> None:
    def flipped(data: bytes) -> bytes:
        return data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]

    assert await vault.published() == 1
    for version, damage in enumerate((None, flipped, lambda data: data[:-1]), 2):
        path = newest(vault.directory, "ma")
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage(path.read_bytes()))
        healed = await vault.generate()
        assert f"published version {version}: 4 customers, 5 keys; of the version before: {path}" in (
            healed.message or ""
        )
        vault.assert_whole()


async def test_a_foreign_file_ahead_of_the_record_stops_it(vault: Press) -> None:
    await vault.published()
    foreign = vault.directory / "ma-000000007-0123456789abcdef.enc"
    foreign.write_bytes(b"not ours\n")
    stopped = await vault.generate()
    assert stopped.outcome == "failed"
    assert str(foreign) in (stopped.message or "")
    assert "newer than version 1 on record" in (stopped.message or "")
    foreign.unlink()
    assert (await vault.generate()).outcome == "succeeded"


async def test_a_database_restored_from_before_takes_over_what_was_published_since(vault: Press) -> None:
    await vault.published()
    revoke(vault.dsn, 11)
    await vault.published()
    revoke(vault.dsn, 13)
    await vault.published()
    run(vault.dsn, "TRUNCATE console.vault_removed_key, console.vault_version")
    run(vault.dsn, "UPDATE system_control SET ma_vault_version = NULL")
    allow(vault.dsn, 13)
    assert await vault.published() == 4, "gateways have seen three"
    vault.assert_whole()
    assert rows(vault.dsn, "SELECT seq FROM console.vault_version ORDER BY seq") == [(1,), (2,), (3,), (4,)]
    assert rows(vault.dsn, "SELECT api_key_fp, seq FROM console.vault_removed_key ORDER BY seq") == [(11, 2), (13, 3)]
    reasons = rows(
        vault.dsn, "SELECT reason FROM console.audit WHERE action = 'publish-vault' ORDER BY seq DESC LIMIT 2"
    )
    assert reasons == [("1 key added",), ("left behind by a run that ended before this was on record",)]


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process grows beyond 300 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_disk_without_room_leaves_the_version_before(vault: Press) -> None:
    await vault.published()
    revoke(vault.dsn, 11)
    with full_disk():
        refused = await vault.generate()
    assert refused.outcome == "failed"
    assert "cannot be written: File too large; the version before stays" in (refused.message or "")
    assert len(vault.files()) == 1
    vault.assert_whole()
    assert await vault.published() == 2


async def test_what_cannot_be_removed_is_one_sentence(vault: Press) -> None:
    left = vault.directory / ".ma-1-x.enc.part"
    left.mkdir()
    refused = await vault.generate()
    assert refused.outcome == "failed"
    assert f"{left} cannot be removed: " in (refused.message or "")


async def test_a_directory_that_is_not_there_is_one_sentence(vault: Press) -> None:
    vault.directory.rmdir()
    refused = await vault.generate()
    assert refused.outcome == "failed"
    assert f"the vault directory {vault.directory} cannot be read: No such file or directory" in (refused.message or "")


async def test_clean_up_keeps_the_newest_files_and_those_in_use(vault: Press, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.suiftly.vault.old_files.KEPT", 2)
    for change in (allow, revoke, allow, revoke, allow, revoke):
        change(vault.dsn, 12)
        await vault.published()
    run(vault.dsn, "INSERT INTO console.gateway_vault VALUES ('r1-s03', 'ma', 2, now() - interval '9 days', NULL)")
    foreign = vault.directory / "ma-000000001-0123456789abcdef.enc"
    foreign.write_bytes(b"of somebody else")
    before = vault.files()
    said: list[str] = []
    dry = await vault.source.run_job(CleanUp(), dry_run=True, explain=said.append)
    assert (dry.counts["vault_files"], vault.files()) == (3, before)
    assert [f"-{seq:09d}-" in line for seq, line in zip((1, 3, 4), said, strict=True)] == [True] * 3
    done = await vault.source.run_job(CleanUp())
    assert done.message == "deleted 0 login challenges and 0 sessions, 3 old vault files"
    assert [int(name[3:12]) for name in vault.files()] == [1, 2, 5, 6]
    assert foreign.exists()
    vault.assert_whole()
    vault.directory.rename(vault.directory.with_name("gone"))
    assert (await vault.source.run_job(CleanUp())).outcome == "partial"

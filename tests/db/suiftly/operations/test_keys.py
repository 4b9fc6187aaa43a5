"""Creating and rotating keys, with real concurrency."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from db.audit import Actor, Audit
from db.database import Database
from db.jobs.runner import run_job
from db.operations import Operation, Outcome
from db.suiftly.attention import attention
from db.suiftly.jobs.end_rotated_keys import EndRotatedKeys
from db.suiftly.keys.api_secret import NOT_SET, ApiSecret
from db.suiftly.keys.format import Service, decode, encode, fingerprint, sha256_hex
from db.suiftly.keys.issuer import Issuer
from db.suiftly.keys.keys import Keys
from db.suiftly.keys.metadata import KeyMetadata
from db.suiftly.operations.revoke_keys import RevokeKeys
from db.suiftly.operations.rotate_key import RotateKey
from tests.db.seed import CUSTOMER, OTHER_CUSTOMER, add_key
from tests.db.suiftly.key_shop import (
    ANN,
    DAY,
    ISSUER,
    OPEN,
    REASON,
    SECRET,
    do,
    end_now,
    new_key,
    open_shop,
    rotated,
    run,
    shown,
    states,
)
from tests.key_reader import read_key


@pytest.fixture
def shop(dsn: str) -> str:
    return open_shop(dsn)


def drawn(*ivs: int) -> Callable[[bytes, Service, int, KeyMetadata], str]:
    """Makes keys with these IVs, one after the other, and the last for ever."""
    left = itertools.chain(ivs, itertools.repeat(ivs[-1]))

    def make(secret: bytes, service: Service, customer: int, metadata: KeyMetadata) -> str:
        return encode(secret, service, customer, metadata, next(left).to_bytes(4))

    return make


async def test_a_new_key_is_handed_over_once_and_stands_nowhere_in_the_clear(database: Database, shop: str) -> None:
    operation, preview = await shown(database, new_key())
    assert "live keys: 0 → 1, of 20 at the most" in preview.changes
    receipt = await do(database, operation)
    assert receipt.done
    assert receipt.issued is not None
    key = receipt.issued.get_secret_value()
    told = decode(SECRET, key)
    assert (told.customer_id, told.service, told.metadata) == (CUSTOMER, Service.SEAL, OPEN)
    ((sealed, fp, hashed, metadata, active),) = run(
        shop, "SELECT api_key_id, api_key_fp, api_key_hash, metadata, is_active FROM api_keys"
    )
    assert read_key(SECRET, sealed) == key
    assert (fp, hashed, metadata, active) == (fingerprint(key), sha256_hex(key), OPEN.to_json(), True)
    row = await Audit(database).find(receipt.operation_id)
    assert row is not None
    assert row.subjects == receipt.subjects == (f"customer:{CUSTOMER}", f"key:{fp}")
    everything = run(shop, "SELECT a::text FROM console.audit a UNION ALL SELECT k::text FROM api_keys k")
    for text in (repr(everything), repr(receipt), repr(operation), repr(row), repr(preview)):
        assert key not in text
        assert key[10:20] not in text
        assert SECRET.hex() not in text
        assert repr(SECRET) not in text


async def test_a_fingerprint_that_is_taken_is_drawn_again(database: Database, shop: str) -> None:
    first = await do(database, new_key(issuer=replace(ISSUER, encode=drawn(1))))
    # The same IV for another customer is another key with the same fingerprint.
    second = await do(database, new_key(OTHER_CUSTOMER, replace(ISSUER, encode=drawn(1, 1, 2))))
    assert first.done
    assert second.done
    assert len(states(shop)) == 2
    never = await do(database, new_key(OTHER_CUSTOMER, replace(ISSUER, encode=drawn(1))))
    assert never.outcome is Outcome.REFUSED
    assert "fingerprints that are taken" in never.message
    assert never.issued is None


async def test_two_sessions_that_draw_the_same_fingerprint_both_get_a_key(database: Database, shop: str) -> None:
    operations = [
        new_key(customer, replace(ISSUER, encode=drawn(5, number)))
        for number, customer in ((6, CUSTOMER), (7, OTHER_CUSTOMER))
    ]
    receipts = await asyncio.gather(*(do(database, operation) for operation in operations))
    assert [receipt.outcome for receipt in receipts] == [Outcome.DONE] * 2
    assert len(states(shop)) == 2


async def test_a_customer_never_has_more_keys_than_the_most_also_by_two_at_once(database: Database, shop: str) -> None:
    issuer = replace(ISSUER, most_keys=3)
    receipts = await asyncio.gather(*(do(database, new_key(issuer=issuer)) for _ in range(5)))
    assert sorted(receipt.outcome.value for receipt in receipts) == ["done"] * 3 + ["refused"] * 2
    refused = next(receipt for receipt in receipts if not receipt.done)
    assert "has 3 live keys, and 3 is the most; revoke one first" in refused.message
    assert len(states(shop)) == 3
    # A rotation adds none in the end, and what is on its way out does not count; what is revoked neither.
    one, *_ = states(shop)
    assert (await do(database, RotateKey(one, DAY, issuer))).done
    assert not (await do(database, new_key(issuer=issuer))).done
    new = next(fp for fp in states(shop) if fp not in [one, *_])
    assert (await do(database, RevokeKeys((new,)))).done
    assert (await do(database, new_key(issuer=issuer))).done


@pytest.mark.parametrize(
    ("change", "operation", "sentence"),
    [
        ("", new_key(customer=5), "there is no customer 5"),
        ("UPDATE customers SET status = 'suspended'", new_key(), "is suspended, and only active customers"),
        ("DELETE FROM service_instances", new_key(), "does not have the service seal"),
        ("", new_key(issuer=Issuer(ApiSecret(), 20)), NOT_SET),
        ("", RotateKey(42, DAY, Issuer(ApiSecret(), 20)), NOT_SET),
        ("", RotateKey(41, DAY, ISSUER), "no key with fingerprint 0x00000029"),
        ("", RotateKey(42, timedelta(seconds=30), ISSUER), "from 1m to 90d"),
        ("", RotateKey(42, timedelta(days=91), ISSUER), "from 1m to 90d"),
        ("UPDATE api_keys SET metadata = '{}'", RotateKey(42, DAY, ISSUER), "cannot be read"),
        ("UPDATE api_keys SET is_active = false, revoked_at = now()", RotateKey(42, DAY, ISSUER), "is revoked"),
        ("UPDATE customers SET status = 'suspended'", RotateKey(42, DAY, ISSUER), "is suspended"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_a_sentence(
    database: Database, shop: str, change: str, operation: Operation, sentence: str
) -> None:
    add_key(shop, 42, CUSTOMER)
    run(shop, "UPDATE api_keys SET metadata = %s", psycopg.types.json.Jsonb(OPEN.to_json()))
    if change:
        run(shop, change)
    before = states(shop)
    receipt = await do(database, operation)
    assert (receipt.outcome, receipt.issued) == (Outcome.REFUSED, None)
    assert sentence in receipt.message
    assert states(shop) == before


async def test_what_changed_under_the_question_is_stale(database: Database, shop: str) -> None:
    create, _ = await shown(database, new_key())
    assert (await do(database, new_key())).done
    assert (await do(database, create)).outcome is Outcome.STALE
    (fp,) = states(shop)
    rotate, _ = await shown(database, RotateKey(fp, DAY, ISSUER))
    run(shop, "UPDATE api_keys SET metadata = metadata || '{\"proc_group\": 2}'")
    assert (await do(database, rotate)).outcome is Outcome.STALE
    assert len(states(shop)) == 1


async def test_a_rotated_key_is_served_until_its_end_and_then_revoked_by_the_job(database: Database, shop: str) -> None:
    old, new = await rotated(database, shop)
    assert states(shop) == {old: True, new: True}
    key = await Keys(database).find(old)
    assert key is not None
    assert key.replaced_by == new
    assert key.ends_at is not None
    ((in_a_day,),) = run(shop, "SELECT ends_at - now() BETWEEN '23:59' AND '24:00' FROM console.key_end")
    assert in_a_day
    again = await do(database, RotateKey(old, DAY, ISSUER))
    assert again.outcome is Outcome.REFUSED
    assert f"is being replaced already by 0x{new:08x}" in again.message

    early = await run_job(database, EndRotatedKeys(), actor=ANN)
    assert early.message == "revoked 0 rotated keys"
    run(shop, "UPDATE console.key_end SET ends_at = now()")
    dry = await run_job(database, EndRotatedKeys(), actor=ANN, dry_run=True)
    assert dry.message == "would revoke 1 rotated keys"
    assert states(shop) == {old: True, new: True}
    assert await end_now(database, shop) == "revoked 1 rotated keys"
    assert states(shop) == {old: False, new: True}
    assert await end_now(database, shop) == "revoked 0 rotated keys"
    ended, *_ = await Audit(database).of((f"key:{old}",))
    assert (ended.action, ended.os_user, ended.ssh_source) == ("end-rotated-key", "ann", "198.51.100.7")
    assert ended.reason == f"replaced by 0x{new:08x}: {REASON}"
    assert ended.after is not None
    assert ended.after[f"key:{old}"]["is_active"] is False


async def test_a_key_that_nobody_ends_stands_in_the_attention_list(database: Database, shop: str) -> None:
    old, _ = await rotated(database, shop)
    for minutes, listed in ((4, False), (6, True)):
        run(shop, "UPDATE console.key_end SET ends_at = now() - make_interval(mins => %s)", minutes)
        async with database.reading() as connection:
            lines = [line for line in await attention(connection) if line.subject == f"key:{old}"]
        assert bool(lines) is listed
    assert "should have ended" in lines[0].sentence


async def test_the_end_leaves_a_key_alone_that_someone_works_on_and_comes_back(database: Database, shop: str) -> None:
    old, new = await rotated(database, shop)
    with psycopg.connect(shop) as other:
        other.execute("SELECT FROM api_keys WHERE api_key_fp = %s FOR UPDATE", (old,))
        assert await end_now(database, shop) == "revoked 0 rotated keys"
    assert await end_now(database, shop) == "revoked 1 rotated keys"
    assert states(shop) == {old: False, new: True}


async def test_two_runs_and_an_operator_end_a_key_once(database: Database, shop: str) -> None:
    old, _new = await rotated(database, shop)
    run(shop, "UPDATE console.key_end SET ends_at = now()")
    receipt, job = await asyncio.gather(
        do(database, RevokeKeys((old,))), run_job(database, EndRotatedKeys(), actor=Actor("cron", None))
    )
    assert (receipt.done, job.message) in [(True, "revoked 0 rotated keys"), (False, "revoked 1 rotated keys")]
    done = [row.action for row in await Audit(database).of((f"key:{old}",)) if row.outcome == "done"]
    assert len([action for action in done if action in ("revoke-keys", "end-rotated-key")]) == 1


async def test_a_simulated_business_has_its_own_secret(database: Database, shop: str) -> None:
    configured = ApiSecret(SECRET)
    async with database.reading() as connection:
        assert await configured.here(connection) == SECRET
    run(shop, "INSERT INTO console.simulation (seed, customers) VALUES (1, 2)")
    async with database.reading() as connection:
        own = await configured.here(connection)
        assert own != SECRET
        assert await ApiSecret().here(connection) == own
    assert (await do(database, new_key())).done
    ((sealed,),) = run(shop, "SELECT api_key_id FROM api_keys")
    assert decode(own, read_key(own, sealed)).customer_id == CUSTOMER

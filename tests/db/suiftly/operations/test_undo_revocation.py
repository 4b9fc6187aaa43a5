"""Taking a revocation back: by whom it may have been applied meanwhile decides, and only one of two at once."""

import asyncio

import psycopg
import pytest

from db.audit import Audit
from db.database import Database
from db.operations import Outcome
from db.suiftly.operations.revoke_keys import RevokeKeys
from db.suiftly.operations.undo_revocation import UndoRevocation
from tests.db.seed import CUSTOMER, add_key
from tests.db.suiftly.key_shop import REASON, do, end_now, open_shop, rotated, run, shown, states


@pytest.fixture
def shop(dsn: str) -> str:
    return open_shop(dsn)


def publish(dsn: str, seq: int, without: int | None = None) -> None:
    """A version of the MA vault, and the key that it no longer holds."""
    run(
        dsn,
        """INSERT INTO console.vault_version (vault, seq, path, sha256, key_id, customers, keys, built_at, operation_id)
           VALUES ('ma', %s, '/x', repeat('0', 64), 'k', 1, 1, now(), gen_random_uuid())""",
        seq,
    )
    if without is not None:
        run(dsn, "INSERT INTO console.vault_removed_key VALUES (%s, 'ma', %s)", without, seq)


_REPORT = """
    INSERT INTO console.gateway_vault VALUES (%s, 'ma', %s, now(), NULL)
    ON CONFLICT (gateway, vault) DO UPDATE SET applied_seq = excluded.applied_seq, seen_at = excluded.seen_at
"""


async def test_a_revocation_can_be_undone_until_a_gateway_has_applied_it(database: Database, shop: str) -> None:
    for number in (42, 43):
        add_key(shop, number, CUSTOMER)
    publish(shop, 1)
    run(shop, _REPORT, "r1-s01", 1)
    assert (await do(database, RevokeKeys((42, 43)))).done
    _, preview = await shown(database, UndoRevocation((42,)))
    assert "1 gateway(s) report what they apply, and none has applied the revocation." in preview.consequences
    publish(shop, 2, without=42)  # out of the vault, but nobody has it yet
    undone = await do(database, UndoRevocation((42,)))
    assert undone.done, undone.message
    assert states(shop) == {42: True, 43: False}
    row = await Audit(database).find(undone.operation_id)
    assert row is not None
    assert row.before is not None
    assert (row.before["key:42"]["revoked_by"], row.before["key:42"]["revocation_reason"]) == ("ann", REASON)

    run(shop, _REPORT, "r1-s01", 2)  # of the undone revocation
    publish(shop, 3)
    assert (await do(database, RevokeKeys((42,)))).done
    assert (await do(database, UndoRevocation((42,)))).done  # the new one is in no version yet
    assert (await do(database, RevokeKeys((42,)))).done
    publish(shop, 4, without=42)
    run(shop, _REPORT, "r2-s01", 5)
    refused = await do(database, UndoRevocation((42, 43)))
    assert refused.outcome is Outcome.REFUSED
    assert "gateway r2-s01 has applied the revocation of 0x0000002a already (version 5)" in refused.message
    assert states(shop) == {42: False, 43: False}
    assert (await do(database, UndoRevocation((43,)))).done


async def test_after_the_window_or_of_a_closed_customer_nothing_is_undone(database: Database, shop: str) -> None:
    add_key(shop, 42, CUSTOMER)
    assert (await do(database, RevokeKeys((42,)))).done
    _, preview = await shown(database, UndoRevocation((42,)))
    assert preview.consequences[0].startswith("No gateway reports what it applies")
    run(shop, "UPDATE customers SET status = 'closed'")
    assert "is closed" in (await do(database, UndoRevocation((42,)))).message
    run(shop, "UPDATE customers SET status = 'suspended'")
    run(shop, "UPDATE api_keys SET revoked_at = now() - interval '15 minutes 1 second'")
    assert "can be undone for 15m" in (await do(database, UndoRevocation((42,)))).message
    run(shop, "UPDATE api_keys SET revoked_at = now() - interval '14 minutes'")
    assert (await do(database, UndoRevocation((42,)))).done


async def test_a_report_under_way_is_waited_for_and_decides(database: Database, shop: str) -> None:
    add_key(shop, 42, CUSTOMER)
    assert (await do(database, RevokeKeys((42,)))).done
    publish(shop, 1, without=42)
    with psycopg.connect(shop) as gateway:
        gateway.execute(_REPORT, ("r1-s01", 1))  # not yet committed: nobody sees it
        undo, _ = await shown(database, UndoRevocation((42,)))
        trying = asyncio.create_task(do(database, undo))
        await waits(shop)
        gateway.commit()
    receipt = await trying
    assert receipt.outcome is Outcome.REFUSED
    assert "gateway r1-s01 has applied" in receipt.message
    assert states(shop) == {42: False}


async def waits(dsn: str) -> None:
    """Until a session waits for a lock."""
    statement = """SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    for _ in range(200):
        if run(dsn, statement):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("nobody waits")


async def test_an_end_that_is_undone_does_not_come_again(database: Database, shop: str) -> None:
    old, new = await rotated(database, shop)
    await end_now(database, shop)
    undo, preview = await shown(database, UndoRevocation((old,)))
    assert f"0x{old:08x} was rotated: it no longer ends by itself." in preview.consequences
    assert (await do(database, undo)).done
    assert states(shop) == {old: True, new: True}
    assert await end_now(database, shop) == "revoked 0 rotated keys"
    assert states(shop) == {old: True, new: True}


async def test_a_rotated_key_that_was_revoked_early_and_brought_back_still_ends(database: Database, shop: str) -> None:
    old, new = await rotated(database, shop)
    assert (await do(database, RevokeKeys((old,)))).done
    assert (await do(database, UndoRevocation((old,)))).done
    assert await end_now(database, shop) == "revoked 1 rotated keys"
    assert states(shop) == {old: False, new: True}
    # Once it can no longer be undone, nothing is kept of it.
    run(shop, "UPDATE api_keys SET revoked_at = now() - interval '16 minutes' WHERE NOT is_active")
    await end_now(database, shop)
    assert run(shop, "SELECT api_key_fp FROM console.key_end") == []


@pytest.mark.parametrize(
    ("fingerprints", "sentence"), [((42,), "key 0x0000002a is live"), ((41,), "no key with"), ((), "between 1 and 500")]
)
async def test_where_nothing_was_revoked_nothing_is_undone(
    database: Database, shop: str, fingerprints: tuple[int, ...], sentence: str
) -> None:
    add_key(shop, 42, CUSTOMER)
    receipt = await do(database, UndoRevocation(fingerprints))
    assert receipt.outcome is Outcome.REFUSED
    assert sentence in receipt.message

"""What the screens look like: compared with pictures that somebody has looked at."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from pydantic import SecretStr

from console.live import Link
from console.settings import Profile, Settings
from tests.console.frozen import BUSY_CUSTOMER, BUSY_KEY, NOW, OLD_KEY, FrozenDatabase, FrozenSource, freeze, seed
from tests.console.screens import SIZE, Operator, WatchedDeck, operator_at, query
from tests.screen_snapshots import Snapshots

SMALL = (80, 24)


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    freeze(monkeypatch)


@asynccontextmanager
async def frozen_console(dsn: str, size: tuple[int, int] = SIZE) -> AsyncGenerator[tuple[Operator, FrozenDatabase]]:
    """A console on the frozen business, at a moment that does not pass."""
    seed(dsn)
    database = FrozenDatabase(dsn)
    await database.open()
    settings = Settings("production", Profile(production=True), SecretStr(dsn), read_only=False)
    try:
        async with operator_at(WatchedDeck(FrozenSource(database), settings), size=size) as deck:
            await deck.until(lambda: deck.app.deck_state.control is not None, "the flags are known")
            yield deck, database
    finally:
        await database.close()


async def picture(deck: Operator) -> str:
    """Once nothing moves any more."""
    painted = -1
    while painted != deck.app.painted:
        painted = deck.app.painted
        await deck.settle()
    return deck.app.export_screenshot(simplify=True)


SCREENS = (
    ("overview", "overview", "requests/s"),
    ("customers", "customers", "900001"),
    ("customer", f"customer {BUSY_CUSTOMER}", "0x7b3d10c4"),
    ("keys", "keys", "0x7b3d10c4"),
    ("key", f"key {BUSY_KEY}", "48,213"),
    ("key-revoked", f"key {OLD_KEY}", "same finding"),
    ("audit", "audit", "same finding"),
    ("database", "database", "▲ blocks 2"),
    ("control", "control", "000000011-"),
    ("billing", "billing 2026-02", "5e1f0000"),
    ("billing-empty", "billing 2026-01 failed", "No bill matches."),
    ("bill", "bill 5e1f0000-0000-4000-8000-000000000003", "40.98000000"),
    ("ledger", "ledger 1042", "it names no bill"),
    ("groups", "groups customer 1h !class:burst status:2xx,4xx,5xx", "48,213"),
    ("requests", "requests", "lag 0.3 s"),
    ("usage", "usage", "bytes, in 15 min   · sent"),
    ("usage-empty", "usage customer:7", "latency: none"),
    ("customers-empty", "customers 31337", "No customer matches."),
)
IN_CONFLICT = """
WITH escrow AS (
    INSERT INTO escrow_transactions (customer_id, tx_digest, tx_type, amount, asset_type, timestamp)
    VALUES (1042, repeat('08', 32), 'charge', 2.5, '0x2::usdc::USDC', '2026-03-13 10:00:00Z')),
ledger AS (
    INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, tx_hash, created_at)
    VALUES (1042, 'charge', -250, repeat('08', 32), '2026-03-13 10:00:00Z'))
INSERT INTO console.chain_event (tx_digest, event_index, checkpoint, tx_index, at, type, fields, account_id, kind,
                                 amount_usd, cents, customer_id, outcome, note)
VALUES (decode(repeat('08', 32), 'hex'), 0, 210412345, 3, '2026-03-13 10:00:02Z',
        '0x' || repeat('ab', 32) || '::escrow::ChargeEvent', '{"amount": "255"}', '0x' || repeat('e5', 32), 'charge',
        2.55, 255, 1042, 'conflict', 'the books have under this digest: charge of $2.50 for customer 1042')
"""
SMALL_SCREENS = ("overview", "customer", "requests", "groups", "audit", "database", "control", "billing", "ledger")


async def test_loaded_screens(dsn: str, snapshots: Snapshots) -> None:
    async with frozen_console(dsn) as (deck, _):
        for name, command, loaded in SCREENS:
            await deck.say(":", command)
            await deck.sees(loaded)
            snapshots.check(name, await picture(deck))
        await deck.press("4")
        await deck.sees("backend 504")
        await deck.press("enter")
        await deck.sees("Failed behind the gateway")
        snapshots.check("request", await picture(deck))
        await deck.press("escape")
        query(dsn, IN_CONFLICT)
        await deck.say(":", f"event {'08' * 32}:0")
        await deck.sees("stands for no event")
        snapshots.check("event", await picture(deck))


async def test_loaded_screens_on_a_small_terminal(dsn: str, snapshots: Snapshots) -> None:
    async with frozen_console(dsn, SMALL) as (deck, _):
        await deck.press("5")
        await deck.sees("5,850,112 requests")
        snapshots.check("usage-80x24", await picture(deck))
        await deck.press("v", "pageup")
        await deck.sees("+ p95")
        snapshots.check("usage-latency-80x24", await picture(deck))
        for name, command, loaded in SCREENS:
            if name in SMALL_SCREENS:
                await deck.say(":", command)
                await deck.sees(loaded)
                snapshots.check(f"{name}-80x24", await picture(deck))
        await deck.press("enter")
        await deck.sees("Failed behind the gateway")
        snapshots.check("request-80x24", await picture(deck))
        await deck.press("escape")
        await deck.say(":", "keys")
        await deck.sees("0x7b3d10c4")
        await deck.press("space", "down", "space", "ctrl+r")
        await deck.sees("Revoke 2 keys", "from 212 addresses")
        snapshots.check("revoke-many-80x24", await picture(deck))


async def test_help_the_dialog_and_the_refusal_of_a_revocation(dsn: str, snapshots: Snapshots) -> None:
    async with frozen_console(dsn) as (deck, _):
        await deck.say(":", "keys")
        await deck.sees("0x7b3d10c4")
        await deck.press("question_mark")
        await deck.sees("everywhere")
        snapshots.check("help", await picture(deck))
        await deck.press("escape", "down", "ctrl+r")
        await deck.sees("from 212 addresses")
        snapshots.check("revoke", await picture(deck))
        await deck.press("escape")
        await deck.sees("Nothing was changed.")
        await deck.sees_no("Nothing was changed.")
        query(
            dsn,
            "UPDATE api_keys SET is_active = false, revoked_at = %s, revoked_by = 'bob' WHERE api_key_fp = %s",
            NOW,
            BUSY_KEY,
        )
        await deck.press("ctrl+r")
        await deck.sees("revoked already")
        snapshots.check("refused", await picture(deck))


async def test_keys_while_the_connection_is_lost(dsn: str, snapshots: Snapshots) -> None:
    async with frozen_console(dsn) as (deck, database):
        await deck.say(":", "keys")
        await deck.sees("0x7b3d10c4")
        database.cut = True
        deck.app.live.changed.publish("*")
        await deck.sees("the database does not answer")
        deck.app.deck_state = replace(deck.app.deck_state, link=Link(up=False, since=NOW, retry_s=3))
        await deck.sees("✕ connection lost, retry in 3 s")
        snapshots.check("keys-stale", await picture(deck))

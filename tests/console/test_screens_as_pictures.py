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


@pytest.mark.parametrize(
    ("name", "command", "loaded", "size"),
    [
        ("overview", "overview", "requests/s", SIZE),
        ("overview-80x24", "overview", "requests/s", SMALL),
        ("customers", "customers", "900001", SIZE),
        ("customers-empty", "customers 31337", "No customer matches.", SIZE),
        ("customer", f"customer {BUSY_CUSTOMER}", "0x7b3d10c4", SIZE),
        ("customer-80x24", f"customer {BUSY_CUSTOMER}", "0x7b3d10c4", SMALL),
        ("keys", "keys", "0x7b3d10c4", SIZE),
        ("key", f"key {BUSY_KEY}", "48,213", SIZE),
        ("key-revoked", f"key {OLD_KEY}", "same finding", SIZE),
        ("requests", "requests", "backend 504", SIZE),
        ("requests-80x24", "requests", "backend 504", SMALL),
    ],
)
async def test_a_loaded_screen(
    dsn: str, snapshots: Snapshots, name: str, command: str, loaded: str, size: tuple[int, int]
) -> None:
    async with frozen_console(dsn, size) as (deck, _):
        await deck.say(":", command)
        await deck.sees(loaded)
        snapshots.check(name, await picture(deck))


async def test_keys_while_the_connection_is_lost(dsn: str, snapshots: Snapshots) -> None:
    async with frozen_console(dsn) as (deck, database):
        await deck.press("3")
        await deck.sees("0x7b3d10c4")
        database.cut = True
        deck.app.live.changed.publish("*")
        await deck.sees("the database does not answer")
        deck.app.deck_state = replace(deck.app.deck_state, link=Link(up=False, since=NOW, retry_s=3))
        await deck.sees("✕ connection lost, retry in 3 s")
        snapshots.check("keys-stale", await picture(deck))


async def test_the_dialog_before_a_revocation(dsn: str, snapshots: Snapshots) -> None:
    async with frozen_console(dsn) as (deck, _):
        await deck.say(":", f"key {BUSY_KEY}")
        await deck.sees("48,213")
        await deck.press("ctrl+r")
        await deck.sees("from 212 address(es)")
        snapshots.check("revoke", await picture(deck))


async def test_the_dialog_before_a_revocation_on_a_small_terminal(dsn: str, snapshots: Snapshots) -> None:
    async with frozen_console(dsn, SMALL) as (deck, _):
        await deck.press("3")
        await deck.sees("0x7b3d10c4")
        await deck.press("space", "down", "space", "ctrl+r")
        await deck.sees("Revoke 2 keys", "from 212 address(es)")
        snapshots.check("revoke-many-80x24", await picture(deck))


async def test_a_refused_revocation(dsn: str, snapshots: Snapshots) -> None:
    async with frozen_console(dsn) as (deck, _):
        await deck.press("3")
        await deck.sees("0x7b3d10c4")
        query(
            dsn,
            "UPDATE api_keys SET is_active = false, revoked_at = %s, revoked_by = 'bob' WHERE api_key_fp = %s",
            NOW,
            0x0100607B,
        )
        await deck.press("ctrl+r")
        await deck.sees("revoked already")
        snapshots.check("refused", await picture(deck))


@pytest.mark.parametrize(("name", "size"), [("request", SIZE), ("request-80x24", SMALL)])
async def test_a_request_explained(dsn: str, snapshots: Snapshots, name: str, size: tuple[int, int]) -> None:
    async with frozen_console(dsn, size) as (deck, _):
        await deck.press("4")
        await deck.sees("backend 504")
        await deck.press("enter")
        await deck.sees("Failed behind the gateway")
        snapshots.check(name, await picture(deck))


async def test_help(dsn: str, snapshots: Snapshots) -> None:
    async with frozen_console(dsn) as (deck, _):
        await deck.press("3")
        await deck.sees("0x7b3d10c4")
        await deck.press("question_mark")
        await deck.sees("everywhere")
        snapshots.check("help", await picture(deck))

"""The control screen: a flag with its end, and what differs between versions of a vault."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from console.parts.control_facts import keeping_facts
from console.settings import Profile, Settings
from db.database import Database
from db.source import LogKeeping, SystemControl
from tests.console.command import all_of
from tests.console.screens import Operator, WatchedDeck, console, locked, operator_at, query
from tests.db.suiftly.jobs.publishing import Press, business, press, revoke

SURE = ("--reason", "moving house", "--yes")


async def confirm(deck: Operator) -> None:
    await deck.sees("Cancel")
    await deck.type("moving house")
    await deck.press("tab", "tab", "enter")


@pytest.mark.parametrize(
    ("parts", "minutes", "uncompressed", "told"),
    [
        (1, 20, 0, ("2d; 1 chunk there, the oldest ends in 20 min", "after 6h; all are")),
        (9, -90, 3, ("2d; 9 chunks there, the oldest ended 90 min ago", "after 6h; 3 past it and not compressed")),
    ],
)
def test_how_the_log_is_kept_in_words(parts: int, minutes: int, uncompressed: int, told: tuple[str, str]) -> None:
    now = datetime.now(UTC)
    kept = timedelta(days=2), timedelta(hours=6), True, parts, 0, uncompressed, now + timedelta(minutes=minutes), None
    control = SystemControl(None, None, None, False, None, now, now, "ann", True)
    assert tuple(fact[1] for fact in keeping_facts(LogKeeping(*kept), control)) == told


async def test_maintenance_is_turned_on_for_a_while_and_off_again_and_told_with_who_and_why(dsn: str) -> None:
    async with console(dsn) as deck:
        async with locked(dsn, "console.vault_version"):
            await deck.say(":", "control")
            await deck.sees("loading …")
            await deck.press("ctrl+t")
            await deck.sees("The flags are not loaded yet")
        await deck.sees("maintenance_mode", "off", "pauses new signups, nothing else", "log kept for", "No vault was")
        await deck.press("n")
        await deck.sees("nothing to compare with")
        await deck.press("ctrl+t")
        await deck.paste("soon")
        await deck.press("enter")
        await deck.sees("'soon' is not an age")
        await deck.press("ctrl+u")
        await deck.paste("2h")
        await deck.press("enter")
        await deck.sees("Turn maintenance mode on", "gateways serve on", "It ends at 2", ":")
        assert re.search(r"until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC +│", deck.text), "to the second"
        ends, why = (next(y for y, line in enumerate(deck.lines) if words in line) for words in ("It ends at", "Why?"))
        assert why - ends == 2, "no room is kept for a blast radius that there is not"
        await deck.press("escape")
        await deck.sees("Nothing was changed")
        assert query(dsn, "SELECT maintenance_mode FROM system_control") == [(False,)]
        await deck.press("ctrl+t", "2", "h", "enter")
        await confirm(deck)
        await deck.sees("on, until 2", "MAINTENANCE", ": moving house")
        assert query(dsn, "SELECT maintenance_mode FROM system_control") == [(True,)]
        query(dsn, "UPDATE console.control_flag SET until = now()")
        deck.app.vitals.wake()  # nobody turns it off: the console does, at its time
        await deck.sees("it was set until 2")
        await deck.sees_no("MAINTENANCE")
        assert query(dsn, "SELECT maintenance_mode FROM system_control") == [(False,)]
    async with console(dsn, read_only=True) as deck:
        await deck.say(":", "control")
        await deck.sees("maintenance_mode")
        assert "Maintenance" not in deck.footer


@pytest.fixture
async def vault(dsn: str, database: Database, tmp_path: Path) -> Press:
    """Two versions, key 11 only in the first; 12 revoked since the second."""
    business(dsn)
    made = press(dsn, database, tmp_path)
    await made.published()
    revoke(dsn, 11)
    await made.published()
    revoke(dsn, 12)
    return made


async def test_versions_are_compared_checked_and_published(vault: Press) -> None:
    settings = Settings("default", Profile(), SecretStr(vault.dsn), read_only=False)
    async with operator_at(WatchedDeck(vault.source, settings)) as deck:
        await deck.say(":", "control")
        await deck.sees("000000002-", "000000001-", "ann, 20")
        await deck.press("enter")
        await deck.sees("1 key removed", "seal key 0x0000000b", "inside")
        await deck.press("n")
        await deck.sees("what would be published now: 1 key removed", "0x0000000c")
        await deck.press("r")
        await deck.sees("opens with key k1 and is what was published: 4 customers, 4 keys")
        await deck.press("ctrl+g")
        await deck.sees("Run generate-ma-vault", "the gateways serve by it", "shell: opsdeck jobs run generate-ma")
        assert "Why?" not in deck.text
        await deck.press("enter")  # on Cancel
        await deck.sees("It was not run.")
        assert query(vault.dsn, "SELECT count(*) FROM console.vault_version") == [(2,)]
        await deck.press("ctrl+g")
        await deck.sees("Cancel")
        await deck.press("tab", "enter")
        await deck.sees("000000003-")
        await deck.press("home", "space", "enter")
        await deck.sees("mark two versions of one vault")
        await deck.press("down", "down", "space", "enter")
        await deck.sees("2 keys removed", "0x0000000b", "0x0000000c")
        await deck.press("tab", "enter")
        await deck.sees("key 0x0000000b")
        assert "key 0x0000000b" in deck.header
        vault.directory.joinpath(vault.files()[0]).write_bytes(b"no vault")
        await deck.press("escape", "shift+tab", "end", "r")
        await deck.until(lambda: "is not a vault" in deck.prose, "what is wrong")
        await deck.say(":", "customer 1")
        await deck.sees("^t Status")
        await deck.press("ctrl+t")
        await deck.sees("Suspend customer 1", "ctrl+g: publish the ma vault too.")
        await deck.press("ctrl+g", "ctrl+g")
        await deck.sees("ctrl+g: publish the ma vault too.", "shell: opsdeck customers suspend 1 --reason")
        await deck.press("ctrl+g")
        await deck.sees("Then the ma vault is published", "shell: opsdeck customers suspend 1 --publish --reason")
        await deck.type("abuse")
        await deck.press("tab", "1", "tab", "tab", "enter")
        await deck.until(lambda: "Version 4 of the ma vault" in deck.prose, "what holds it")
    assert vault.content()["customers"]["1"]["status"] == "suspended"


async def test_a_gateway_that_is_late_is_told_on_every_screen_that_should_and_in_the_shell(vault: Press) -> None:
    for gateway, seq, error in (("r1-s03", 1, None), ("r2-s07", 2, None), ("r2-s08", 1, "it does not open")):
        query(vault.dsn, "INSERT INTO console.gateway_vault VALUES (%s, 'ma', %s, now(), %s)", gateway, seq, error)
    query(vault.dsn, "UPDATE console.vault_version SET published_at = published_at - interval '5 min'")
    late = "gateway r1-s03 has not applied the ma vault: r1-s03 at 1, 5m, published is 2; and 1 more"
    async with console(vault.dsn) as deck:
        await deck.sees("▲ bad", late[:40])
        deck.app.screen.query_one("#attention").focus()
        await deck.press("enter")
        await deck.sees("gateways", "3 of 3 reporting, 1 in_sync, 1 late (r1-s03 at 1, 5m), 1 error (r2-s08 at 1, 5m)")
        table = [line.lstrip("› ").split() for line in deck.lines]
        served = [row[:5] for row in table if row[:1] and row[0] in ("r1-s03", "r2-s07", "r2-s08")]
        assert served == [
            ["r1-s03", "ma", "1", "2", "late"],
            ["r2-s08", "ma", "1", "2", "error"],
            ["r2-s07", "ma", "2", "2", "in_sync"],
        ]  # fmt: skip
        await deck.press("shift+tab", "enter")
        await deck.sees("server:r1-s03")
    shown, text, doctor = all_of(vault.dsn, [("control", "show", "--json"), ("control", "show"), ("doctor",)])
    assert [(one["gateway"], one["state"], one["applied_seq"]) for one in shown.json["gateways"]] == [
        ("r1-s03", "late", 1), ("r2-s07", "in_sync", 2), ("r2-s08", "error", 1),
    ]  # fmt: skip
    assert "gateways: 3 of 3 reporting" in text.out
    assert "it does not open" in text.out
    assert doctor.code == 1
    assert "warn  gateways     3 of 3 reporting" in doctor.out
    assert late in doctor.out


def test_flags_are_shown_and_set_from_the_shell(dsn: str) -> None:
    wrong = all_of(
        dsn,
        [
            ("control", "set", "maintenance_mode", "maybe", *SURE),
            ("control", "set", "ma_vault_version", "000000001-0", *SURE),
            ("control", "set", "colour", "blue", *SURE),
            ("control", "set", "maintenance_mode", "off", "--for", "2h", *SURE),
            ("control", "set", "maintenance_mode", "on", "--yes"),
        ],
    )
    words = ("on or off", "generate-ma-vault", "no flag 'colour'", "off has no end", "--reason")
    for result, word in zip(wrong, words, strict=True):
        assert word in result.complained(2)
    assert query(dsn, "SELECT maintenance_mode FROM system_control") == [(False,)]
    (done,) = all_of(dsn, [("control", "set", "maintenance_mode", "on", "--for", "30m", "--json", *SURE)])
    assert (done.code, done.json["outcome"]) == (0, "done")
    shown, text = all_of(dsn, [("control", "show", "--json"), ("control", "show")])
    assert shown.json["control"]["maintenance_mode"] is True
    assert shown.json["control"]["maintenance_until"] is not None
    assert shown.json["fields"][0]["name"] == "maintenance_mode"
    assert shown.json["log"]["overdue"] == 0
    assert "moving house" in text.out

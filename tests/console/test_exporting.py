"""Exports from the log on screen: the dialog, the file, progress in the header, and stopping it."""

import asyncio
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from db.database import Limits
from tests.console.command import terminal, until
from tests.console.screens import Operator, audit_rows, console, query, waits_for_a_lock
from tests.db.seed import CUSTOMER, add_request


@pytest.fixture
def log(dsn: str) -> str:
    query(dsn, "INSERT INTO customers (customer_id, wallet_address) VALUES (%s, %s)", CUSTOMER, f"0x{1:064x}")
    for nth in range(4):
        add_request(dsn, bytes_sent=nth, path_prefix=f"path{nth}", status_code=503 if nth == 2 else 200)
    return dsn


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def asked(deck: Operator, file: Path) -> None:
    """The dialog with this name typed into it."""
    await deck.press("ctrl+o")
    await deck.sees("Export the log")
    await deck.press("ctrl+u")
    await deck.paste(str(file))
    await deck.settle()


async def test_what_is_held_under_the_filter_is_written_and_on_record(log: str, tmp_path: Path) -> None:
    add_request(log, timestamp="2020-01-01", bytes_sent=99)
    async with console(log) as deck:
        await deck.press("4")
        await deck.sees("path3")
        await deck.say("/", "!status:5xx")
        await deck.sees_no("path2")
        await deck.sees("path3")
        await asked(deck, tmp_path / "a.jsonl")
        assert "!status:5xx" in deck.text
        assert "Client addresses in it are masked. It goes on record." in deck.prose
        shell = deck.prose.partition("shell: ")[2].partition(" Cancel")[0]
        assert "opsdeck export" in shell
        assert "--status '!5xx' --from 20" in shell
        await deck.press("enter")
        await deck.sees("Exported")
        assert "3 rows in" in deck.prose
        assert "client addresses are masked; on record as" in deck.prose
        await deck.sees_no("exporting")
    text = (tmp_path / "a.jsonl").read_text()
    assert [json.loads(line)["bytes_sent"] for line in text.splitlines()] == [0, 1, 3]
    assert stat.S_IMODE((tmp_path / "a.jsonl").stat().st_mode) == 0o600
    (row,) = audit_rows(log)
    assert (row["action"], row["after"]["export"]["filter"]) == ("export-requests", "!status:5xx")


async def test_a_window_is_written_whole_though_only_its_newest_rows_are_held(log: str, tmp_path: Path) -> None:
    for nth in range(600):
        add_request(log, timestamp=datetime.now(UTC) - timedelta(minutes=12), path_prefix=f"old{nth}")
    add_request(log, timestamp=datetime.now(UTC) - timedelta(minutes=20), path_prefix="older")
    async with console(log) as deck:
        await deck.press("4")
        await deck.sees("path3")
        await deck.press("3")
        await deck.sees("window: 15m")
        await asyncio.sleep(0.3)  # what is shown is older than the window's name until the next frame
        await deck.sees("path3")
        await asked(deck, tmp_path / "a.jsonl")
        await deck.press("enter")
        await deck.sees("Exported")
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 604


async def test_pseudonyms_are_said_in_words_and_put_in_the_file(log: str, tmp_path: Path) -> None:
    async with console(log, size=(80, 24)) as deck:
        await deck.press("4")
        await deck.sees("path3")
        await asked(deck, tmp_path / "a.csv")
        assert "Customers and keys: as they are logged" in deck.text
        await deck.press("tab", "enter")
        await deck.sees("Customers and keys: pseudonyms", "--anonymise")
        await deck.press("shift+tab", "enter")
        await deck.sees("Exported")
    text = (tmp_path / "a.csv").read_text()
    assert text.count("customer-") == 4
    assert str(CUSTOMER) not in text


async def test_a_name_that_says_no_format_and_a_file_that_is_there_are_told(log: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mine")
    async with console(log) as deck:
        await deck.press("4")
        await deck.sees("path3")
        await asked(deck, tmp_path / "a.txt")
        await deck.press("enter")
        await deck.sees("has to end in .csv, .json or .jsonl")
        for file, refusal in (
            (tmp_path / "a.csv", "exists already"),
            (tmp_path / "no" / "a.csv", "is no folder"),
            (Path("/proc/a.csv"), "cannot be written to"),
        )[: 2 if os.geteuid() == 0 else 3]:  # nothing tells root beforehand
            await deck.press("ctrl+u")
            await deck.paste(str(file))
            await deck.press("enter")
            await deck.until(lambda refusal=refusal: refusal in deck.prose, refusal)
            assert "Export the log" in deck.text  # what was typed is still there to be changed
        await deck.press("escape")
        await deck.sees_no("Export the log")
    assert (tmp_path / "a.csv").read_text() == "mine"
    assert names(tmp_path) == ["a.csv"]
    assert audit_rows(log) == []


async def test_the_key_pressed_again_stops_it_also_from_a_screen_left_meanwhile(log: str, tmp_path: Path) -> None:
    async with console(log, limits=Limits(lock_s=30)) as deck:
        await deck.press("4")
        await deck.sees("path3")
        with psycopg.connect(log) as holder:
            await asyncio.to_thread(holder.execute, "LOCK console.audit")
            await asked(deck, tmp_path / "a.csv")
            await deck.press("enter")
            await deck.sees("exporting 4 rows, 100%, ctrl+o stops")
            await deck.until(lambda: waits_for_a_lock(log), "all is written but the record")
            assert len(names(tmp_path)) == 1
            await deck.say(":", "overview")
            await deck.sees("overview", "exporting 4 rows")
            await deck.press("4", "ctrl+o")
            await deck.sees("The export was stopped; nothing is left of it.")
            await deck.sees_no("exporting")
        assert names(tmp_path) == []
        await asked(deck, tmp_path / "b.csv")
        await deck.press("enter")
        await deck.sees("Exported")
    assert names(tmp_path) == ["b.csv"]
    assert len(audit_rows(log)) == 1


def test_leaving_the_console_leaves_no_half_of_a_file(log: str, tmp_path: Path) -> None:
    with psycopg.connect(log) as holder, terminal(log) as screen:
        screen.wait_for("connected")
        screen.type("4")
        screen.wait_for("path3")
        holder.execute("LOCK console.audit")
        screen.type("\x0f")
        screen.wait_for("Export the log")
        screen.type("\x15")
        screen.wait_for("export FILE")
        screen.type(f"{tmp_path / 'a.csv'}")
        screen.wait_for("a.csv")
        screen.type("\r")
        until(lambda: waits_for_a_lock(log))
        assert len(names(tmp_path)) == 1
        screen.type("q")
        assert screen.end() == 0
        assert names(tmp_path) == []


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose name does not break the sentence that tells it."""
    with tempfile.TemporaryDirectory(prefix="x") as folder:
        yield Path(folder)


async def test_a_read_only_console_exports_masked_and_says_that_it_is_not_on_record(log: str, short_path: Path) -> None:
    async with console(log, read_only=True) as deck:
        await deck.press("4")
        await deck.sees("path3")
        await asked(deck, short_path / "a.csv")
        assert "It is not put on record: this console is read-only." in deck.prose
        await deck.press("enter")
        await deck.sees("Exported", "not on record")
    assert (short_path / "a.csv").read_text().count("203.0.x.x") == 4


async def test_an_empty_log_has_nothing_to_export(dsn: str) -> None:
    async with console(dsn) as deck:
        await deck.press("4", "ctrl+o")
        await deck.sees("There is no row to export.")

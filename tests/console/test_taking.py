"""Rows taken away: the bytes a terminal gets to copy, plain lines on the normal screen, and the way back."""

import base64
import re
import signal
from pathlib import Path

import pytest

from tests.console.command import Terminal, terminal, until
from tests.console.screens import console
from tests.db.seed import add_request

_OSC52 = re.compile(r"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07")
_CALL = "enter goes back to opsdeck"


def configured(folder: Path, setting: str) -> str:
    path = folder / "config.toml"
    path.write_text(f'[profiles.default]\nclipboard = "{setting}"\n')
    return str(path)


def at_the_log(screen: Terminal, row: str) -> None:
    screen.wait_for("connected")
    screen.type("4")
    screen.wait_for(row)


def copied(screen: Terminal) -> list[str]:
    return [base64.b64decode(found).decode() for found in _OSC52.findall(screen.seen)]


@pytest.fixture
def three(dsn: str) -> str:
    for path in ("one/a", "two/b", "three/c"):
        add_request(dsn, path_prefix=path)
    return dsn


def test_rows_are_copied_as_they_are_shown_and_the_route_is_named(three: str) -> None:
    with terminal(three, TMUX="") as screen:
        at_the_log(screen, "three/c")
        screen.type("o")
        screen.wait_for("Copied 1 row by OSC 52")
        (line,) = copied(screen)
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  200     40 r1-s03 seal     4294967295 0x0000002a three/c", line), (
            line
        )
        assert "\x1bPtmux" not in screen.seen
        assert "203.0" not in line
        screen.type(" ")
        screen.type("kk ")
        screen.type("o")
        screen.wait_for("Copied 2 rows")
        assert [line.split()[-1] for line in copied(screen)[1].split("\n")] == ["one/a", "three/c"]


@pytest.mark.parametrize(("setting", "inside"), [("auto", "/tmp/tmux-0/default,1,0"), ("tmux", "")])
def test_inside_tmux_it_is_said_to_tmux_and_through_it(three: str, tmp_path: Path, setting: str, inside: str) -> None:
    with terminal(three, TMUX=inside, OPSDECK_CONFIG=configured(tmp_path, setting)) as screen:
        at_the_log(screen, "three/c")
        screen.type("o")
        screen.wait_for("set-clipboard on")
        assert re.search(r"Copied 1 row by OSC 52 through\W+tmux", screen.seen)
        wrapped = re.search(r"\x1bPtmux;\x1b(\x1b\]52;c;[A-Za-z0-9+/=]+\x07)\x1b\\", screen.seen)
        assert wrapped
        assert screen.seen.count(wrapped[1]) == 2, "once for tmux, once for the terminal around it"
        assert copied(screen)[0].endswith("three/c")


def test_where_the_clipboard_is_off_nothing_is_sent(three: str, tmp_path: Path) -> None:
    with terminal(three, TMUX="", OPSDECK_CONFIG=configured(tmp_path, "off")) as screen:
        at_the_log(screen, "three/c")
        screen.type("o")
        screen.wait_for("the clipboard is off")
        assert copied(screen) == []


async def test_more_than_a_terminal_takes_is_refused_whole(three: str) -> None:
    async with console(three) as deck:
        deck.app.taking.copy(["x" * 99] * 740)
        await deck.sees("Copied 740 rows")
        deck.app.taking.copy(["x" * 99] * 741)
        await deck.sees("Nothing was copied", "74 kB are more than the 74 kB", "ctrl+o")
        assert len(deck.app.clipboard) == 73_999


async def test_without_a_row_it_says_so(dsn: str) -> None:
    async with console(dsn) as deck:
        await deck.press("4", "o")
        await deck.sees("There is no row under the cursor.")


def lines_shown(screen: Terminal) -> list[str]:
    """What stands on the normal screen, from where the console left its own."""
    return screen.seen.rpartition("\x1b[?1049l")[2].replace("\r", "").split("\n")


def test_the_lines_in_view_stand_on_the_normal_screen_until_a_key_for_the_way_back(three: str) -> None:
    with terminal(three) as screen:
        at_the_log(screen, "three/c")
        for times, (key, row) in enumerate((("\r", "four/d"), ("q", "five/e"), ("\x03", "six/f")), 1):
            screen.type("\x04")
            until(lambda: screen.seen.count(_CALL) == times)  # noqa: B023 - asked at once
            shown = lines_shown(screen)
            title = next(n for n, line in enumerate(shown) if "time UTC " in line)
            assert [line.split()[-1] for line in shown[title + 1 : title + 4]] == ["one/a", "two/b", "three/c"]
            assert not any("\x1b" in line for line in shown[title + 1 : title + 4]), "plain"
            quiet = len(screen.seen)
            add_request(three, path_prefix=row)
            if times == 1:
                screen.type("4")  # no key for the way back
                with pytest.raises(AssertionError):
                    until(lambda: len(screen.seen) > quiet, 2)  # noqa: B023
            screen.type(key)
            screen.wait_for(row)
            assert "\x1b[?1049h" in screen.seen[quiet:]
        screen.type("q")
        assert screen.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_console_that_is_ended_while_it_stands_aside_leaves_the_terminal_as_it_was(
    three: str, number: signal.Signals
) -> None:
    with terminal(three) as screen:
        at_the_log(screen, "three/c")
        screen.type("\x04")
        screen.wait_for(_CALL)
        assert not screen.echoes
        screen.process.send_signal(number)
        assert screen.end() == 0
        assert screen.echoes
        assert "\x1b[?1049h" not in lines_shown(screen)[-1]

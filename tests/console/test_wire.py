"""Fewer bytes, the same picture; and a terminal that is asked whether it keeps up."""

import re
from time import sleep
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.style import Style

from console.wire import CURSOR_QUERY, sparing
from tests.console.command import Terminal, terminal
from tests.db.seed import add_request

_STYLE = re.compile(r"\x1b\[([\d;]*)m")
_COLOURS = ["default", "red", "bright_blue", "color(200)", "#102030", "#d5d9de"]
_STYLES = st.builds(
    Style,
    color=st.sampled_from(_COLOURS),
    bgcolor=st.sampled_from(_COLOURS),
    bold=st.booleans() | st.none(),
    dim=st.booleans() | st.none(),
    reverse=st.booleans() | st.none(),
    underline=st.booleans() | st.none(),
)
_BETWEEN = st.sampled_from(["", "", "\r\n\x1b[5;1H", "\n\x1b[12;120H", "\x1b[?2026h", CURSOR_QUERY])


def picture(data: str) -> list[tuple[str, tuple[Any, ...]]]:
    """Every character with the attributes and colours it is written in, by the rules of a terminal."""
    shown: list[tuple[str, tuple[Any, ...]]] = []
    ink = paper = ""
    attributes: set[str] = set()
    at = 0
    for match in [*_STYLE.finditer(data), None]:
        end = match.start() if match else len(data)
        bare = re.sub(r"\r?\n|\x1b\[\d+;\d+H", "", data[at:end])
        shown += [(character, (ink, paper, frozenset(attributes))) for character in bare]
        if match is None:
            break
        at = match.end()
        numbers = (match[1] or "0").split(";")
        while numbers:
            number = numbers.pop(0)
            if number in {"38", "48"}:
                count = 2 if numbers[0] == "5" else 4
                colour, numbers = ";".join(numbers[:count]), numbers[count:]
                ink, paper = (colour, paper) if number == "38" else (ink, colour)
            elif number == "0":
                ink = paper = ""
                attributes.clear()
            elif number in {"39", "49"}:
                ink, paper = ("", paper) if number == "39" else (ink, "")
            elif int(number) in {*range(30, 38), *range(90, 98)}:
                ink = number
            elif int(number) in {*range(40, 48), *range(100, 108)}:
                paper = number
            else:
                attributes.add(number)
    return shown


@given(st.lists(st.tuples(_STYLES, st.sampled_from(["", " ", "200", "日本", "3;4m"]), _BETWEEN), max_size=8))
def test_the_picture_is_the_same(pieces: list[tuple[Style, str, str]]) -> None:
    systems = (ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT, ColorSystem.STANDARD)
    for system in systems:
        data = "".join(style.render(text, color_system=system) + between for style, text, between in pieces)
        lean = sparing(data)
        assert picture(lean) == picture(data)
        assert _STYLE.sub("", lean) == _STYLE.sub("", data)
        assert len(lean) <= len(data) + len("\x1b[0m")
        assert picture(lean + "!")[-1] == ("!", ("", "", frozenset()))


def test_only_what_differs_is_named() -> None:
    time, status = "\x1b[38;2;1;1;1;48;2;15;18;22m", "\x1b[38;2;9;9;9;48;2;15;18;22m"
    rows = f"{time}12:00 \x1b[0m{status}200\x1b[0m\r\n\x1b[5;1H{status}404\x1b[0m"
    assert sparing(rows) == f"{time}12:00 \x1b[38;2;9;9;9m200\r\n\x1b[5;1H404\x1b[0m"


@pytest.mark.parametrize("data", ["", "\x1b[?1049h", "\x1b]52;c;aGk=\a", "plain", CURSOR_QUERY])
def test_what_has_no_style_passes(data: str) -> None:
    assert sparing(data) == data


def test_no_style_is_ended_only_to_begin_the_next(business: str) -> None:
    with terminal(business) as screen:
        screen.wait_for("connected")
        assert not re.search(r"\x1b\[0m\x1b\[[\d;]+m", screen.seen)


def watch_rows(screen: Terminal, dsn: str, seconds: float, *, replies: bool) -> None:
    """Opens the log and writes a row every 0.3 s."""
    screen.wait_for("connected")
    screen.type("4")
    screen.wait_for("following")
    replied = 0
    for number in range(round(seconds / 0.3)):
        add_request(dsn, path_prefix=f"row{number}!")
        sleep(0.3)
        while replies and replied < screen.seen.count(CURSOR_QUERY):
            screen.type("\x1b[1;1R")
            replied += 1
    screen.wait_for(f"row{number}!", 3)


def test_a_terminal_that_replies_is_asked_behind_every_frame(business: str) -> None:
    with terminal(business) as screen:
        watch_rows(screen, business, 3, replies=True)
        # A frame for each row at the most, and one for the line that says that there is none yet.
        assert 4 <= screen.seen.count(CURSOR_QUERY) <= 11


def test_a_terminal_that_never_replies_is_asked_twice_and_shows_every_row(business: str) -> None:
    with terminal(business) as screen:
        watch_rows(screen, business, 6, replies=False)
        assert screen.seen.count(CURSOR_QUERY) == 2

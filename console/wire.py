"""What goes to the terminal, in fewer bytes: over SSH they are what makes a screen slow."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from textual.drivers.linux_driver import LinuxDriver

CURSOR_QUERY = "\x1b[6n"
"""Where is the cursor? Terminals reply in the order they are written to."""

# A style, or what is the same in every style: the cursor's way to a place, the end of a line.
_PIECE = re.compile(r"\x1b\[(?P<style>[\d;]*)m|\x1b\[\d+;\d+H|\r?\n")


@dataclass(frozen=True, slots=True)
class _Pen:
    """The style that text is written in, as the numbers that set it."""

    attributes: tuple[str, ...] = ()
    ink: str = "39"
    paper: str = "49"


_PLAIN = _Pen()


class ThriftyDriver(LinuxDriver):
    """Textual's driver for terminals, sparing with styles."""

    def write(self, data: str) -> None:
        """Writes what looks the same."""
        super().write(sparing(data))


def sparing(data: str) -> str:
    """The same picture, with each style written as its difference from the one before.

    Textual resets the style behind every piece of text and names all of the next one: half of what it writes for a
    row of the log. Every call starts and ends in the terminal's plain style.
    """
    written: list[str] = []
    pen = wanted = _PLAIN
    at = 0
    for piece in _PIECE.finditer(data):
        if piece.start() > at:
            written += (_turn(pen, wanted), data[at : piece.start()])
            pen = wanted
        at = piece.end()
        if (style := piece["style"]) is None:
            written.append(piece[0])
        else:
            wanted = _take(wanted, style)
    if at < len(data):
        written += (_turn(pen, wanted), data[at:])
        pen = wanted
    written.append(_turn(pen, _PLAIN))
    return "".join(written)


@lru_cache(4096)
def _take(pen: _Pen, style: str) -> _Pen:
    numbers = iter(style.split(";"))
    for number in numbers:
        if number in {"", "0"}:
            pen = _PLAIN
        elif number[:-1] in {"3", "9"}:
            pen = replace(pen, ink=_colour(number, numbers))
        elif number[:-1] in {"4", "10"}:
            pen = replace(pen, paper=_colour(number, numbers))
        else:
            pen = replace(pen, attributes=(*pen.attributes, number))
    return pen


def _colour(number: str, numbers: Iterator[str]) -> str:
    """38 and 48 take the numbers behind them along: 5 and one of 256, or 2 and three of a colour."""
    if number not in {"38", "48"}:
        return number
    kind = next(numbers, "5")
    return ";".join([number, kind, *(next(numbers, "0") for _ in range(3 if kind == "2" else 1))])


@lru_cache(4096)
def _turn(pen: _Pen, wanted: _Pen) -> str:
    if pen == wanted:
        return ""
    if wanted == _PLAIN:
        return "\x1b[0m"
    if pen.attributes != wanted.attributes:  # some numbers end several of them: only from plain it is certain
        pen, start = _PLAIN, ("0", *wanted.attributes) if pen != _PLAIN else wanted.attributes
    else:
        start = ()
    colours = [now for now, before in ((wanted.ink, pen.ink), (wanted.paper, pen.paper)) if now != before]
    return f"\x1b[{';'.join((*start, *colours))}m"

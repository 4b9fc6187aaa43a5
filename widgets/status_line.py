"""The line that is always on screen: where one is, whether it is live, what must not be overlooked."""

import re
from dataclasses import dataclass, replace
from time import monotonic
from typing import ClassVar

from rich.cells import cell_len
from textual.reactive import reactive
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from widgets.tone import TONE_CLASSES, Palette, Tone, inked, tone_css

_NUMBER = re.compile(r"\d[\d.,]*")
_COUNTING_S = 1.0  # nobody reads a number that changes more often


@dataclass(frozen=True, slots=True)
class Item:
    """A word of the line. Where there is no room, items of the highest `rank` go first; rank 0 always stays."""

    text: str
    tone: Tone = Tone.PLAIN
    rank: int = 0


class StatusLine(Widget):
    """One line: `left` items from the left, `right` items from the right.

    What it says changes at once; where only numbers change, it is painted once a second.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {*TONE_CLASSES}
    DEFAULT_CSS = "StatusLine { height: 1; dock: top; background: $panel; }\n" + tone_css("StatusLine")

    left: reactive[tuple[Item, ...]] = reactive((), repaint=False)
    right: reactive[tuple[Item, ...]] = reactive((), repaint=False)

    _meaning: tuple[Item, ...] = ()
    _painted_at = 0.0
    _due: Timer | None = None

    def watch_left(self) -> None:
        """What changed is painted now or soon."""
        self._changed()

    def watch_right(self) -> None:
        """As on the left."""
        self._changed()

    def _changed(self) -> None:
        meaning = tuple(replace(item, text=_NUMBER.sub("0", item.text)) for item in (*self.left, *self.right))
        wait = self._painted_at + _COUNTING_S - monotonic()
        if meaning != self._meaning or wait <= 0:
            self._meaning = meaning
            self._paint()
        elif self._due is None:
            self._due = self.set_timer(wait, self._paint)

    def _paint(self) -> None:
        if self._due is not None:
            self._due.stop()
            self._due = None
        self._painted_at = monotonic()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The line, cut by rank until it fits."""
        palette = Palette.of(self)
        left, right = _fitting(self.left, self.right, self.size.width)
        gap = self.size.width - _width(left) - _width(right)
        spans = [*_spaced(left), (" " * max(0, gap), Tone.PLAIN), *_spaced(right)]
        return inked(spans, self.size.width, palette).apply_style(palette.base)


def _spaced(items: tuple[Item, ...]) -> list[tuple[str, Tone]]:
    return [(f" {item.text} ", item.tone) for item in items]


def _width(items: tuple[Item, ...]) -> int:
    return sum(cell_len(item.text) + 2 for item in items)


def _fitting(left: tuple[Item, ...], right: tuple[Item, ...], width: int) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    while _width(left) + _width(right) > width:
        rank = max((item.rank for item in (*left, *right)), default=0)
        if rank == 0:
            break
        left = tuple(item for item in left if item.rank < rank)
        right = tuple(item for item in right if item.rank < rank)
    return left, right

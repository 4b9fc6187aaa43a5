"""The line that is always on screen: where one is, whether it is live, what must not be overlooked."""

from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from widgets.tone import TONE_CLASSES, Palette, Tone, inked, tone_css


@dataclass(frozen=True, slots=True)
class Item:
    """A word of the line. Where there is no room, items of the highest `rank` go first; rank 0 always stays."""

    text: str
    tone: Tone = Tone.PLAIN
    rank: int = 0


class StatusLine(Widget):
    """One line: `left` items from the left, `right` items from the right."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*TONE_CLASSES}
    DEFAULT_CSS = "StatusLine { height: 1; dock: top; background: $panel; }\n" + tone_css("StatusLine")

    left: reactive[tuple[Item, ...]] = reactive(())
    right: reactive[tuple[Item, ...]] = reactive(())

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

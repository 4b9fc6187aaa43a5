"""Shares over time, one line each: the darker a cell, the larger the share."""

from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from widgets.line_chart import marked
from widgets.line_plot import HEAD, columns_of
from widgets.tone import TONE_CLASSES, Palette, Spans, Tone, inked, tone_css

# Upper ends, and the cells below them; all in the font of the Linux console. Fixed, so that two days compare.
_LEVELS = ((0.0, " "), (0.001, "·"), (0.01, "░"), (0.05, "▒"), (0.2, "▓"), (float("inf"), "█"))
_LEGEND = "· below 0.1 %   ░ 1 %   ▒ 5 %   ▓ 20 %   █ above"


@dataclass(frozen=True, slots=True)
class HeatStrip:
    """One share, 0 to 1, for each step, from old to new; None where there is nothing to have a share of."""

    label: str  # of five cells at most
    shares: tuple[float | None, ...]
    tone: Tone = Tone.PLAIN


class HeatStrips(Widget):
    """As high as it has strips, and a line to read them by. `cursor` is a step, or None."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*TONE_CLASSES}
    DEFAULT_CSS = "HeatStrips { height: 3; }\n" + tone_css("HeatStrips")

    strips: reactive[tuple[HeatStrip, ...]] = reactive(())
    cursor: reactive[int | None] = reactive(None)

    def render_line(self, y: int) -> Strip:
        width, palette = self.size.width, Palette.of(self)
        if y >= len(self.strips):
            legend: Spans = [(" " * HEAD + _LEGEND, Tone.DIM)] if self.strips and y == len(self.strips) else []
            return inked(legend, width, palette).apply_style(palette.base)
        line = self.strips[y]
        strip = inked(_line(line, width - HEAD), width, palette).apply_style(palette.base)
        if self.cursor is None or self.cursor >= len(line.shares):
            return strip
        columns = columns_of(self.cursor, len(line.shares), width - HEAD)
        return marked(strip, range(columns.start + HEAD, columns.stop + HEAD))


def _line(strip: HeatStrip, room: int) -> Spans:
    cells = [" "] * max(0, room)
    for step, share in enumerate(strip.shares):
        for column in columns_of(step, len(strip.shares), room):
            # Where steps share a column the worst of them shows.
            cells[column] = max(cells[column], _cell(share), key=_ORDER.index)
    runs = [("".join(run), strip.tone) for _, run in groupby(cells)]
    return [(f"{strip.label:>5}│", Tone.DIM), *runs]


_ORDER = [cell for _, cell in _LEVELS]


def _cell(share: float | None) -> str:
    return next(cell for end, cell in _LEVELS if share < end) if share else " "

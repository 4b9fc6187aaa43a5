"""Lines over time: told what to show, drawn by plotext in a thread, kept until it has to look different."""

import asyncio
from functools import partial
from itertools import groupby
from typing import ClassVar

from rich.style import Style
from textual.geometry import Size
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from widgets.line_plot import GLYPHS, HEAD, LinePlot, columns_of, draw
from widgets.tone import TONE_CLASSES, Palette, Spans, Tone, clean, inked, tone_css

_TONES = (Tone.GOOD, Tone.NOTICE, Tone.WARN, Tone.ACCENT)


def marked(strip: Strip, columns: range) -> Strip:
    """The strip with those columns reversed: where a cursor stands."""
    under = strip.crop(columns.start, columns.stop).apply_style(Style(reverse=True))
    return Strip.join([strip.crop(0, columns.start), under, strip.crop(columns.stop)])


class LineChart(Widget):
    """Fills its size: what it is and its lines on the first line, below it the plot with as many columns for a step as
    other charts of that width have. `cursor` is a step, or None."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*TONE_CLASSES}
    DEFAULT_CSS = "LineChart { height: 8; }\n" + tone_css("LineChart")

    plot: reactive[LinePlot | None] = reactive(None, repaint=False)
    cursor: reactive[int | None] = reactive(None)

    def __init__(self, title: str, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._title = title
        self._drawn: tuple[LinePlot, Size] | None = None
        self._lines: list[str] = []

    def watch_plot(self) -> None:
        if self.plot is None:
            self._drawn, self._lines = None, []
            self.refresh()
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        if self.plot is not None and self.size.height > 1 and self._drawn != (self.plot, self.size):
            self.run_worker(partial(self._redraw, self.plot, self.size), group="draw", exclusive=True)

    async def _redraw(self, plot: LinePlot, size: Size) -> None:
        self._lines = await asyncio.to_thread(draw, plot, size.width, size.height - 1)
        self._drawn = (plot, size)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, palette = self.size.width, Palette.of(self)
        spans = self._legend() if y == 0 else self._line(y - 1)
        strip = inked(spans, width, palette).apply_style(palette.base)
        steps = self._drawn[0].steps if self._drawn else 0
        # What is drawn may be a plot behind the cursor, with other steps.
        if self.cursor is None or self.cursor >= steps or not 0 < y <= len(self._lines):
            return strip
        if self._lines[y - 1][HEAD - 1] not in "│┤":  # the axis of time: its words stay readable
            return strip
        columns = columns_of(self.cursor, steps, width - HEAD)
        return marked(strip, range(columns.start + HEAD, columns.stop + HEAD))

    def _legend(self) -> Spans:
        plot = self._drawn[0] if self._drawn else None
        if plot is None:
            return [(f"{self._title}: loading…", Tone.DIM)]
        if plot.peak is None:
            return [(f"{self._title}: none", Tone.DIM)]
        lines = [
            (f"   {glyph} {clean(line.label)}", tone)
            for glyph, tone, line in zip(GLYPHS, _TONES, plot.lines, strict=False)
        ]
        return [(f"{self._title}, {plot.unit}", Tone.DIM), *lines]

    def _line(self, y: int) -> Spans:
        if y >= len(self._lines):
            return []
        return [("".join(cells), tone) for tone, cells in groupby(self._lines[y], _tone)]


def _tone(cell: str) -> Tone:
    at = GLYPHS.find(cell)
    return Tone.DIM if at < 0 else _TONES[at]

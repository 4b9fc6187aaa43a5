"""Counts over time, stacked by class, in plain block characters."""

from dataclasses import dataclass
from itertools import groupby
from math import ceil
from typing import ClassVar

from rich.cells import cell_len
from textual.geometry import Size
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from widgets.legend import in_lines
from widgets.shares import shares
from widgets.tone import TONE_CLASSES, Palette, Spans, Tone, clean, inked, tone_css

_GLYPHS = "█▓▒░≡·"  # all in the font of the Linux console
_TONES = (Tone.GOOD, Tone.NOTICE, Tone.WARN, Tone.ACCENT, Tone.BAD, Tone.DIM)
_HALF = "▄"
_TRACE = "_"
_TROUBLE = (Tone.WARN, Tone.BAD)  # the worse last


@dataclass(frozen=True, slots=True)
class Bars:
    """Buckets from old to new, each with one count for each label; the first label is at the bottom.

    `start` and `end` are words for the two ends of the time axis; `unit` says what one bucket counts.
    `tones` gives each label its own; without it six are taken in turn. `mark` is a part of the time axis to point out,
    its ends as shares of the axis: what lies beyond 0 or 1 is an arrow at that end. The words then have a line of
    their own.
    """

    buckets: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]
    start: str
    end: str
    unit: str
    tones: tuple[Tone, ...] = _TONES
    mark: tuple[float, float] | None = None


class StackedBars(Widget):
    """Fills its size. More buckets than columns are summed, and the axis tells the mean of one, so that the unit
    stays true; fewer buckets get wider columns. What is toned warn or bad and too little for a cell is a thin line
    on top of its column: seen, and not exaggerated."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*TONE_CLASSES}
    DEFAULT_CSS = "StackedBars { height: 12; }\n" + tone_css("StackedBars")

    bars: reactive[Bars | None] = reactive(None)

    def __init__(
        self,
        bars: Bars | None = None,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._drawn: tuple[Bars, Size] | None = None
        self._strips: list[Strip] = []
        self.set_reactive(StackedBars.bars, bars)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._drawn = None

    def render_line(self, y: int) -> Strip:
        bars, size = self.bars, self.size
        palette = Palette.of(self)
        if bars is None or not any(map(any, bars.buckets)):
            text = "" if y else "loading…" if bars is None else f"no {bars.unit} from {bars.start} to {bars.end}"
            return inked([(text, Tone.DIM)], size.width, palette).apply_style(palette.base)
        if self._drawn != (bars, size):
            self._drawn = (bars, size)
            lines = draw(bars, size.width, size.height)
            self._strips = [inked(line, size.width, palette).apply_style(palette.base) for line in lines]
        return self._strips[y] if y < len(self._strips) else Strip.blank(size.width, palette.base)


def draw(bars: Bars, width: int, height: int) -> list[Spans]:
    """The lines of the picture: plot, time axis, legend. What does not fit goes: the legend first, then the axis."""
    legend = _legend(bars, width)
    if height < len(legend) + 4:
        legend = []
    axis = 0 if height < 3 else 2 if bars.mark and height >= 4 else 1
    rows = max(1, height - len(legend) - axis)
    room = max(1, width - 6)
    group, columns = _columns(bars.buckets, room)
    peak = max(map(sum, columns))
    label = _short(round(peak / group)).rjust(5)
    cells = [_stack(column, peak, rows, bars.tones) for column in columns]
    spread = [cells[x * len(cells) // room] for x in range(room)]
    lines: list[Spans] = []
    for level in range(rows - 1, -1, -1):
        head = f"{label if level == rows - 1 else '':5}│"
        lines.append([(head, Tone.DIM), *_level(spread, level)])
    if bars.mark and axis == 2:
        lines.append([(f"{'0':>5}└", Tone.DIM), *_marked(bars.mark, room)])
        words = f"{bars.start} {bars.unit.center(room - cell_len(bars.start) - cell_len(bars.end) - 2)} {bars.end}"
        lines.append([(f"{'':6}{words}", Tone.DIM)])
    elif axis:
        line = "─" * max(0, room - cell_len(bars.start) - cell_len(bars.end) - 2)
        lines.append([(f"{'0':>5}└{bars.start} {line} {bars.end}", Tone.DIM)])
    return lines + legend


def _marked(mark: tuple[float, float], room: int) -> Spans:
    """The line of the time axis with the mark on it, a cell wide at least."""
    low, high = mark
    if high < 0 or low > 1:
        rest = "─" * (room - 1)
        return [("◄", Tone.ACCENT), (rest, Tone.DIM)] if high < 0 else [(rest, Tone.DIM), ("►", Tone.ACCENT)]
    first = min(int(max(0.0, low) * room), room - 1)
    cells = max(1, ceil(min(1.0, high) * room) - first)
    return [("─" * first, Tone.DIM), ("═" * cells, Tone.ACCENT), ("─" * (room - first - cells), Tone.DIM)]


def _columns(buckets: tuple[tuple[int, ...], ...], room: int) -> tuple[int, list[tuple[int, ...]]]:
    """How many buckets make one column, and the columns; they are grouped from the newest backwards."""
    group = ceil(len(buckets) / room)
    first = len(buckets) % group
    starts = ([0] if first else []) + list(range(first, len(buckets), group))
    ends = [*starts[1:], len(buckets)]
    return group, [tuple(map(sum, zip(*buckets[a:b], strict=True))) for a, b in zip(starts, ends, strict=True)]


def _stack(counts: tuple[int, ...], peak: int, rows: int, tones: tuple[Tone, ...]) -> Spans:
    """The cells of one column, from the bottom. The top one of the first label may be half a cell; less is a line."""
    halves = round(sum(counts) / peak * rows * 2)
    height = ceil(halves / 2)
    drawn = shares(counts, height, every=False)
    kinds = [(_GLYPHS[i % len(_GLYPHS)], tones[i % len(tones)]) for i in range(len(counts))]
    cells = [kind for kind, n in zip(kinds, drawn, strict=True) for _ in range(n)]
    if halves % 2 and cells[-1][0] == _GLYPHS[0]:
        cells[-1] = (_HALF, cells[-1][1])
    if not cells and any(counts):
        cells = [(_TRACE, kinds[counts.index(max(counts))][1])]
    traces = [tone for (_, tone), count, n in zip(kinds, counts, drawn, strict=True) if count and not n]
    trouble = [tone for tone in _TROUBLE if tone in traces]
    if trouble:
        # The highest column has no cell left above it, so the line takes its last one.
        cells[min(height, rows - 1) :] = [(_TRACE, trouble[-1])]
    return cells


def _level(columns: list[Spans], level: int) -> Spans:
    cells = (column[level] if level < len(column) else (" ", Tone.PLAIN) for column in columns)
    return [(glyph * len(list(run)), tone) for (glyph, tone), run in groupby(cells)]


def _legend(bars: Bars, width: int) -> list[Spans]:
    totals = [sum(counts) for counts in zip(*bars.buckets, strict=True)]
    entries: list[list[tuple[str, Tone]]] = []
    for i, label in enumerate(bars.labels):
        glyph = (f"{_GLYPHS[i % len(_GLYPHS)]} ", bars.tones[i % len(bars.tones)])
        entries.append([glyph, (f"{clean(label)} {_percent(totals[i], sum(totals))}  ", Tone.PLAIN)])
    return in_lines([*entries, [(f"({bars.unit})", Tone.DIM)]], width)


def _percent(part: int, whole: int) -> str:
    return "<1%" if 0 < part * 100 < whole else f"{part * 100 // whole}%"


def _short(number: int) -> str:
    """At most five cells: 999, 1.2k, 12k, 3.4M."""
    if number < 1000:
        return str(number)
    value, suffix = number / 1000, 0
    while value >= 999.5 and suffix < 3:
        value, suffix = value / 1000, suffix + 1
    return f"{value:.1f}{'kMGT'[suffix]}" if value < 9.95 else f"{value:.0f}{'kMGT'[suffix]}"

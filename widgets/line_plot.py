"""Lines over time as plain text, drawn by plotext. Knows no Textual, so that commands can print them too."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10
from threading import Lock
from typing import Any, Final

GLYPHS: Final = "·+*x"
"""One for each line, in their order: they say without colour which line it is, and stand nowhere else in a picture."""
HEAD: Final = 6
"""Columns in front of the first step: a label of five and the axis."""
_FLOOR: Final = 1.0  # of a logarithmic axis

_plotext: Final = Lock()  # it has one figure for the whole process


@dataclass(frozen=True, slots=True)
class Line:
    """One value for each step, from old to new; None where there is none, which leaves a gap."""

    label: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class LinePlot:
    """Lines on common axes. `ticks` are words below steps, each as (step, words) with steps counted from 0.

    `log` is for values that differ by their size rather than by their number; below 1 they are drawn at 1.
    """

    lines: tuple[Line, ...]
    unit: str
    ticks: tuple[tuple[int, str], ...] = ()
    log: bool = False

    @property
    def steps(self) -> int:
        return max((len(line.values) for line in self.lines), default=0)

    @property
    def peak(self) -> float | None:
        """The highest value; None when there is none at all."""
        return max((value for line in self.lines for value in line.values if value is not None), default=None)


def columns_of(step: int, steps: int, room: int) -> range:
    """The columns, of `room` in all, that belong to a step; where there are more steps, the one it shares."""
    if steps > room:
        return range(step * room // steps, step * room // steps + 1)
    return range(ceil(step * room / steps), ceil((step + 1) * room / steps))


def short(number: float) -> str:
    """At most five cells: 0.5, 999, 1.2k, 12k, 3.4M."""
    value, suffix = number, 0
    while value >= 999.5 and suffix < 4:
        value, suffix = value / 1000, suffix + 1
    decimals = 1 if 0 < value < 9.95 and (suffix or value % 1) else 0
    return f"{value:.{decimals}f}{'kMGT'[suffix - 1] if suffix else ''}"


def draw(plot: LinePlot, width: int, height: int) -> list[str]:
    """`height` lines of `width` cells: the plot and, from seven lines on, an axis of two with the words of `ticks`."""
    if plot.peak is None or width <= HEAD or height < 2:
        return []
    with _plotext:
        import plotext  # 0.1 s, and only who draws needs it

        return _drawn(plotext, plot, width, height)


def _drawn(plotext: Any, plot: LinePlot, width: int, height: int) -> list[str]:
    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.clear.all()
    figure.theme("colorless")
    figure.plot_size(width, height)
    figure.axes(False, axis="x", side="upper")
    figure.axes(False, axis="y", side="right")
    worded = bool(plot.ticks) and height >= 7
    figure.axes(worded, axis="x", side="lower")
    # By hand: plotext takes limits of its own logarithmic scale for logarithms, but labels for values.
    scaled = log10 if plot.log else float
    low, high, marks = _scale(plot, max(2, (height - 2 * worded) // 3))
    x, y = figure.ruler("x", "lower"), figure.ruler("y", "left")
    x.lim(0, plot.steps)
    x.alignment(lim="edge")
    # In the middle of its first column, where the cursor and the bars beside this have it too.
    x.ticks([step + 0.5 for step, _ in plot.ticks] if worded else [], [words for _, words in plot.ticks])
    y.lim(scaled(low), scaled(high))
    y.ticks([scaled(mark) for mark in marks], [short(mark).rjust(HEAD - 1) for mark in marks])
    for glyph, line in zip(GLYPHS, plot.lines, strict=False):
        for run in _runs(line.values):
            values = [scaled(max(value, low)) for _, value in run]
            signal = figure.signal([step + 0.5 for step, _ in run], values, marker=glyph)
            figure.draw(signal.lines(True))
    return str(figure.build().string(True)).splitlines()


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """The stretches without a gap, each value with its step."""
    known = [(step, value) for step, value in enumerate(values) if value is not None]
    breaks = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(known)) if b[0] != a[0] + 1), len(known)]
    return [known[begin:end] for begin, end in pairwise(breaks) if end > begin]


def _scale(plot: LinePlot, most: int) -> tuple[float, float, list[float]]:
    """Lower and upper end of the axis, and where it is labelled: round numbers, `most` of them or fewer."""
    high = max(plot.peak or 0.0, _FLOOR)
    if not plot.log:
        return 0.0, high, [0.0, *([high / 2] if most > 2 else []), high]
    lowest = min(value for line in plot.lines for value in line.values if value is not None)
    low = max(lowest, _FLOOR)
    tens = [10.0**power for power in range(ceil(log10(low)), floor(log10(high)) + 1)]
    if len(tens) > most:
        tens = tens[:: ceil(len(tens) / most)]
    return low, max(high, low * 1.1), tens or [low, high]

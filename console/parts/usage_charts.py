"""Usage over time in four pictures with one cursor: classes, errors, latency, bytes."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from console.parts.class_tones import CLASS_TONES
from console.usage_plots import bytes_plot, classes_of, latency_plot
from console.usage_words import reading, span_words
from db.source import Measures, Usage
from widgets.heat_strips import HeatStrip, HeatStrips
from widgets.line_chart import LineChart
from widgets.stacked_bars import Bars, StackedBars
from widgets.tone import Tone

VIEWS = ("all", "traffic", "latency", "bytes")


class UsageCharts(Vertical, can_focus=True):
    """Told what to show; says which step was opened. The cursor stays at its moment, or at the newest until moved."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "Older step", show=False, id="usage.left", tooltip="Read the step before"),
        Binding("right", "move(1)", "Newer step", show=False, id="usage.right", tooltip="Read the step after"),
        Binding("pageup", "move(-10)", "Ten older", show=False, id="usage.pageup", tooltip="Read ten steps before"),
        Binding("pagedown", "move(10)", "Ten newer", show=False, id="usage.pagedown", tooltip="Read ten steps after"),
        Binding("home", "move(-1000)", "Oldest step", show=False, id="usage.home", tooltip="Read the oldest step"),
        Binding("end", "newest", "Newest step", show=False, id="usage.end", tooltip="Read the newest step"),
        Binding("enter", "open", "Requests", id="usage.open", tooltip="The log at this step"),
    ]
    DEFAULT_CSS = """
    UsageCharts { height: 1fr; padding: 0 1; }
    UsageCharts StackedBars { height: 5fr; min-height: 5; }
    UsageCharts LineChart { height: 3fr; min-height: 4; }
    UsageCharts #reading { height: 2; color: $text-muted; }
    UsageCharts:focus #reading { color: $text; }
    UsageCharts.-traffic LineChart { display: none; }
    UsageCharts.-latency StackedBars, UsageCharts.-latency #bytes { display: none; }
    UsageCharts.-bytes StackedBars, UsageCharts.-bytes #latency { display: none; }
    """

    @dataclass
    class Opened(Message):
        """A step was picked."""

        start: datetime
        end: datetime

    def __init__(self) -> None:
        super().__init__(id="charts", classes="-all")
        self._usage: Usage | None = None
        self._at: datetime | None = None  # None: the newest

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield StackedBars(id="traffic")
        yield HeatStrips(id="errors")
        yield LineChart("latency", id="latency")
        yield LineChart("bytes", id="bytes")
        yield Static("", id="reading", markup=False)

    @property
    def view(self) -> str:
        """One of VIEWS."""
        return next(view for view in VIEWS if self.has_class(f"-{view}"))

    def turn(self) -> None:
        """Shows the next of VIEWS."""
        view = self.view
        self.remove_class(f"-{view}")
        # A small terminal has no room for all: there the traffic alone is that.
        after = VIEWS[(VIEWS.index(view) + 1) % len(VIEWS)]
        self.add_class("-latency" if view == "all" and self.screen.has_class("-short") else f"-{after}")

    def show(self, usage: Usage | None) -> None:
        """None while another question is asked."""
        self._usage = usage
        self.query_one("#latency", LineChart).plot = None if usage is None else latency_plot(usage)
        self.query_one("#bytes", LineChart).plot = None if usage is None else bytes_plot(usage)
        self.query_one(HeatStrips).strips = () if usage is None else _strips(usage.points)
        self._tell_cursor()

    # The cursor

    @property
    def _step(self) -> int:
        """Under the cursor."""
        if self._usage is None:
            return 0
        window = self._usage.window
        at = min(window.now, window.end) if self._at is None else self._at
        return min(max((at - window.start) // window.step, 0), window.steps - 1)

    def _tell_cursor(self) -> None:
        usage, step = self._usage, self._step
        self.query_one(StackedBars).bars = None if usage is None else _bars(usage, step)
        for chart in self.query(LineChart):
            chart.cursor = None if usage is None else step
        self.query_one(HeatStrips).cursor = None if usage is None else step
        self.query_one("#reading", Static).update("" if usage is None else "\n".join(reading(usage, step)))

    def action_move(self, steps: int) -> None:
        if self._usage is not None:
            last = self._usage.window.steps - 1
            self._at = self._usage.start_of(min(max(self._step + steps, 0), last))
            self._tell_cursor()

    def action_newest(self) -> None:
        self._at = None
        self._tell_cursor()

    def action_open(self) -> None:
        if self._usage is not None:
            start = self._usage.start_of(self._step)
            self.post_message(self.Opened(start, start + self._usage.window.step))


def _bars(usage: Usage, step: int) -> Bars:
    window = usage.window
    return Bars(
        buckets=classes_of(usage),
        labels=tuple(kind.value for kind in CLASS_TONES),
        start=f"{window.start:%m-%d %H:%M}",
        end=f"{window.end:%m-%d %H:%M} UTC",
        unit=f"requests in {span_words(window.step)}",
        tones=tuple(CLASS_TONES.values()),
        mark=(step / window.steps, (step + 1) / window.steps),
    )


def _strips(points: tuple[Measures, ...]) -> tuple[HeatStrip, ...]:
    def shares(errors: tuple[int, ...]) -> tuple[float | None, ...]:
        return tuple(
            own / point.requests if point.requests else None for own, point in zip(errors, points, strict=True)
        )

    return (
        HeatStrip("5xx", shares(tuple(point.server_errors for point in points)), Tone.BAD),
        HeatStrip("4xx", shares(tuple(point.client_errors for point in points)), Tone.WARN),
    )

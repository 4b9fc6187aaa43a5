"""The log as one sees it: bars over time when they are asked for, the titles, the rows."""

from collections.abc import Iterable
from typing import ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from console.deck import Deck
from console.parts.log_chart import LogChart
from console.parts.log_feed import LogFeed
from console.parts.log_pane import LogPane
from console.parts.request_line import request_text, title
from db.source import RequestRow, Source


class LogView(Vertical):
    """Moves the bars, and hands on the rows that are taken away."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h", "chart", "Chart", show=False, id="requests.chart", tooltip="Bars over time, or none"),
        Binding("plus,equals_sign", "zoom(-1)", "Closer", show=False, key_display="+", id="requests.closer",
                tooltip="Bars of a shorter time"),
        Binding("minus", "zoom(1)", "Wider", show=False, key_display="-", id="requests.wider",
                tooltip="Bars of a longer time"),
        Binding("less_than_sign", "chart_move(-1)", "Older", show=False, key_display="<", id="requests.older",
                tooltip="Bars of the time before"),
        Binding("greater_than_sign", "chart_move(1)", "Newer", show=False, key_display=">", id="requests.newer",
                tooltip="Bars of the time after"),
        Binding("o", "copy", "Copy", show=False, id="requests.copy", tooltip="Copy the marked rows, or this one"),
        Binding("ctrl+d", "plain", "Plain lines", show=False, id="requests.plain",
                tooltip="These lines on the normal screen"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    LogView { height: 1fr; }
    LogView #columns { height: 1; text-style: bold; background: $panel; padding: 0 1; }
    LogView LogPane { height: 1fr; }
    """

    def __init__(self, source: Source, feed: LogFeed) -> None:
        super().__init__()
        self.pane = LogPane(source, feed, id="log")
        self._chart = LogChart(source, feed, self.pane)
        self._told = ""

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield self._chart
        yield Static("", id="columns", markup=False)
        yield self.pane

    def on_mount(self) -> None:
        self.watch(self.pane, "scroll_y", self._tell_title)

    def on_resize(self) -> None:
        self._tell_title()

    def on_log_pane_told(self) -> None:
        self._tell_title()

    def _tell_title(self) -> None:
        text = self._title
        if text != self._told:
            self._told = text
            self.query_one("#columns", Static).update(text)

    @property
    def _title(self) -> str:
        return title(self.size.width, self.pane.visible_rows)

    def clear(self) -> None:
        """Forgets the rows and what was counted of them."""
        self.pane.clear()
        self._chart.forget()
        self._tell_title()

    def action_chart(self) -> None:
        self._chart.toggle()

    def action_zoom(self, steps: int) -> None:
        self._chart.zoom(steps)

    def action_chart_move(self, steps: int) -> None:
        self._chart.move(steps)

    def action_copy(self) -> None:
        row = self.pane.cursor_row
        self._deck.taking.copy(self._as_text(self.pane.marked_rows or ([] if row is None else [row])))

    def action_plain(self) -> None:
        self._deck.taking.show([self._title, *self._as_text(self.pane.visible_rows)])

    @property
    def _deck(self) -> Deck:
        return cast("Deck", self.app)

    def _as_text(self, rows: Iterable[RequestRow]) -> list[str]:
        return [request_text(row, self.pane.view.width - 1) for row in rows]

"""Names and values in two columns."""

from collections.abc import Sequence
from typing import ClassVar

from rich.table import Column, Table
from rich.text import Text
from textual.widgets import Static

from widgets.tone import TONE_CLASSES, Palette, Tone, clean, tone_css

Fact = tuple[str, str] | tuple[str, str, Tone]


class Facts(Static):
    """A block of facts; repaints only when they changed."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*TONE_CLASSES}
    DEFAULT_CSS = "Facts { height: auto; padding: 0 1; }\n" + tone_css("Facts")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__("", id=id, classes=classes, markup=False)
        self._shown: tuple[Fact, ...] = ()

    def tell(self, facts: Sequence[Fact]) -> None:
        """Shows the facts, names padded to the widest."""
        if tuple(facts) == self._shown:
            return
        self._shown = tuple(facts)
        width = max((len(fact[0]) for fact in facts), default=0)
        tones = Palette.of(self).tones
        # A grid: what does not fit into one line goes on under its own beginning.
        table = Table.grid(Column(width=width, no_wrap=True), Column(overflow="fold"), padding=(0, 2, 0, 0))
        for name, value, *tone in facts:
            style = tones[tone[0] if tone else Tone.PLAIN]
            table.add_row(Text(name, tones[Tone.DIM]), Text(clean(value), style))
        self.update(table)

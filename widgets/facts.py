"""Names and values in two columns."""

from collections.abc import Sequence
from typing import ClassVar

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
        lines: list[Text] = []
        for name, value, *tone in facts:
            style = tones[tone[0] if tone else Tone.PLAIN]
            lines.append(Text.assemble((f"{name:<{width}}  ", tones[Tone.DIM]), (clean(value), style)))
        self.update(Text("\n").join(lines))

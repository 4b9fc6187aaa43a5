"""Names and values in two columns, for the detail screens."""

from collections.abc import Sequence

from rich.text import Text
from textual.widgets import Static

from widgets.tone import Tone, clean

_STYLES = {
    Tone.PLAIN: "",
    Tone.DIM: "dim",
    Tone.GOOD: "green",
    Tone.NOTICE: "cyan",
    Tone.WARN: "yellow",
    Tone.BAD: "bold red",
    Tone.ACCENT: "bold",
}

Fact = tuple[str, str] | tuple[str, str, Tone]


class Facts(Static):
    """A block of facts; repaints only when they changed."""

    DEFAULT_CSS = "Facts { height: auto; padding: 0 1; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__("", id=id, classes=classes, markup=False)
        self._shown: tuple[Fact, ...] = ()

    def tell(self, facts: Sequence[Fact]) -> None:
        """Shows the facts, names padded to the widest."""
        if tuple(facts) == self._shown:
            return
        self._shown = tuple(facts)
        width = max((len(fact[0]) for fact in facts), default=0)
        lines: list[Text] = []
        for name, value, *tone in facts:
            style = _STYLES[tone[0]] if tone else ""
            lines.append(Text.assemble((f"{name:<{width}}  ", "dim"), (clean(value), style)))
        self.update(Text("\n").join(lines))

"""Where the time of one request went: a bar in proportion, and the numbers below it."""

from dataclasses import dataclass
from typing import ClassVar

from textual.geometry import Size
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from widgets.legend import in_lines
from widgets.shares import shares
from widgets.tone import TONE_CLASSES, Palette, Tone, inked, tone_css

_FILLS = "█▒▓░=+"  # neighbours differ in more than a shade; all are in the font of the Linux console
_NOT_REACHED = "─"

Span = tuple[str, Tone]


@dataclass(frozen=True, slots=True)
class Phase:
    """`milliseconds` None: the request never came that far."""

    name: str
    milliseconds: int | None
    tone: Tone = Tone.PLAIN


class TimingBar(Widget):
    """As wide as it is given, as high as the legend needs."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*TONE_CLASSES}
    DEFAULT_CSS = "TimingBar { height: auto; }\n" + tone_css("TimingBar")

    phases: reactive[tuple[Phase, ...]] = reactive((), layout=True)

    def __init__(
        self,
        phases: tuple[Phase, ...] = (),
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.set_reactive(TimingBar.phases, phases)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return 1 + len(in_lines(self._entries(), width))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        lines = [self._bar(width), *in_lines(self._entries(), width)]
        palette = Palette.of(self)
        return inked(lines[y] if y < len(lines) else [], width, palette).apply_style(palette.base)

    def _bar(self, width: int) -> list[Span]:
        cells = shares([phase.milliseconds or 0 for phase in self.phases], width, every=True)
        bar: list[Span] = [
            (_FILLS[i % len(_FILLS)] * n, phase.tone)
            for i, (phase, n) in enumerate(zip(self.phases, cells, strict=True))
        ]
        return bar if any(cells) else [(_NOT_REACHED * width, Tone.DIM)]

    def _entries(self) -> list[list[Span]]:
        entries: list[list[Span]] = []
        for i, phase in enumerate(self.phases):
            if phase.milliseconds is None:
                entries.append([(f"{_NOT_REACHED} {phase.name} not reached  ", Tone.DIM)])
            else:
                fill = (_FILLS[i % len(_FILLS)] + " ", phase.tone)
                entries.append([fill, (f"{phase.name} {phase.milliseconds:,} ms  ", Tone.PLAIN)])
        if self.phases:
            total = sum(phase.milliseconds or 0 for phase in self.phases)
            entries.append([(f"total {total:,} ms", Tone.PLAIN)])
        return entries

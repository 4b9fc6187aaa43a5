"""What a line may say and how it may look: seven tones, text made safe for a terminal, text cut to cells."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget


class Tone(StrEnum):
    """What a piece of text means. The theme decides its look; the text itself must still say it without colour."""

    PLAIN = "plain"
    DIM = "dim"
    GOOD = "good"
    NOTICE = "notice"
    WARN = "warn"
    BAD = "bad"
    ACCENT = "accent"


Spans = Sequence[tuple[str, Tone]]

TONE_CLASSES = frozenset(f"tone--{tone}" for tone in Tone)
"""A widget that paints tones adds these to its COMPONENT_CLASSES."""

# The attributes repeat what the colours say, for NO_COLOR and for the eyes that cannot tell red from green.
_TONE_RULES = (
    (Tone.DIM, "text-style: dim;"),
    (Tone.GOOD, "color: $text-success;"),
    (Tone.NOTICE, "color: $text-secondary;"),
    (Tone.WARN, "color: $text-warning;"),
    (Tone.BAD, "color: $text-error; text-style: bold;"),
    (Tone.ACCENT, "color: $text-accent;"),
)


def tone_css(widget: str) -> str:
    """The DEFAULT_CSS rules of the tones, for the widget class of that name."""
    return "\n".join(f"{widget} > .tone--{tone} {{ {rule} }}" for tone, rule in _TONE_RULES)


@dataclass(frozen=True, slots=True)
class Palette:
    """The Rich styles of one widget under the present theme; resolve it again when the styles change."""

    base: Style
    tones: dict[Tone, Style]

    @classmethod
    def of(cls, widget: Widget) -> "Palette":
        """Tones carry no background, so that one line-wide style (base, cursor, stale) can lie under them."""
        return cls(widget.rich_style, {tone: _ink(widget, tone) for tone in Tone})


def _ink(widget: Widget, tone: Tone) -> Style:
    if tone is Tone.PLAIN:
        return Style.null()
    full = widget.get_component_rich_style(f"tone--{tone}")
    color = None if full.color == widget.rich_style.color else full.color
    return Style(
        color=color,
        bold=full.bold,
        dim=full.dim,
        italic=full.italic,
        underline=full.underline,
        reverse=full.reverse,
    )


def clean(text: str) -> str:
    """`text` on one line, with nothing in it that could move the cursor, change a mode or reorder the line.

    Controls, escapes, bidirectional overrides and zero-width characters become "·"; exotic spaces become a space.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if unicodedata.category(c) == "Zs" else "·" for c in text)


def cut(text: str, width: int) -> str:
    """Clean `text` in at most `width` terminal cells; what does not fit is cut with "…"."""
    text = clean(text)
    if cell_len(text) <= width:
        return text
    # A wide character at the cut leaves a blank cell, which would look like a space before the ellipsis.
    return "" if width <= 0 else set_cell_size(text, width - 1).rstrip() + "…"


def fit(text: str, width: int, align: Literal["left", "right"] = "left") -> str:
    """Clean `text` in exactly `width` terminal cells."""
    text = cut(text, width)
    space = " " * (width - cell_len(text))
    return space + text if align == "right" else text + space


def inked(spans: Iterable[tuple[str, Tone]], width: int, palette: Palette) -> Strip:
    """One line of exactly `width` cells, cleaned and cropped; neighbours of one tone share one segment.

    The strip has no background: apply `palette.base`, or another line-wide style, to it.
    """
    segments: list[Segment] = []
    pending, tone, left = "", Tone.PLAIN, max(0, width)
    for raw, next_tone in spans:
        text = clean(raw)
        if (cells := cell_len(text)) > left:
            text = set_cell_size(text, left)
            text += " " * (left - cell_len(text))  # where half a wide character would have stood
            cells = left
        if not text:
            continue
        left -= cells
        if next_tone is not tone and pending:
            segments.append(Segment(pending, palette.tones[tone]))
            pending = ""
        pending, tone = pending + text, next_tone
        if not left:
            break
    if left and pending and tone is not Tone.PLAIN:
        segments.append(Segment(pending, palette.tones[tone]))
        pending, tone = "", Tone.PLAIN
    if pending or left:
        segments.append(Segment(pending + " " * left, palette.tones[tone]))
    return Strip(segments, max(0, width))

"""What the parts of a picture mean, in as many lines as it takes."""

from collections.abc import Iterable

from rich.cells import cell_len

from widgets.tone import Spans, Tone


def in_lines(entries: Iterable[Spans], width: int) -> list[Spans]:
    """The entries one behind the other; one that does not fit into `width` cells begins the next line."""
    lines: list[list[tuple[str, Tone]]] = [[]]
    used = 0
    for entry in entries:
        cells = sum(cell_len(text) for text, _ in entry)
        if used and used + cells > width:
            lines.append([])
            used = 0
        lines[-1] += entry
        used += cells
    return [*lines]

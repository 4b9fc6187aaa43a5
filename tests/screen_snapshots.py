"""Pictures of screens, kept as small SVG files in tests/snapshots and compared cell by cell."""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "snapshots"

_FONT_FACES = re.compile(r"\s*@font-face \{.*?\n    \}", re.DOTALL)
_CLIPS = re.compile(r'<clipPath id="[^"]*-line-\d+">.*?</clipPath>\n?|\s*clip-path="url\(#[^)]*-line-\d+\)"', re.DOTALL)
_IDS = re.compile(r"terminal-\d+-")
_ELEMENTS = re.compile(r"(<(?:rect|text) )")


def normal(svg: str) -> str:
    """Without what differs from run to run or names a host, one element a line."""
    svg = _FONT_FACES.sub("", svg)
    svg = _CLIPS.sub("", svg)
    svg = _IDS.sub("t-", svg)
    svg = _ELEMENTS.sub(r"\n\1", svg)
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Compares pictures with those accepted before; with `update` it accepts what it is shown."""

    update: bool

    def check(self, name: str, svg: str) -> None:
        """Fails when the picture differs from tests/snapshots/NAME.svg, and leaves NAME.actual.svg beside it."""
        golden, actual = FOLDER / f"{name}.svg", FOLDER / f"{name}.actual.svg"
        picture = normal(svg)
        if self.update:
            golden.write_text(picture, encoding="utf-8")
            actual.unlink(missing_ok=True)
            return
        if golden.exists() and golden.read_text(encoding="utf-8") == picture:
            actual.unlink(missing_ok=True)
            return
        actual.write_text(picture, encoding="utf-8")
        what = "differs from the picture accepted" if golden.exists() else "was never accepted"
        raise AssertionError(
            f"the screen {name} {what}; compare {actual} with {golden.name}, and if it is right: "
            "python3 -m pytest --update-snapshots"
        )

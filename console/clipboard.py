"""The operator's own clipboard, over SSH: OSC 52, which the terminal at the near end carries out.

Nothing comes back, so that it arrived is never claimed: what is said names the route, and what the route needs.
"""

import os
from base64 import b64encode
from enum import StrEnum
from typing import Final

MOST_BYTES: Final = 74_000
"""Of text. Terminals drop a sequence of more than 100,000 bytes, and base64 makes four of three."""


class Route(StrEnum):
    """How text gets to the terminal."""

    BARE = "osc52"
    TMUX = "tmux"  # bare for tmux itself, and wrapped for the terminal around it: which of them works is set there
    OFF = "off"

    @classmethod
    def told(cls, setting: str) -> "Route":
        """Of a profile's `clipboard`; "auto" is tmux inside of it."""
        if setting == "auto":
            return cls.TMUX if os.environ.get("TMUX") else cls.BARE
        return cls(setting)

    @property
    def words(self) -> str:
        """Its name, and what it needs."""
        if self is Route.TMUX:
            return "by OSC 52 through tmux (which needs set-clipboard on, or allow-passthrough on)"
        if os.environ.get("TMUX"):
            return "by OSC 52 to tmux (which needs set-clipboard on)"
        return "by OSC 52 (the terminal has to allow it)"


def osc52(text: str, route: Route) -> str:
    """What to write to the terminal; nothing when the route is off."""
    if route is Route.OFF:
        return ""
    bare = f"\x1b]52;c;{b64encode(text.encode(errors='replace')).decode()}\a"
    # Inside the wrapping every escape is doubled.
    return bare if route is Route.BARE else f"{bare}\x1bPtmux;\x1b{bare}\x1b\\"


def refusal(text: str, route: Route) -> str:
    """Why this text cannot be copied, with the way round it; "" when it can."""
    if route is Route.OFF:
        return 'the clipboard is off in this profile (clipboard = "off"); ctrl+d shows the lines plainly'
    size = len(text.encode(errors="replace"))
    if size > MOST_BYTES:
        return (
            f"{size / 1000:,.0f} kB are more than the {MOST_BYTES / 1000:.0f} kB that a terminal takes by OSC 52; "
            "mark fewer rows, or write them to a file with ctrl+o"
        )
    return ""

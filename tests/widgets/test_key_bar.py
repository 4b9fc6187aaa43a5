"""The line of keys names a group by its ends, and gives up groups, not words, where there is little room."""

from typing import ClassVar

import pytest
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.pilot import Pilot

from tests.console.screens import shown
from widgets.key_bar import KeyBar

_WINDOWS = Binding.Group("Windows", compact=True)
_SCREENS = Binding.Group("Screens", compact=True)


class Keys(App[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "bell", "Filter", key_display="/"),
        *(Binding(str(number), f"go({number})", "Window", group=_WINDOWS) for number in range(7)),
        *(Binding(str(number), f"go({number})", "Screen", group=_SCREENS) for number in range(7, 10)),
        Binding("q", "quit", "Quit"),
    ]

    def compose(self) -> ComposeResult:
        yield KeyBar()


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (60, "/ Filter 0-6 Windows 7-9 Screens q Quit"),
        (36, "/ Filter 0-6 Windows q Quit"),
        (24, "/ Filter q Quit"),
        (16, "/ Filter q Quit"),
    ],
)
async def test_groups_go_one_after_the_other(width: int, words: str) -> None:
    app = Keys()
    async with app.run_test(size=(width, 3)) as pilot:
        await _reads(app, pilot, words)
        await pilot.resize_terminal(60, 3)
        await _reads(app, pilot, "/ Filter 0-6 Windows 7-9 Screens q Quit")


async def _reads(app: Keys, pilot: Pilot[None], words: str) -> None:
    """Laid out in steps: soon it reads so, and goes on to."""
    for _ in range(100):
        await pilot.pause(0.05)
        if " ".join(shown(app)[-1].split()) == words:
            break
    await pilot.pause(0.2)
    assert " ".join(shown(app)[-1].split()) == words

"""Every key that works here, read from the bindings."""

from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

_INTRO = """: goes anywhere (:customers suspended, :key 0x0100607b, or just an id or a pasted key).
/ narrows what is shown. A change asks for a reason; it goes on record, as does each run of a job.
"""
_WINDOWS = "Digits are windows of time here: : [ and ctrl+p lead to other screens.\n"


class HelpScreen(ModalScreen[None]):
    """Keys of the screen below it, then those that work everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "dismiss", "Close", id="help.close", tooltip="Back"),
    ]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen VerticalScroll {
        width: 78; max-width: 100%; height: auto; max-height: 96%; padding: 0 1;
        background: $surface; border: round $accent;
    }
    """

    def __init__(self, bindings: list[ActiveBinding], app: App[Any]) -> None:
        super().__init__()
        self._listed = bindings
        self._deck = app

    def compose(self) -> ComposeResult:
        """One text, scrolling."""
        with VerticalScroll():
            yield Static(self._text(), markup=False)

    def _text(self) -> Text:
        everywhere = [active for active in self._listed if active.node is self._deck]
        here = [active for active in self._listed if active.node is not self._deck]
        text = Text(_INTRO)
        if any(active.binding.action.startswith("window(") for active in here):
            text.append(_WINDOWS)
        for title, bindings in (("here", here), ("everywhere", everywhere)):
            text.append(f"\n{title}\n", "bold")
            for keys, binding in _grouped(self._deck, bindings):
                text.append(f"  {keys:<18}", "bold cyan")
                text.append(f"{binding.tooltip or binding.description}\n")
        return text


def _grouped(app: App[Any], bindings: list[ActiveBinding]) -> list[tuple[str, Binding]]:
    """Bindings with a tooltip, the keys of one action together."""
    groups: dict[str, tuple[list[str], Binding]] = {}
    for active in bindings:
        binding = active.binding
        if active.enabled and not binding.system and (binding.tooltip or binding.id):
            keys, _ = groups.setdefault(binding.action, ([], binding))
            name = app.get_key_display(binding)
            if name not in keys:
                keys.append(name)
    return [(" ".join(_told_once(keys)), binding) for keys, binding in groups.values()]


def _told_once(keys: list[str]) -> list[str]:
    """Without shift+g beside G and ^@ beside ^space, the names that different terminals have for one key."""
    return [key for key in keys if key != "^@" and not (key.startswith("shift+") and key[-1].upper() in keys)]

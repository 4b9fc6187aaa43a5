"""A key that was just made: shown in full, here and never again."""

from typing import ClassVar, cast

from pydantic import SecretStr
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Label, Static

from console.deck import Deck
from console.dialog import Dialog


class IssuedScreen(Dialog[None]):
    """Focus starts on Copy, and escape does not close it: a key press too many must not lose the key."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stay", "Stay", show=False, id="issued.stay", tooltip="Says how to leave"),
    ]
    DEFAULT_CSS = """
    IssuedScreen { align: center middle; }
    IssuedScreen #box {
        width: 76; max-width: 100%; height: auto; max-height: 100%; padding: 0 2;
        background: $surface; border: round $accent;
    }
    IssuedScreen #title { text-style: bold; color: $text-accent; width: 1fr; }
    IssuedScreen #key { margin: 1 0; padding: 0 1; background: $panel; text-style: bold; }
    IssuedScreen #said { color: $text-warning; height: 1; }
    IssuedScreen #buttons { height: 1; align-horizontal: right; }
    IssuedScreen Button { margin-left: 2; }
    """

    def __init__(self, message: str, key: SecretStr) -> None:
        super().__init__()
        self._message = message
        self._key = key

    def compose(self) -> ComposeResult:
        """What was made, the key, what to know of it, buttons."""
        with Vertical(id="box"):
            yield Label(self._message, id="title", markup=False)
            yield Static(self._key.get_secret_value(), id="key", markup=False)
            yield Static("This is the only time it is shown: it cannot be had from here or from the database again. "
                         "Hand it to its owner. Who loses it gets another one.")  # fmt: skip
            yield Static("", id="said", markup=False)
            with Horizontal(id="buttons"):
                yield Button("Copy", id="copy", compact=True)
                yield Button("I have it", id="close", variant="warning", compact=True)

    def on_mount(self) -> None:
        self.query_one("#copy").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "copy":
            cast("Deck", self.app).taking.copy([self._key.get_secret_value()], "the key")
        else:
            self.dismiss(None)

    def action_stay(self) -> None:
        self.insist()

    def insist(self) -> None:
        """In its own line: the key must not be covered."""
        self.query_one("#said", Static).update("tab and enter on “I have it” close this for good.")

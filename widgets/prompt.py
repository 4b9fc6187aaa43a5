"""One line at the bottom that takes a command or a search."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Key
from textual.message import Message
from textual.screen import Screen
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input, Label, Static

from widgets.rewriting_input import RewritingInput


def typed(screen: Screen[Any], character: str) -> bool:
    """For the action of a key that opens a prompt before anything else hears it: into an input that has the focus the
    character is typed (True)."""
    if isinstance(screen.focused, Input):
        screen.focused.post_message(Key(character, character))  # behind what was typed before it
        return True
    return False


class Prompt(Vertical):
    """Hidden until opened. The owner answers Entered with `close()`, or with `say()` when it cannot be done."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close", id="prompt.close", tooltip="Close the prompt without doing anything"),
    ]
    DEFAULT_CSS = """
    Prompt { display: none; height: auto; background: $panel; }
    Prompt.open { display: block; }
    Prompt Horizontal { height: 1; }
    Prompt #kind { padding: 0 1; color: $text-accent; text-style: bold; }
    Prompt Input { width: 1fr; background: $panel; }
    Prompt #said { padding: 0 1; color: $text-warning; text-style: bold; }
    """

    @dataclass
    class Entered(Message):
        kind: str
        text: str

    def __init__(
        self,
        rewrite: Callable[[str], str],
        secret: Callable[[str], bool],
        *,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._rewrite = rewrite
        self._secret = secret
        self._kind = ""
        self._before: Widget | None = None  # had the focus

    def compose(self) -> ComposeResult:
        said = Static("", id="said", markup=False)
        said.display = False
        yield said
        with Horizontal():
            yield Label("", id="kind", markup=False)
            yield RewritingInput(self._rewrite, self._secret, id="line", select_on_focus=False, compact=True)

    def open(self, kind: str, sign: str, *, text: str = "", hint: str = "", words: Sequence[str] = ()) -> None:
        """Shows the line with `sign` in front; `kind` comes back in the messages; `words` complete what is typed."""
        self._kind = kind
        line = self.query_one("#line", Input)
        self.query_one("#kind", Label).update(sign)
        line.suggester = SuggestFromList(words, case_sensitive=False) if words else None
        line.placeholder = hint
        line.value = text
        line.cursor_position = len(text)
        self.say("")
        self.add_class("open")
        self._before = self.screen.focused
        self.screen.set_focus(line)  # now: what is typed ahead belongs here

    def say(self, sentence: str) -> None:
        """A sentence above the line, in as many lines as it takes: why it cannot be done."""
        said = self.query_one("#said", Static)
        said.update(sentence)
        said.display = bool(sentence)

    def close(self) -> None:
        """Hides the line; the keys go where they went before."""
        self.remove_class("open")
        if self._before is not None:
            self._before.focus()

    def action_dismiss(self) -> None:
        self.close()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Entered(self._kind, event.value.strip()))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.say("")

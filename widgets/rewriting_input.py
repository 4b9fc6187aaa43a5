"""An input line that keeps secrets, and the order in which it is typed into."""

from collections.abc import Callable

from textual.binding import Binding
from textual.events import Key
from textual.widgets import Input

_EDITS = {binding.key: binding.action for binding in Binding.make_bindings(Input.BINDINGS)}


class RewritingInput(Input):
    """An input that rewrites each word before it is shown: a pasted key must not reach the screen.

    While a word is secret, dots stand for all that is typed.
    """

    def __init__(self, rewrite: Callable[[str], str], secret: Callable[[str], bool], **known: object) -> None:
        super().__init__(**known)  # type: ignore[arg-type]
        self._rewrite = rewrite
        self._secret = secret

    async def on_key(self, event: Key) -> None:
        """Edits at once: a key on its way up to the bindings is overtaken by what was typed behind it."""
        if (edit := _EDITS.get(event.key)) is not None:
            event.stop()
            event.prevent_default()
            await self.run_action(edit)

    def validate_value(self, value: str) -> str:
        """Before any repaint, whether it was pasted, typed or completed."""
        words = [self._rewrite(word) for word in value.split(" ")]
        self.password = any(map(self._secret, words))
        return " ".join(words)

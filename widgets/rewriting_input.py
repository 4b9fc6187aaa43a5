"""An input line that keeps secrets."""

from collections.abc import Callable

from textual.widgets import Input


class RewritingInput(Input):
    """An input that rewrites each word before it is shown: a pasted key must not reach the screen.

    While a word is secret, dots stand for all that is typed.
    """

    def __init__(self, rewrite: Callable[[str], str], secret: Callable[[str], bool], **known: object) -> None:
        super().__init__(**known)  # type: ignore[arg-type]
        self._rewrite = rewrite
        self._secret = secret

    def validate_value(self, value: str) -> str:
        """Before any repaint, whether it was pasted, typed or completed."""
        words = [self._rewrite(word) for word in value.split(" ")]
        self.password = any(map(self._secret, words))
        return " ".join(words)

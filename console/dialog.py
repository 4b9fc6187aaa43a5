"""Dialogs that somebody waits for."""

from typing import Any, Generic, TypeVar

from textual.app import App
from textual.screen import ModalScreen

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer], Generic[Answer]):
    """Ends with an answer and in no other way: nobody leaves the console over it, or goes elsewhere from below it."""

    def insist(self) -> None:
        """Says so."""
        self.notify("Answer what is asked here first.", severity="warning", timeout=4)


def answer_first(app: App[Any]) -> bool:
    """Whether a dialog waits for its answer; it says so then."""
    waiting = next((screen for screen in app.screen_stack if isinstance(screen, Dialog)), None)
    if waiting is not None:
        waiting.insist()
    return waiting is not None

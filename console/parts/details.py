"""One line of a table in full, above the screen it stands on."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from widgets.facts import Fact, Facts
from widgets.key_bar import KeyBar


class Details(ModalScreen[None]):
    """A headline and facts, as they were when it was opened."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss(None)", "Close", key_display="esc", id="details.close", tooltip="Back"),
    ]
    DEFAULT_CSS = """
    Details { align: center middle; }
    Details > #box {
        width: 96%; max-width: 116; height: auto; max-height: 94%; background: $surface; border: round $accent;
    }
    Details #headline { padding: 0 1; margin-bottom: 1; text-style: bold; height: auto; }
    Details VerticalScroll { height: auto; max-height: 100%; }
    """

    def __init__(self, headline: str, facts: Sequence[Fact]) -> None:
        super().__init__()
        self._headline = headline
        self._facts = facts

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Static(self._headline, id="headline", markup=False)
            with VerticalScroll():
                yield Facts(id="details")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(Facts).tell(self._facts)
        self.query_one(VerticalScroll).focus()

"""Asks where a span of the log is to be written, and how."""

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Label, Static

from console.deck import Deck
from console.dialog import Dialog
from console.exporting import Target
from console.words import moment
from db.errors import Refused
from db.moments import rfc3339
from db.source import ExportFormat, RequestFilter, usable_path


class ExportScreen(Dialog[Target | None]):
    """Answers with the file and its format, which the name's ending says, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="export.cancel", tooltip="Write nothing"),
    ]
    DEFAULT_CSS = """
    ExportScreen { align: center middle; }
    ExportScreen #box {
        width: 76; max-width: 100%; height: auto; max-height: 100%; padding: 0 2;
        background: $surface; border: round $accent;
    }
    ExportScreen #title { text-style: bold; color: $text-accent; }
    ExportScreen Input { background: $panel; }
    ExportScreen Input:focus { background: $primary 30%; }
    ExportScreen #said { color: $text-warning; min-height: 1; }
    ExportScreen #shell { color: $text-muted; margin: 1 0; }
    ExportScreen #buttons { height: 1; align-horizontal: right; }
    ExportScreen #buttons Button { margin-left: 2; }
    ExportScreen #names { width: auto; }
    """

    def __init__(self, wanted: RequestFilter, start: datetime, end: datetime) -> None:
        super().__init__()
        self._wanted = wanted
        self._start = start
        self._end = end
        self._anonymise = False

    def compose(self) -> ComposeResult:
        """Span, file, pseudonyms, the command that does the same, buttons."""
        with Vertical(id="box"):
            yield Label("Export the log", id="title")
            yield Static(f"{moment(self._start)} to {moment(self._end)} UTC", markup=False)
            yield Static(" ".join(self._wanted.chips()) or "all requests", markup=False)
            yield Label("\nFile: .csv, .json (one document) or .jsonl (an object a line)")
            name = f"~/opsdeck-requests-{self._end.astimezone(UTC):%Y%m%d-%H%M%S}.csv"
            yield Input(name, id="file", compact=True, select_on_focus=False)
            yield Static("", id="said", markup=False)
            yield Button("", id="names", compact=True)
            record = "It goes on record." if self._on_record else "It is not put on record: this console is read-only."
            yield Static(f"You alone may read the file. Client addresses in it are masked. {record}")
            yield Static("", id="shell", markup=False)
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Export", id="go", variant="primary", compact=True)

    def on_mount(self) -> None:
        self._tell()
        self.query_one("#file").focus()

    @property
    def _on_record(self) -> bool:
        return cast("Deck", self.app).deck_state.may_write

    @property
    def _target(self) -> Target | None:
        path = Path(self.query_one("#file", Input).value.strip())
        try:
            kind = ExportFormat(path.suffix[1:].lower())
        except ValueError:
            return None
        return Target(path, kind, self._anonymise)

    def _tell(self) -> None:
        names = "pseudonyms, the same within this file" if self._anonymise else "as they are logged"
        self.query_one("#names", Button).label = f"Customers and keys: {names}"
        words = ["opsdeck", "export", self.query_one("#file", Input).value.strip() or "FILE"]
        for chip in self._wanted.chips():
            name, _, value = chip.removeprefix("!").partition(":")
            words += [f"--{name}", "!" * chip.startswith("!") + value]
        words += ["--from", rfc3339(self._start), "--to", rfc3339(self._end)]
        words += ["--anonymise"] * self._anonymise
        # A ~ at the beginning is for the shell to read.
        text = " ".join(word if word.startswith("~/") else shlex.quote(word) for word in words)
        self.query_one("#shell", Static).update(f"shell: {text}")

    def _answer(self) -> None:
        target = self._target
        try:
            if target is None:
                raise Refused("the name has to end in .csv, .json or .jsonl")
            usable_path(target.path)
        except Refused as error:
            self.query_one("#said", Static).update(f"{error}.")
        else:
            self.dismiss(target)

    def on_input_changed(self) -> None:
        self.query_one("#said", Static).update("")
        self._tell()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._answer()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "names":
            self._anonymise = not self._anonymise
            self._tell()
        elif event.button.id == "go":
            self._answer()
        else:
            self.dismiss(None)

    def action_cancel(self) -> None:
        self.dismiss(None)

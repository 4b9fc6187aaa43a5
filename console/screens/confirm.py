"""Asks before anything is changed: the effect, the blast radius, the reason where one goes on record."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Key
from textual.widgets import Button, Input, Label, Static

from console.dialog import Dialog
from console.perform import Answer, BlastRadius
from console.places import hide_key, may_be_key
from db.errors import Refused
from db.source import Preview, checked_reason
from widgets.rewriting_input import RewritingInput


class ConfirmScreen(Dialog[Answer | None]):
    """Answers with the reason (empty where `why` is False: none is asked for), or None. Focus starts on Cancel; typing
    goes to the reason.

    The button with the verb works only once the reason and the phrase are there. The blast radius appears when it
    is known and never holds anything up. Where it is offered, ctrl+g has the gateways told at once.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="confirm.cancel", tooltip="Change nothing"),
        Binding(
            "ctrl+g",
            "publish",
            "Publish too",
            id="confirm.publish",
            tooltip="Then publish the ma vault, so that gateways learn of it; again: not",
        ),
        Binding("pageup", "page(-1)", "Up", show=False, id="confirm.up", tooltip="Earlier effects"),
        Binding("pagedown", "page(1)", "Down", show=False, id="confirm.down", tooltip="The effects that had no room"),
    ]
    DEFAULT_CSS = """
    ConfirmScreen { align: center middle; }
    ConfirmScreen #box {
        width: 76; max-width: 100%; height: auto; max-height: 100%; padding: 0 2;
        background: $surface; border: round $warning;
    }
    ConfirmScreen #title { width: 100%; text-style: bold; color: $text-warning; }
    ConfirmScreen #effects { height: auto; max-height: 40vh; margin-bottom: 1; }
    ConfirmScreen #publish { color: $text-accent; }
    ConfirmScreen #shell { color: $text-muted; max-height: 3; }
    ConfirmScreen Input { background: $panel; margin: 0 0 1 0; }
    ConfirmScreen Input:focus { background: $primary 30%; }
    ConfirmScreen #buttons { height: 1; align-horizontal: right; }
    ConfirmScreen Button { margin-left: 2; }
    """

    def __init__(
        self,
        preview: Preview,
        shell: str,
        blast_radius: BlastRadius | None,
        publish_offered: bool = False,
        *,
        why: bool = True,
    ) -> None:
        super().__init__()
        self._publish_offered = publish_offered
        self._publish = False
        self._why = why
        self._preview = preview
        self._shell = shell
        self._blast_radius = blast_radius

    def compose(self) -> ComposeResult:
        """Title, effects, reason, phrase, buttons."""
        preview = self._preview
        with Vertical(id="box"):
            yield Label(preview.title, id="title", markup=False)
            with VerticalScroll(id="effects", can_focus=False):
                first, rest = _split(preview.changes)
                yield Static("\n".join((*first, *preview.consequences)), markup=False)
                if self._blast_radius is not None:
                    yield Static("looking at the log …", id="radius", markup=False)
                if rest:
                    yield Static("\n".join(rest), markup=False)
            if self._why:
                yield Label("Why? It goes on record.")
                yield RewritingInput(
                    hide_key, may_be_key, id="reason", max_length=500, compact=True, select_on_focus=False
                )
            if preview.typed_phrase is not None:
                yield Label(f"Type {preview.typed_phrase} to go on.", markup=False)
                yield Input(id="phrase", max_length=40, compact=True)
            if self._publish_offered:
                yield Static("", id="publish", markup=False)
            yield Static("", id="shell", markup=False)
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                asked = self._why or preview.typed_phrase is not None
                yield Button(preview.verb, id="go", variant="error", disabled=asked, compact=True)

    def on_mount(self) -> None:
        self.query_one("#cancel").focus()
        self._tell_publish()
        if self._blast_radius is not None:
            self.run_worker(self._tell_radius(self._blast_radius))

    async def _tell_radius(self, blast_radius: BlastRadius) -> None:
        lines = await blast_radius()
        if self.display:  # False once it was answered and is being taken down
            self.query_one("#radius", Static).update("\n".join(lines))

    @property
    def _reason(self) -> str | None:
        if not self._why:
            return ""
        try:
            return checked_reason(self.query_one("#reason", Input).value)
        except Refused:
            return None

    @property
    def _ready(self) -> bool:
        phrase = self._preview.typed_phrase
        typed = phrase is None or self.query_one("#phrase", Input).value.strip() == phrase
        return typed and self._reason is not None

    def on_input_changed(self) -> None:
        self.query_one("#go", Button).disabled = not self._ready

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes on to the next field; only the button itself carries it out."""
        event.stop()
        self.focus_next()

    def on_key(self, event: Key) -> None:
        """Whoever starts typing on Cancel means the reason, also while the focus is still on its way there."""
        if not self._why or self.focused is not self.query_one("#cancel"):
            return
        if not event.is_printable or not event.character:
            return
        reason = self.query_one("#reason", Input)
        if event.character != " " or reason.value:
            reason.focus()
            reason.insert_text_at_cursor(event.character)
            event.stop()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        reason = self._reason if event.button.id == "go" and self._ready else None
        self.dismiss(None if reason is None else Answer(reason, self._publish))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What nobody but the gateways would hear of is not published."""
        return self._publish_offered if action == "publish" else True

    def action_publish(self) -> None:
        self._publish = not self._publish
        self._tell_publish()

    def _tell_publish(self) -> None:
        shell = f"shell: {self._shell}{' --publish' * self._publish}{' --reason …' * self._why}"
        self.query_one("#shell", Static).update(shell)
        if not self._publish_offered:
            return
        offer = "Then the ma vault is published; ctrl+g: not." if self._publish else "ctrl+g: publish the ma vault too."
        self.query_one("#publish", Static).update(offer)

    def action_page(self, pages: int) -> None:
        effects = self.query_one("#effects")
        effects.scroll_relative(y=pages * effects.size.height, animate=False)

    def action_cancel(self) -> None:
        self.dismiss(None)


def _split(changes: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What comes first and what comes last of many changes: the consequences between must not be pushed out of view."""
    if len(changes) <= 4:
        return changes, ()
    return (*changes[:3], f"… and {len(changes) - 3} more, see pagedown."), changes[3:]

"""The console: its screens, the keys that work everywhere, the services that run as long as it does."""

import asyncio
import os
import signal
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.css.query import DOMQuery
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.events import DescendantFocus, Event, Paste
from textual.reactive import reactive
from textual.widgets import Input

from console.clipboard import Route, osc52
from console.commands import Commands
from console.dialog import answer_first
from console.directory import DIGITS
from console.exporting import Exporter
from console.going import Going
from console.leaving import Leaving
from console.live import Link, Live
from console.palette import Places
from console.perform import Performer
from console.places import Place, hide_key, hide_keys, may_be_key
from console.screens.base import DeckScreen
from console.screens.confirm import ConfirmScreen
from console.screens.export import ExportScreen
from console.screens.help import HelpScreen
from console.screens.issued import IssuedScreen
from console.settings import Settings
from console.state import DeckState
from console.taking import Taking
from console.theme import THEME
from console.vitals import Vitals
from console.wire import CURSOR_QUERY, ThriftyDriver
from console.working import JobStarter
from db.source import Source
from widgets.prompt import Prompt, typed
from widgets.ring_pane import RingPane

_HIDDEN = "hides-a-key"  # of a line that shows dots, because what is typed there may become a key
_SCREEN_KEYS = Binding.Group("Screens", compact=True)


class OpsDeck(App[int]):
    """One console on one database."""

    TITLE = "opsdeck"
    COMMANDS = {Places}
    CSS = "ToastRack { margin-bottom: 3; }"  # above the prompt and what it says
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(digit, f"switch('{kind}')", kind, id=f"go.{kind}", tooltip=f"Show {kind}", group=_SCREEN_KEYS)
            for digit, kind in DIGITS.items()
        ),
        # Heard before the keys behind it, which may come in the same packet and belong into the line it opens.
        Binding("colon", "command", "Go to", key_display=":", priority=True, id="deck.command",
                tooltip="Go anywhere by name"),
        Binding("question_mark", "help", "Help", key_display="?", id="deck.help", tooltip="Every key that works here"),
        Binding("escape", "back", "Back", show=False, id="deck.back", tooltip="Back to what led here"),
        Binding("left_square_bracket", "step(-1)", "Earlier", show=False, key_display="[", id="deck.earlier",
                tooltip="The place before this one"),
        Binding("right_square_bracket", "step(1)", "Later", show=False, key_display="]", id="deck.later",
                tooltip="The place after this one"),
        Binding("q", "quit", "Quit", id="deck.quit", tooltip="Leave the console"),
        Binding("ctrl+c,ctrl+q", "quit", "Quit", show=False, priority=True, id="deck.interrupt",
                tooltip="Leave the console"),
    ]  # fmt: skip

    deck_state: reactive[DeckState] = reactive(DeckState("", "", read_only=True), init=False, repaint=False)

    def __init__(self, source: Source, settings: Settings) -> None:
        super().__init__()
        self.register_theme(THEME)
        if "TEXTUAL_THEME" not in os.environ:
            self.theme = THEME.name
        self.source = source
        self.settings = settings
        self.live = Live(self, source, self._link_changed)
        self.vitals = Vitals(source, self._vitals_changed)
        ask = partial(ConfirmScreen, blast_radius=None, why=False)
        jobs = JobStarter(self, source, ask, self.live.changed.publish)
        self.performer = Performer(self, source, ConfirmScreen, IssuedScreen, self.live.changed.publish)
        self.start_job, self.stop_job = jobs.start, jobs.stop
        self._leaving = Leaving(self, self.performer, jobs.leave)
        self.taking = Taking(self, settings.profile.clipboard)
        self.exporter = Exporter(self, source, ExportScreen, self._export_told)
        self._going = Going(self, source)
        self.go, self.explain = self._going.go, self._going.explain
        self._commands = Commands(self, source, self._going, self.action_help)
        self.set_reactive(
            OpsDeck.deck_state,
            DeckState(
                settings.profile_name,
                source.database.place,
                settings.read_only,
                settings.profile.production,
                source.database.pgbouncer,
            ),
        )

    def get_driver_class(self) -> type[Driver]:
        """Textual's for terminals is made sparing; one that `TEXTUAL_DRIVER` names stays what it is."""
        driver = super().get_driver_class()
        return ThriftyDriver if driver is LinuxDriver else driver

    async def run_until_quit(self) -> int:
        """Runs until the operator leaves or the terminal goes away. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.exit, 0)
        await self.run_async(mouse=self.settings.profile.mouse)
        await self._leaving.last_words()
        return self.return_code or 0

    async def on_event(self, event: Event) -> None:
        """A pasted key becomes its fingerprint before any widget sees it, be it the palette or a reason."""
        if isinstance(event, Paste):
            event.text = hide_keys(event.text)
        await super().on_event(event)

    def on_idle(self) -> None:
        """Has the screen look for what it has to paint: what it was told while Textual held updates back would else
        wait for its next message, the screen before in sight until then."""
        if self.is_running and self.screen_stack:
            self.screen.check_idle()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """A key that is typed by hand is hidden as well, in whatever line, before anything is painted."""
        if isinstance(event.widget, Input):
            self.watch(event.widget, "value", self._hide_typed)

    def _hide_typed(self, value: str) -> None:
        line = self.focused
        if not isinstance(line, Input) or line.value != value:
            return
        words = [hide_key(word) for word in value.split(" ")]
        if (secret := any(map(may_be_key, words))) != line.has_class(_HIDDEN):
            line.password = secret
            line.set_class(secret, _HIDDEN)
        line.value = " ".join(words)

    def copy_to_clipboard(self, text: str) -> None:
        """By the route of the profile, also what Textual's own widgets copy."""
        # A new key goes out to its owner's clipboard, and cannot be put into a reason here by ctrl+v.
        self._clipboard = hide_keys(text)
        if self._driver is not None:
            self._driver.write(osc52(text, Route.told(self.settings.profile.clipboard)))

    def on_ring_pane_painted(self, event: RingPane.Painted) -> None:
        """Has the terminal reply behind the frame: it replies when the frame has arrived and is drawn."""
        if self._driver is not None and not self.is_headless:
            self._driver.write(CURSOR_QUERY)
            event.pane.asked()

    def on_cursor_position(self) -> None:
        """That reply; where the cursor is does not matter."""
        panes: DOMQuery[RingPane[Any]] = self.screen.query(RingPane)
        for pane in panes:
            pane.answered()

    async def on_mount(self) -> None:
        """Starts what runs as long as the console."""
        await self.go(Place("overview"))
        self.run_worker(self.live.run(), group="services")
        self.run_worker(self.vitals.run(), group="services")
        self.run_worker(self.vitals.watch_chain(), group="services")
        self.live.changed.subscribe(self, lambda _topic: self.vitals.wake())

    def _link_changed(self, link: Link) -> None:
        self.deck_state = replace(self.deck_state, link=link)

    def _vitals_changed(self, vitals: Vitals) -> None:
        self.deck_state = replace(
            self.deck_state,
            control=vitals.control,
            rights=vitals.rights,
            others=vitals.others,
            waiting=vitals.waiting,
            still_served=vitals.still_served,
            replica=vitals.replica,
            chain=vitals.chain,
        )
        if self.is_running:  # the last answer may come while the console closes, when there is no screen
            self.screen.refresh_bindings()

    def _export_told(self, text: str) -> None:
        self.deck_state = replace(self.deck_state, exporting=text)

    # Keys

    async def action_quit(self) -> None:
        self._leaving.ask()

    def action_command_palette(self) -> None:
        if not answer_first(self):
            super().action_command_palette()

    async def action_switch(self, kind: str) -> None:
        await self._going.switch(kind)

    async def action_step(self, by: int) -> None:
        await self._going.step(by)

    async def action_back(self) -> None:
        await self._going.back()

    def action_help(self) -> None:
        self.push_screen(HelpScreen(list(self.screen.active_bindings.values()), self))

    def action_command(self) -> None:
        if not typed(self.screen, ":") and isinstance(self.screen, DeckScreen):
            self._commands.ask()

    def on_prompt_entered(self, event: Prompt.Entered) -> None:
        """A command typed behind `:`."""
        self._commands.entered(event.text)

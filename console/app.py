"""The console: its screens, the keys that work everywhere, the services that run as long as it does."""

import asyncio
import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.css.query import DOMQuery
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Event, Paste
from textual.reactive import reactive
from textual.screen import Screen
from textual.theme import Theme

from console.clipboard import Route, osc52
from console.exporting import Exporter
from console.live import Link, Live
from console.palette import Places
from console.perform import Performer
from console.places import COMMANDS, TOP, History, Place, hide_key, parse_command, recognised
from console.saved_filters import save_filter
from console.screens.base import DeckScreen
from console.screens.confirm import ConfirmScreen
from console.screens.customer import CustomerScreen
from console.screens.customers import CustomersScreen
from console.screens.export import ExportScreen
from console.screens.groups import GroupsScreen
from console.screens.help import HelpScreen
from console.screens.jobs import JobsScreen
from console.screens.key import KeyScreen
from console.screens.keys import KeysScreen
from console.screens.overview import OverviewScreen
from console.screens.request import RequestScreen
from console.screens.requests import RequestsScreen
from console.screens.saved import SavedScreen
from console.settings import Settings
from console.state import DeckState
from console.taking import Taking
from console.vitals import Vitals
from console.wire import CURSOR_QUERY, ThriftyDriver
from console.working import JobStarter
from db.errors import DatabaseError
from db.source import RequestRow, Source
from widgets.prompt import Prompt, typed
from widgets.ring_pane import RingPane

_SCREENS: dict[str, Callable[[Source, Place], DeckScreen[Any]]] = {
    "overview": OverviewScreen,
    "customers": CustomersScreen,
    "keys": KeysScreen,
    "requests": RequestsScreen,
    "jobs": JobsScreen,
    "customer": CustomerScreen,
    "key": KeyScreen,
    "groups": GroupsScreen,
    "saved": SavedScreen,
}


_SCREEN_KEYS = Binding.Group("Screens", compact=True)
_THEME = Theme(
    name="opsdeck",
    primary="#6c9ac2",
    secondary="#7fb4d6",
    accent="#d9b36c",
    success="#86bf8f",
    warning="#e0a458",
    error="#e06c75",
    foreground="#d5d9de",
    background="#0f1216",
    surface="#151a20",
    panel="#1d242c",
    variables={
        "block-cursor-background": "#2c4258",
        "block-cursor-foreground": "#ffffff",
        "footer-key-foreground": "#d9b36c",
    },
)
"""Calm: one accent, colour kept for what matters."""


class OpsDeck(App[int]):
    """One console on one database."""

    TITLE = "opsdeck"
    COMMANDS = {Places}
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"go('{kind}')", kind, id=f"go.{kind}", tooltip=f"Show {kind}", group=_SCREEN_KEYS)
            for number, kind in enumerate(TOP, start=1)
        ),
        # Heard before the keys behind it, which may come in the same packet and belong into the line it opens.
        Binding("colon", "command", "Command", key_display=":", priority=True, id="deck.command",
                tooltip="Go anywhere by name"),
        Binding("question_mark", "help", "Help", key_display="?", id="deck.help", tooltip="Every key that works here"),
        Binding("escape", "back", "Back", show=False, id="deck.back", tooltip="Back to the screen below"),
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
        self.register_theme(_THEME)
        if "TEXTUAL_THEME" not in os.environ:
            self.theme = _THEME.name
        self.source = source
        self.settings = settings
        self.live = Live(self, source.database, self._link_changed)
        self.vitals = Vitals(source, self._vitals_changed)
        jobs = JobStarter(self, source, self.live.changed.publish)
        self.performer = Performer(self, source, ConfirmScreen, self.live.changed.publish)
        self.start_job, self.stop_job = jobs.start, jobs.stop
        self.taking = Taking(self, settings.profile.clipboard)
        self.exporter = Exporter(self, source, ExportScreen, self._export_told)
        self._history = History()
        self.set_reactive(
            OpsDeck.deck_state,
            DeckState(settings.profile_name, source.database.place, settings.read_only, settings.profile.production),
        )
        for kind in TOP:
            self.add_mode(kind, partial(self._open, kind))  # pyright: ignore[reportUnknownMemberType]

    def _open(self, kind: str) -> Screen[Any]:
        return _SCREENS[kind](self.source, Place(kind))

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
        return self.return_code or 0

    async def on_event(self, event: Event) -> None:
        """A pasted key becomes its fingerprint before any widget sees it, be it the palette or a reason."""
        if isinstance(event, Paste):
            event.text = re.sub(r"\S+", lambda word: hide_key(word[0]), event.text)
        await super().on_event(event)

    def copy_to_clipboard(self, text: str) -> None:
        """By the route of the profile, also what Textual's own widgets copy."""
        self._clipboard = text
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
        self.live.changed.subscribe(self, lambda _topic: self.vitals.wake())

    def _link_changed(self, link: Link) -> None:
        self.deck_state = replace(self.deck_state, link=link)

    def _vitals_changed(self, vitals: Vitals) -> None:
        self.deck_state = replace(
            self.deck_state, control=vitals.control, still_served=vitals.still_served, replica=vitals.replica
        )
        if self.is_running:  # the last answer may come while the console closes, when there is no screen
            self.screen.refresh_bindings()

    def _export_told(self, text: str) -> None:
        self.deck_state = replace(self.deck_state, exporting=text)

    # Going places

    async def go(self, place: Place) -> None:
        """Shows a place and remembers the way."""
        self._remember()
        try:
            await self._show(place)
        except ValueError as error:
            self.notify(str(error), severity="warning", markup=False)
        self._remember()

    def _remember(self) -> None:
        """Puts the place on screen into the history, as it is searched now."""
        if isinstance(self.screen, DeckScreen):
            self._history.visit(self.screen.place)

    async def _show(self, place: Place) -> None:
        if place.kind == "goto":
            await self._switch("requests")
            if isinstance(self.screen, RequestsScreen):
                self.screen.go_to(place.subject)
            return
        if place.kind not in TOP:
            await self.push_screen(_SCREENS[place.kind](self.source, place))
            return
        await self._switch(place.kind)
        screen = self.screen
        if isinstance(screen, DeckScreen) and place.subject != screen.place.subject:
            screen.narrow(place.subject)

    async def _switch(self, kind: str) -> None:
        await self.switch_mode(kind)
        while len(self.screen_stack) > 1:
            await self.pop_screen()

    def explain(self, row: RequestRow) -> None:
        """Opens one request in words; a link in it is followed."""
        self.push_screen(RequestScreen(self.source, row), self._follow)

    async def _follow(self, place: Place | None) -> None:
        if place is not None:
            await self.go(place)

    async def action_go(self, kind: str) -> None:
        """A digit: the screen as one left it, with its search."""
        self._remember()
        await self._switch(kind)
        self._remember()

    async def action_step(self, by: int) -> None:
        self._remember()
        place = self._history.step(by)
        if place is not None:
            await self._show(place)

    async def action_back(self) -> None:
        if len(self.screen_stack) > 1:
            await self.pop_screen()
            self._remember()

    def action_help(self) -> None:
        self.push_screen(HelpScreen(list(self.screen.active_bindings.values()), self))

    def action_command(self) -> None:
        if not typed(self.screen, ":") and isinstance(self.screen, DeckScreen):
            self.screen.query_one(Prompt).open(
                "command", ":", hint="overview, customers, keys, requests, an id", words=COMMANDS
            )

    async def on_prompt_entered(self, event: Prompt.Entered) -> None:
        """A command typed behind `:`."""
        prompt = self.screen.query_one(Prompt)
        try:
            place = parse_command(event.text)
            if place.kind == "save":
                self._save_filter(place.subject)
        except ValueError as error:
            prompt.say(str(error))
            return
        prompt.close()
        if place.kind == "quit":
            self.exit(0)
        elif place.kind == "help":
            self.action_help()
        elif place.kind != "save":
            self.run_worker(self._go_to_known(place, event.text), group="go", exclusive=True)

    def _save_filter(self, name: str) -> None:
        """Keeps the filter on screen by name. Raises ValueError with a sentence when there is none to keep."""
        wanted = self.screen.filtered_by if isinstance(self.screen, DeckScreen) else None
        if wanted is None:
            raise ValueError("there is a filter to save on the requests screen and on its groups (b)")
        before = save_filter(name, wanted)
        text = f"/@{name.lower()} brings it back." + (f" It was: {before}" if before else "")
        self.notify(text, title="Filter saved", markup=False, timeout=6)

    async def _go_to_known(self, place: Place, text: str) -> None:
        """A bare number may be a customer or a key: the one that exists is meant.

        The database may take seconds to say. Who goes elsewhere meanwhile stays there.
        """
        asked_from = self.screen
        try:
            for candidate in recognised(text):
                if await self.source.knows(candidate.kind, candidate.subject):
                    place = candidate
                    break
        except DatabaseError:
            pass  # the screen one comes to says what is the matter
        if self.screen is asked_from:
            await self.go(place)

"""The way from screen to screen, and back."""

from functools import partial
from typing import Any

from textual.app import App
from textual.screen import Screen

from console.dialog import Dialog, answer_first
from console.directory import SCREENS, TOP
from console.places import History, Place
from console.screens.base import DeckScreen
from console.screens.request import RequestScreen
from console.screens.requests import RequestsScreen
from db.source import RequestRow, Source


class Going:
    """Shows places on an app, and remembers them. Each screen with a digit is a mode of its own: it stays as it was
    left, while those above it are closed."""

    def __init__(self, app: App[Any], source: Source) -> None:
        self._app = app
        self._source = source
        self._history = History()
        # By mode: that from which a link or a command led to it, or what was shown in the same one before.
        self._led_here: dict[str, str | list[Place]] = {}
        for kind in TOP:
            app.add_mode(kind, partial(self._opened, Place(kind)))  # pyright: ignore[reportUnknownMemberType]

    def _opened(self, place: Place) -> Screen[Any]:
        return SCREENS[place.kind].opens(self._source, place)

    async def go(self, place: Place) -> None:
        """Shows a place and remembers the way."""
        if answer_first(self._app):
            return
        self._remember()
        mode, before = self._app.current_mode, self._places
        try:
            await self._show(place)
        except ValueError as error:
            self._app.notify(str(error), severity="warning", markup=False)
        if self._app.current_mode != mode:
            self._led_here[self._app.current_mode] = mode
        elif self._places[:1] != before[:1]:
            self._led_here[mode] = before
        self._remember()

    async def switch(self, kind: str) -> None:
        """A digit: the screen as one left it, with its search."""
        if answer_first(self._app):
            return
        self._remember()
        self._led_here.pop(kind, None)
        await self._switch(kind)
        self._remember()

    async def step(self, by: int) -> None:
        """To the place before, or the one after."""
        if answer_first(self._app):
            return
        self._remember()
        place = self._history.step(by)
        if place is not None:
            await self._show(place)

    async def back(self) -> None:
        """To the screen below; from the lowest to what led to it, which is as it was left. No digit leads anywhere."""
        if answer_first(self._app):
            return
        if len(self._app.screen_stack) > 1:
            await self._app.pop_screen()
        elif led := self._led_here.pop(self._app.current_mode, None):
            if isinstance(led, str):
                await self._app.switch_mode(led)
            else:
                for place in led:
                    await self._show(place)
        self._remember()

    def explain(self, row: RequestRow) -> None:
        """Opens one request in words; a link in it is followed."""
        self._app.push_screen(RequestScreen(self._source, row), self._follow)

    async def _follow(self, place: Place | None) -> None:
        if place is not None:
            await self.go(place)

    @property
    def _places(self) -> list[Place]:
        """What is shown in this mode, from the lowest screen up."""
        return [screen.place for screen in self._app.screen_stack if isinstance(screen, DeckScreen)]

    def _remember(self) -> None:
        """Puts the place on screen into the history, as it is searched now."""
        if isinstance(self._app.screen, DeckScreen):
            place = self._app.screen.place
            self._history.visit(place)
            self._source.presence.at(place.kind, place.subject)

    async def _show(self, place: Place) -> None:
        if place.kind == "goto":
            await self._switch("requests")
            if isinstance(self._app.screen, RequestsScreen):
                self._app.screen.go_to(place.subject)
            return
        if place.kind not in TOP:
            await self._app.push_screen(self._opened(place))
            return
        await self._switch(place.kind)
        screen = self._app.screen
        if isinstance(screen, DeckScreen) and place.subject != screen.place.subject:
            screen.narrow(place.subject)

    async def _switch(self, kind: str) -> None:
        await self._app.switch_mode(kind)
        while len(self._app.screen_stack) > 1 and not isinstance(self._app.screen, Dialog):
            await self._app.pop_screen()

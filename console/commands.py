"""What can be typed behind `:`."""

import difflib
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from textual.app import App

from console.directory import SCREENS, TOP
from console.going import Going
from console.places import Place, hide_key, may_be_key, recognised
from console.saved_filters import save_filter
from console.screens.base import DeckScreen
from db.errors import DatabaseError
from db.source import EVM_ADDRESS, EventId, Source, is_evm_address
from widgets.prompt import Prompt

COMMANDS = (*TOP, "goto", "save", *(kind for kind in SCREENS if kind not in TOP), "help", "quit")
_ALIASES = {alias: entry.kind for entry in SCREENS.values() for alias in entry.aliases}


def parse_command(text: str) -> Place:
    """Reads a line such as `customers suspended`, `key 0x0100607b` or just a subject.

    Raises ValueError with one sentence that names the word and the nearest command.
    """
    if any(may_be_key(hide_key(word)) for word in text.split()):
        raise ValueError("this begins like a key but is none; keys have 37 characters, the letters in upper case")
    if any(map(is_evm_address, text.split())):
        raise ValueError(EVM_ADDRESS)
    word, _, rest = text.strip().partition(" ")
    name = _ALIASES.get(word.lower(), word.lower())
    rest = rest.strip()
    if name in ("key", "customer", "ledger"):
        if not rest:
            raise ValueError(f":{name} wants {'a fingerprint' if name == 'key' else 'a customer id'} behind it")
        kind = "key" if name == "key" else "customer"
        matching = [place for place in recognised(rest) if place.kind == kind]
        if not matching:
            raise ValueError(f"{rest!r} is not a {'fingerprint' if name == 'key' else 'customer id'}")
        return Place(name, matching[0].subject)
    if name == "bill" and not re.fullmatch(r"[0-9a-fA-F-]{4,36}", rest):
        raise ValueError(":bill wants a bill's id behind it, or the first four characters or more of it")
    if name == "event":
        return Place(name, str(EventId.parse(rest)))
    if name in COMMANDS:
        return Place(name, rest)
    if not rest and (places := recognised(word)):
        return places[0]
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    raise ValueError(f"there is no command {word!r}" + (f"; did you mean {near[0]}?" if near else "; ? shows help"))


class Commands:
    """Carries them out."""

    def __init__(self, app: App[Any], source: Source, going: Going, show_help: Callable[[], None]) -> None:
        self._app = app
        self._source = source
        self._going = going
        self._show_help = show_help

    def ask(self) -> None:
        """Opens the line for one."""
        self._app.screen.query_one(Prompt).open(
            "command", ":", hint="overview, customers, keys, requests, an id", words=COMMANDS
        )

    def entered(self, text: str) -> None:
        """Does what was typed, or says above the line why not."""
        prompt = self._app.screen.query_one(Prompt)
        try:
            place = parse_command(text)
            if place.kind == "save":
                self._save_filter(place.subject)
        except ValueError as error:
            prompt.say(str(error))
            return
        prompt.close()
        if place.kind == "quit":
            self._app.run_worker(self._app.action_quit())
        elif place.kind == "help":
            self._show_help()
        elif place.kind != "save":
            self._app.run_worker(partial(self._go_to_known, place, text), group="go", exclusive=True)

    def _save_filter(self, name: str) -> None:
        """Keeps the filter on screen by name. Raises ValueError with a sentence when there is none to keep."""
        screen = self._app.screen
        wanted = screen.filtered_by if isinstance(screen, DeckScreen) else None
        if wanted is None:
            raise ValueError("there is a filter to save on the requests screen and on its groups (b)")
        before = save_filter(name, wanted)
        text = f"/@{name.lower()} brings it back." + (f" It was: {before}" if before else "")
        self._app.notify(text, title="Filter saved", markup=False, timeout=6)

    async def _go_to_known(self, place: Place, text: str) -> None:
        """A bare number may be a customer or a key, 0x and 64 digits a wallet or a transaction: what exists is meant.

        The database may take seconds to say. Who goes elsewhere meanwhile stays there.
        """
        asked_from = self._app.screen
        candidates = recognised(text)
        try:
            for candidate in candidates:
                if found := await self._source.found(candidate.kind, candidate.subject):
                    place = Place(*found)
                    break
            else:
                if place in candidates and place.kind == "customers":
                    text = f"No customer, bill, entry or escrow event is known by {place.subject}."
                    self._app.notify(text, title="Nothing was found", severity="warning", timeout=8, markup=False)
                    return
        except DatabaseError:
            pass  # the screen one comes to says what is the matter
        if self._app.screen is asked_from:
            await self._going.go(place)

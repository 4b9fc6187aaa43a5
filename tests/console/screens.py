"""The console as an operator meets it: keys go in, lines of text come out."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, TypeVar
from unittest.mock import patch

import psycopg
from pydantic import SecretStr
from rich.console import Console
from textual import events
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.pilot import Pilot

from console.app import OpsDeck
from console.settings import Profile, Settings
from db.database import Database, Limits
from db.source import Source

SIZE = (120, 40)
Found = TypeVar("Found")


def shown(app: App[Any]) -> list[str]:
    """The lines of the screen as they are now, without spaces at their ends."""
    # Drawing the picture around the text takes three times as long as all the rest.
    with patch.object(Console, "export_svg", lambda console, **_: console.export_text()):
        text = app.export_screenshot(simplify=True)
    return [line.rstrip() for line in text.split("\n")[: app.size.height]]


class WatchedDeck(OpsDeck):
    """Counts what it paints."""

    painted = 0

    def post_display_hook(self) -> None:
        self.painted += 1


class Operator:
    """Presses keys and reads the screen. Every wait ends with the condition or with the screen in the error."""

    def __init__(self, app: WatchedDeck, pilot: Pilot[int]) -> None:
        self.app = app
        self._pilot = pilot
        self._read: tuple[int, list[str]] = (-1, [])

    @property
    def lines(self) -> list[str]:
        # Reading a screen takes 20 ms, and most looks find what the last one found.
        if self._read[0] != self.app.painted:
            self._read = (self.app.painted, shown(self.app))
        return self._read[1]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def prose(self) -> str:
        """All words of the screen with one space between them: for sentences that may be wrapped anywhere."""
        return " ".join(word for word in self.text.split() if word not in "│▌›╭╮╰╯")

    @property
    def header(self) -> str:
        return self.lines[0]

    @property
    def footer(self) -> str:
        return self.lines[-1]

    def line(self, part: str) -> str:
        """The first line that holds `part`; empty without one."""
        return next((line for line in self.lines if part in line), "")

    async def press(self, *keys: str) -> None:
        """One key after the other, each when the one before was heard by whom it concerns."""
        for key in keys:
            name = {"/": "slash", ":": "colon"}.get(key, key)
            self.app.post_message(events.Key(name, key if len(key) == 1 else None))
            await self._heard()

    async def _heard(self) -> None:
        # Pilot.press waits for an idle CPU instead, which takes 60 ms a key, and for ever on a busy machine.
        # From the app to the focused widget, back up to a binding, and on to whom its action posts: three queues.
        for _ in range(3):
            await self._pilot.pause(0)

    async def type(self, text: str) -> None:
        """One key after the other, as fast as a terminal hands over what was typed ahead."""
        for event in XTermParser().feed(text):
            self.app.post_message(event)
        await self._heard()

    async def paste(self, text: str) -> None:
        """As a terminal with bracketed paste hands it over."""
        self.app.post_message(events.Paste(text))
        await self._heard()

    async def say(self, sign: str, text: str) -> None:
        """Opens a prompt with its sign, empties it, and enters `text`."""
        await self.press(sign, "ctrl+u")
        await self.paste(text)
        await self.press("enter")

    async def settle(self) -> None:
        """Until everything said so far was heard and painted."""
        await self._heard()
        await asyncio.sleep(0.05)

    async def until(self, condition: Callable[[], Found], what: str, wait_s: float = 15.0) -> Found:
        """What the condition gives, once that is true."""
        deadline = monotonic() + wait_s
        while not (found := condition()):
            assert monotonic() < deadline, f"not within {wait_s} s: {what}\n{self.text}"
            await asyncio.sleep(0.03)
        return found

    async def sees(self, *parts: str, wait_s: float = 15.0) -> str:
        """The screen, once it shows all of these. What was painted with them is there too for who looks next."""

        def all_there() -> str:
            text = self.text
            return text if all(part in text for part in parts) else ""

        text = await self.until(all_there, f"the screen shows {parts}", wait_s)
        await self._heard()
        return text

    async def sees_no(self, *parts: str, wait_s: float = 15.0) -> str:
        """The screen, once it shows none of these."""

        def none_there() -> str:
            text = self.text
            return "" if any(part in text for part in parts) else text

        return await self.until(none_there, f"the screen shows none of {parts}", wait_s)

    async def down_to(self, part: str) -> None:
        """Moves the cursor of the first list down to the line that begins with `part`."""
        while f"› {part}" not in self.text:
            before = self.line("›")
            await self.press("down")
            await self.until(lambda before=before: self.line("›") != before, f"the cursor moves on to {part}")

    async def never_sees(self, *parts: str, for_s: float) -> None:
        """Looks again and again: none of these may come."""
        deadline = monotonic() + for_s
        while monotonic() < deadline:
            text = self.text
            assert not any(part in text for part in parts), text
            await asyncio.sleep(0.03)


@asynccontextmanager
async def operator_at(
    app: WatchedDeck, *, size: tuple[int, int] = SIZE, connected: bool = True
) -> AsyncGenerator[Operator]:
    """Runs the app in a terminal of `size` cells."""
    async with app.run_test(size=size, notifications=True) as pilot:
        operator = Operator(app, pilot)
        if connected:
            await operator.until(lambda: app.deck_state.link is not None and app.deck_state.link.up, "connected")
        yield operator


@asynccontextmanager
async def console(
    dsn: str,
    *,
    size: tuple[int, int] = SIZE,
    read_only: bool = False,
    connected: bool = True,
    kind: type[WatchedDeck] = WatchedDeck,
    limits: Limits | None = None,
    replica_dsn: str | None = None,
    pgbouncer: bool = False,
) -> AsyncGenerator[Operator]:
    """A console as the command line opens it."""
    settings = Settings("default", Profile(), SecretStr(dsn), read_only)
    database = Database(dsn, limits=limits, read_only=read_only, replica_dsn=replica_dsn, pgbouncer=pgbouncer)
    await database.open()
    try:
        async with operator_at(kind(Source(database), settings), size=size, connected=connected) as operator:
            yield operator
    finally:
        await database.close()


def query(dsn: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """What another session sees; what it changes is committed."""
    with psycopg.connect(dsn) as connection:
        cursor = connection.execute(statement, values)  # pyright: ignore
        return cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def locked(dsn: str, table: str) -> AsyncGenerator[None]:
    """Another session has the table for itself. In a thread, as it may have to wait for the console in this one."""
    with psycopg.connect(dsn) as other:
        await asyncio.to_thread(other.execute, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield


def hint(dsn: str, topic: str) -> None:
    """What other programs send after a change."""
    query(dsn, "SELECT pg_notify('opsdeck', %s)", topic)


def cut_connections(dsn: str) -> int:
    """Ends all backends of consoles on this database, as an administrator would. Returns how many."""
    return len(
        query(
            dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'opsdeck%%'",
        )
    )


def waits_for_a_lock(dsn: str) -> bool:
    """Whether a console waits for another session."""
    return bool(
        query(
            dsn,
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            " AND application_name LIKE 'opsdeck%%'",
        )
    )


def audit_rows(dsn: str) -> list[dict[str, Any]]:
    """The record, oldest first."""
    columns = "operation_id, action, subjects, os_user, reason, before, after, outcome, message"
    rows = query(dsn, f"SELECT {columns} FROM console.audit ORDER BY seq")
    return [dict(zip(columns.split(", "), row, strict=True)) for row in rows]


def live_keys(dsn: str) -> set[int]:
    """Fingerprints of the keys that are not revoked."""
    return {row[0] for row in query(dsn, "SELECT api_key_fp FROM api_keys WHERE is_active")}

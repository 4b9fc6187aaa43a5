"""PostgreSQL itself: who is connected and in whose way."""

from datetime import datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from console.parts.server_tables import session_facts, sessions_facts, sessions_table
from console.places import Place
from console.screens.base import DeckScreen
from db.source import Session, Sessions, Source, TerminateBackend
from widgets.facts import Facts
from widgets.keyset_table import KeysetTable


class DatabaseScreen(DeckScreen[Sessions]):
    """The sessions; one that is in the way can be ended."""

    topics: ClassVar[frozenset[str]] = frozenset({"database"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+x", "end", "End session", id="database.end", tooltip="End this session; what it wrote is undone"),
    ]
    DEFAULT_CSS = """
    DatabaseScreen #sessions { height: 1fr; }
    DatabaseScreen #session { height: auto; max-height: 8; border-top: solid $panel; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self.sessions = sessions_table()

    def compose_body(self) -> ComposeResult:
        yield Facts(id="facts")
        yield self.sessions
        with VerticalScroll(id="session", can_focus=False):
            yield Facts(id="one")

    def on_mount(self) -> None:
        self.sessions.focus()

    async def load(self) -> Sessions:
        return await self.source.server.sessions()

    def paint(self, snapshot: Sessions) -> None:
        self.query_one("#facts", Facts).tell(sessions_facts(snapshot))
        self.sessions.show([(row, snapshot.now) for row in snapshot.rows], complete=True)

    def on_keyset_table_highlighted(self, event: KeysetTable.Highlighted[tuple[Session, datetime]]) -> None:
        event.stop()
        self.query_one("#one", Facts).tell(session_facts(*event.row))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What the role may not do is not bound."""
        return self.deck.deck_state.may(TerminateBackend) if action == "end" else True

    def action_end(self) -> None:
        row = self.sessions.cursor_row
        if row is None:
            return
        session, _ = row
        if session.started is None:
            self.notify("When it began is hidden from this role, so it cannot be told for sure.", timeout=6)
            return
        self.deck.performer.start(TerminateBackend(session.pid, session.started))

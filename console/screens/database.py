"""PostgreSQL itself: who is connected and in whose way, what takes room and time, what has to be kept up."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import ContentSwitcher, Static

from console.failures import word
from console.parts.details import Details
from console.parts.server_details import index_details, session_details, statement_details, table_details
from console.parts.server_sessions import session_facts, sessions_facts, sessions_table
from console.parts.server_tables import COUNTED, indexes_table, statements_table, tables_table, upkeep_facts
from console.places import Place
from console.screens.base import DeckScreen
from db.errors import DatabaseError
from db.source import (
    IndexUse,
    Session,
    Sessions,
    Source,
    StatementCost,
    TableSize,
    TerminateBackend,
    Upkeep,
)
from widgets.facts import Fact, Facts
from widgets.keyset_table import KeysetTable
from widgets.tone import Tone

_VIEWS = ("sessions", "tables", "indexes", "statements", "upkeep")
_KEPT_S = {"tables": 30.0, "indexes": 30.0}  # they cost the server a look at every file: 0.1 s at 500 partitions


@dataclass(frozen=True, slots=True)
class Shown:
    """One load: of one view alone, the others cost nothing meanwhile."""

    view: str
    found: Sessions | Upkeep | tuple[Any, ...]
    at: float = field(default_factory=monotonic)


class DatabaseScreen(DeckScreen[Shown]):
    """One view at a time; a session that is in the way can be ended."""

    topics: ClassVar[frozenset[str]] = frozenset({"database"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v,tab", "view(1)", "View", key_display="v", id="database.view",
                tooltip="The next view: tables, indexes, statements, upkeep"),
        Binding("V,shift+tab", "view(-1)", "View", show=False, id="database.view_before",
                tooltip="The view before"),
        Binding("ctrl+x", "end", "End session", id="database.end", tooltip="End this session; what it wrote is undone"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    DatabaseScreen #views { height: 1; padding: 0 1; color: $text-muted; }
    DatabaseScreen #facts { height: auto; }
    DatabaseScreen ContentSwitcher { height: 1fr; }
    DatabaseScreen ContentSwitcher > * { height: 1fr; }
    DatabaseScreen #session { height: auto; max-height: 8; border-top: solid $panel; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self.sessions = sessions_table()
        self.tables: dict[str, KeysetTable[Any]] = {
            "tables": tables_table(),
            "indexes": indexes_table(),
            "statements": statements_table(),
        }
        self._view = 0

    def compose_body(self) -> ComposeResult:
        yield Static("", id="views", markup=False)
        yield Facts(id="facts")
        with ContentSwitcher(initial="sessions"):
            yield self.sessions
            yield from self.tables.values()
            with VerticalScroll(id="upkeep"):
                yield Facts(id="kept")
        with VerticalScroll(id="session", can_focus=False):
            yield Facts(id="one")

    def on_mount(self) -> None:
        self._turn()

    @property
    def view(self) -> str:
        """Which one is shown."""
        return _VIEWS[self._view]

    async def load(self) -> Shown:
        view, server, last = self.view, self.source.server, self.snapshot
        if last is not None and last.view == view and monotonic() - last.at < _KEPT_S.get(view, 0.0):
            return last
        if view == "tables":
            return Shown(view, await server.tables())
        if view == "indexes":
            return Shown(view, await server.indexes())
        if view == "statements":
            return Shown(view, await server.statements() or ())
        return Shown(view, await (server.upkeep() if view == "upkeep" else server.sessions()))

    def paint(self, snapshot: Shown) -> None:
        if snapshot.view != self.view:
            return
        found, facts = snapshot.found, self.query_one("#facts", Facts)
        if isinstance(found, Sessions):
            facts.tell(sessions_facts(found))
            self.sessions.show([(row, found.now) for row in found.rows], complete=True)
        elif isinstance(found, Upkeep):
            self.query_one("#kept", Facts).tell(upkeep_facts(found))
        else:
            facts.tell([(COUNTED[snapshot.view](len(found)), "", Tone.DIM)])
            self.tables[snapshot.view].show(found, complete=True)

    def on_keyset_table_highlighted(self, event: KeysetTable.Highlighted[tuple[Session, datetime]]) -> None:
        event.stop()
        if self.view == "sessions":
            self.query_one("#one", Facts).tell(session_facts(*event.row))

    def on_keyset_table_picked(self, event: KeysetTable.Picked[Any]) -> None:
        """A line in full."""
        event.stop()
        found = None if self.snapshot is None else self.snapshot.found
        if isinstance(event.row, TableSize):
            self.run_worker(partial(self._open_table, event.row), group="details", exclusive=True)
        elif isinstance(event.row, IndexUse):
            self._open(*index_details(event.row))
        elif isinstance(event.row, StatementCost):
            self._open(*statement_details(event.row, self.tables["statements"].rows))
        elif isinstance(found, Sessions):
            self._open(*session_details(event.row[0], found))

    async def _open_table(self, row: TableSize) -> None:
        try:
            indexes, upkeep = await self.source.server.indexes(), await self.source.server.upkeep()
        except DatabaseError as error:
            self.notify(word(error).text, severity="warning", markup=False)
        else:
            self._open(*table_details(row, indexes, upkeep))

    def _open(self, headline: str, facts: list[Fact]) -> None:
        if self.is_current:  # nobody went elsewhere meanwhile
            self.app.push_screen(Details(headline, facts))  # pyright: ignore[reportUnknownMemberType]

    def action_view(self, by: int) -> None:
        self._view = (self._view + by) % len(_VIEWS)
        self._turn()
        self.reload()

    def _turn(self) -> None:
        words = (f"[{view}]" if view == self.view else f" {view} " for view in _VIEWS)
        self.query_one("#views", Static).update(" ".join(words) + "   v or tab: the next")
        self.query_one("#facts", Facts).tell(())
        self.query_one(ContentSwitcher).current = self.view
        self.query_one("#session").display = self.view == "sessions"
        self.query_one(f"#{self.view}").focus()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What the role may not do is not bound."""
        if action == "end":
            return self.view == "sessions" and self.deck.deck_state.may(TerminateBackend)
        return True

    def action_end(self) -> None:
        row = self.sessions.cursor_row
        if row is None:
            return
        session, _ = row
        if session.started is None:
            self.notify("When it began is hidden from this role, so it cannot be told for sure.", timeout=6)
            return
        self.deck.performer.start(TerminateBackend(session.pid, session.started))

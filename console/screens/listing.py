"""What the lists share: pages by keyset, a search, marks, opening a row."""

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from console.failures import word
from console.places import Place
from console.reloading import PAGE, as_many, renew
from console.screens.base import DeckScreen
from db.errors import DatabaseError
from db.source import Page, Source
from widgets.keyset_table import Column, KeysetTable
from widgets.prompt import Prompt, typed

Row = TypeVar("Row")
Search = TypeVar("Search")


class ListScreen(DeckScreen[Page[Row]], Generic[Row, Search]):
    """A searchable list. Subclasses say what a search is, how a page is read and what the columns are."""

    period: ClassVar[float | None] = 10.0
    search_hint: ClassVar[str]
    empty: ClassVar[str]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "slash", "search", "Filter", key_display="/", priority=True, id="list.search", tooltip="Narrow the list"
        ),
        Binding("ctrl+l", "clear", "Clear search", show=False, id="list.clear", tooltip="Show the whole list again"),
    ]
    DEFAULT_CSS = """
    ListScreen #searched { height: 1; color: $text-muted; padding: 0 1; display: none; }
    ListScreen #searched.on { display: block; }
    ListScreen KeysetTable { height: 1fr; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self.search = self.parse(place.subject)
        self.table: KeysetTable[Row] = KeysetTable(self.columns(), self.key, self.empty, id="rows")

    @abstractmethod
    def parse(self, text: str) -> Search:
        """Reads what was typed. Raises ValueError with a sentence."""

    @abstractmethod
    async def page(self, search: Search, after: Row | None, limit: int) -> Page[Row]:
        """One page of the list."""

    @abstractmethod
    def columns(self) -> Sequence[Column[Row]]:
        """The columns of the table."""

    @abstractmethod
    def key(self, row: Row) -> Hashable:
        """What tells rows apart."""

    @abstractmethod
    def open_row(self, row: Row) -> None:
        """Enter on a row."""

    def compose_body(self) -> ComposeResult:
        yield Static("", id="searched", markup=False)
        yield self.table

    def on_mount(self) -> None:
        self._tell_search()
        self.table.focus()

    async def load(self) -> Page[Row]:
        while True:
            search = self.search
            page = await self.page(search, None, as_many(self.table))
            if search is self.search:  # else it was narrowed meanwhile: this page is of the search before
                return page

    def paint(self, snapshot: Page[Row]) -> None:
        renew(self.table, snapshot)

    def narrow(self, subject: str) -> None:
        """Searches for `subject`. Raises ValueError with a sentence when it cannot be read."""
        self.search = self.parse(subject)
        self.place = Place(self.place.kind, subject)
        self._tell_search()
        self.table.show((), complete=False)
        self.reload()

    def _tell_search(self) -> None:
        line = self.query_one("#searched", Static)
        line.update(f"/ {self.place.subject}   ctrl+l shows all")
        line.set_class(bool(self.place.subject), "on")

    def action_search(self) -> None:
        if not typed(self, "/"):
            self.query_one(Prompt).open("narrow", "/", text=self.place.subject, hint=self.search_hint)

    def action_clear(self) -> None:
        self.narrow("")

    def on_keyset_table_picked(self, event: KeysetTable.Picked[Any]) -> None:
        event.stop()
        self.open_row(event.row)

    def on_keyset_table_more_wanted(self, event: KeysetTable.MoreWanted[Any]) -> None:
        event.stop()
        self.run_worker(partial(self._load_more, event.last, self.search), group="more", exclusive=True)

    async def _load_more(self, last: Row, search: Search) -> None:
        try:
            page = await self.page(search, last, PAGE)
        except DatabaseError as error:
            self.failure = word(error)
            self.table.add((), complete=False)
            return
        if search is self.search:
            self.table.add(page.rows, page.complete)

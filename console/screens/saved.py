"""The filters this operator has saved by name."""

from dataclasses import dataclass
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from console.places import Place
from console.saved_filters import SavedFilterError, delete_filter, filters_path, saved_filters
from console.screens.base import DeckScreen
from db.source import Source
from widgets.keyset_table import Column, KeysetTable

Saved = tuple[str, str]  # name, words


@dataclass(frozen=True, slots=True)
class SavedSnapshot:
    """What the file says, or why it cannot be read."""

    filters: tuple[Saved, ...]
    trouble: str = ""


class SavedScreen(DeckScreen[SavedSnapshot]):
    """A list to pick from: enter shows the requests that a filter lets through."""

    period: ClassVar[float | None] = 5.0
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+x", "delete", "Delete", id="saved.delete", tooltip="Forget this filter"),
    ]
    DEFAULT_CSS = """
    SavedScreen #where { padding: 0 1; color: $text-muted; }
    SavedScreen KeysetTable { height: 1fr; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self.table: KeysetTable[Saved] = KeysetTable(
            (Column("name", 33, lambda row: f"@{row[0]}"), Column("filter", 20, lambda row: row[1], flex=True)),
            lambda row: row[0],
            "No filter is saved. On the requests screen :save NAME keeps the one that is shown.",
            id="saved",
        )

    def compose_body(self) -> ComposeResult:
        yield Static(str(filters_path()), id="where", markup=False)
        yield self.table

    def on_mount(self) -> None:
        self.table.focus()

    @property
    def heading(self) -> str:
        return "saved filters"

    async def load(self) -> SavedSnapshot:
        try:
            return SavedSnapshot(tuple(saved_filters().items()))
        except SavedFilterError as error:
            return SavedSnapshot((), str(error))

    def paint(self, snapshot: SavedSnapshot) -> None:
        self.query_one("#where", Static).update(snapshot.trouble or str(filters_path()))
        self.table.display = not snapshot.trouble
        self.table.show(snapshot.filters, complete=True)

    def on_keyset_table_picked(self, event: KeysetTable.Picked[Any]) -> None:
        event.stop()
        self.go("requests", f"@{event.row[0]}")

    def action_delete(self) -> None:
        if (row := self.table.cursor_row) is None:
            return
        try:
            delete_filter(row[0])
        except SavedFilterError as error:
            self.notify(str(error), severity="warning", markup=False)
            return
        self.notify(f"It was: {row[1]}", title=f"@{row[0]} deleted", markup=False, timeout=8)
        self.reload()

"""What waits for a second person, or for the one who asked to carry it out."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from console.places import Place
from console.screens.base import DeckScreen
from console.words import clock
from db.source import Approval, Approve, Reject, Source
from widgets.keyset_table import Column, KeysetTable
from widgets.tone import Tone


class ApprovalsScreen(DeckScreen[tuple[Approval, ...]]):
    """Requests that are open: approve or reject those of others. What is approved, its asker does again."""

    topics: ClassVar[frozenset[str]] = frozenset({"approvals"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+a", "approve", "Approve", id="approvals.approve", tooltip="Let the one who asked carry it out"),
        Binding("ctrl+x", "reject", "Reject", id="approvals.reject", tooltip="End the request"),
    ]

    DEFAULT_CSS = """
    ApprovalsScreen KeysetTable { height: 1fr; }
    ApprovalsScreen #whole { height: auto; max-height: 8; padding: 0 1; color: $text-muted; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self.table: KeysetTable[Approval] = KeysetTable(
            (
                Column("state", 9, lambda row: (row.state, Tone.NOTICE if row.state == "asked" else Tone.GOOD)),
                Column("by", 14, lambda row: row.asker),
                Column("until", 9, lambda row: clock(row.expires_at)),
                Column("what", 20, lambda row: row.command, flex=True),
                Column("why", 24, lambda row: row.reason, hide_below=90),
            ),
            lambda row: row.approval_id,
            "Nothing waits for a second person.",
            id="requests",
        )

    def compose_body(self) -> ComposeResult:
        yield self.table
        yield Static("", id="whole", markup=False)

    def on_mount(self) -> None:
        self.table.focus()

    async def load(self) -> tuple[Approval, ...]:
        return await self.source.approvals.page(open_only=True)

    def paint(self, snapshot: tuple[Approval, ...]) -> None:
        self.table.show(snapshot, complete=True)
        self._tell_whole()
        self.refresh_bindings()

    def on_keyset_table_highlighted(self) -> None:
        self._tell_whole()

    def _tell_whole(self) -> None:
        """What is asked for under the cursor, in all its words: the list has no room for them."""
        row = self.table.cursor_row
        whole = "" if row is None else f"{row.command}\n{row.asker}: {row.reason}"
        if row is not None and row.decided_by is not None:
            whole += f"\napproved by {row.decided_by}: {row.asker} does it again to carry it out, once"
        self.query_one("#whole", Static).update(whole)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What the role may not do is not bound."""
        return self.deck.deck_state.may(Approve) if action in ("approve", "reject") else True

    def action_approve(self) -> None:
        if self.table.cursor_row is not None:
            self.deck.performer.start(Approve(self.table.cursor_row.approval_id))

    def action_reject(self) -> None:
        if self.table.cursor_row is not None:
            self.deck.performer.start(Reject(self.table.cursor_row.approval_id))

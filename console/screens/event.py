"""One escrow event beside what the books have under its transaction; settling it."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from console.parts.event_words import outcome_cell
from console.parts.history import history_facts
from console.places import Place
from console.screens.base import DeckScreen
from console.words import exact_dollars, moment
from db.errors import Refused
from db.source import (
    MAX_CUSTOMER_ID,
    AcceptChain,
    AssignEvent,
    AuditRow,
    BookedRow,
    DismissEvent,
    EventId,
    InboxEvent,
    InboxEventDetail,
    KeepBooks,
    Operation,
    ReopenEvent,
    Source,
    read_customer_id,
)
from widgets.facts import Fact, Facts
from widgets.keyset_table import Column, KeysetTable
from widgets.prompt import Prompt
from widgets.tone import Tone

_ACTIONS: Final[dict[str, type[Operation]]] = {
    "assign": AssignEvent,
    "drop": DismissEvent,
    "accept": AcceptChain,
    "keep": KeepBooks,
    "reopen": ReopenEvent,
}


@dataclass(frozen=True, slots=True)
class EventSnapshot:
    """All the screen shows."""

    detail: InboxEventDetail
    history: tuple[AuditRow, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    """The chain's version, or a row of the books: what they have in common stands below each other."""

    source: str
    customer_id: int | None
    kind: str
    amount: str
    at: str
    says: str
    differs: frozenset[str]
    key: str

    def cell(self, name: str, text: str) -> tuple[str, Tone]:
        """A value, and a sign where it is not what the chain says."""
        return (f"▲ {text}", Tone.BAD) if name in self.differs else (text, Tone.PLAIN)


class EventScreen(DeckScreen[EventSnapshot]):
    """An event, what it says, and what the books say of it. Enter opens the ledger of a row's customer."""

    topics: ClassVar[frozenset[str]] = frozenset({"chain", "jobs", "billing"})
    period: ClassVar[float | None] = 10.0
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+n", "assign", "Assign", id="event.assign", tooltip="Say whose it is: it comes onto the books"),
        Binding("ctrl+x", "drop", "Dismiss", id="event.dismiss", tooltip="Say that it belongs onto no books"),
        Binding("ctrl+y", "accept", "Accept", id="event.accept", tooltip="Settle the conflict for the chain"),
        Binding("ctrl+k", "keep", "Keep books", id="event.keep", tooltip="Settle the conflict for the books"),
        Binding("ctrl+u", "reopen", "Reopen", id="event.reopen", tooltip="Take its dismissal back: it waits again"),
        Binding("c", "customer", "Customer", id="event.customer", tooltip="Whose event it is"),
    ]
    DEFAULT_CSS = """
    EventScreen #event { height: auto; max-height: 60%; }
    EventScreen .title { padding: 0 1; height: 1; color: $text-accent; text-style: bold; }
    EventScreen KeysetTable { height: 1fr; min-height: 4; }
    EventScreen #history { height: auto; max-height: 4; border-top: solid $panel-lighten-1; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self._event = EventId.parse(place.subject)
        self.table: KeysetTable[_Line] = KeysetTable(
            (
                Column("", 13, lambda row: (row.source, Tone.ACCENT if row.source == "the chain" else Tone.PLAIN)),
                Column("customer", 12, lambda row: row.cell("customer", _or_dash(row.customer_id)), align="right"),
                Column("kind", 11, lambda row: row.cell("kind", row.kind)),
                Column("amount", 14, lambda row: row.cell("amount", row.amount), align="right"),
                Column("at (UTC)", 19, lambda row: row.at, hide_below=100),
                Column("", 16, lambda row: (row.says, Tone.DIM), flex=True),
            ),
            lambda row: row.key,
            "",
            id="beside",
        )

    def compose_body(self) -> ComposeResult:
        with VerticalScroll(id="event", can_focus=False):
            yield Facts(id="facts")
        yield Static("what the chain says, and what the books have under its digest", classes="title")
        yield self.table
        with VerticalScroll(id="history", can_focus=False):
            yield Facts(id="record")

    def on_mount(self) -> None:
        self.table.focus()

    @property
    def heading(self) -> str:
        return f"event {self.place.subject[:8]}…:{self._event.index}"

    async def load(self) -> EventSnapshot:
        found = await self.source.escrow_events.find(self._event)
        if found is None:
            raise Refused(f"there is no event {self._event} in the inbox")
        return EventSnapshot(found, await self.source.audit.of((self._event.subject,)))

    def paint(self, snapshot: EventSnapshot) -> None:
        self.query_one("#facts", Facts).tell(_facts(snapshot.detail))
        self.query_one("#record", Facts).tell(history_facts(snapshot.history[:20]))
        self.table.show(_lines(snapshot.detail), complete=True)
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What the role may not do, or what has no meaning for the event as it is, is not bound."""
        event = None if self.snapshot is None else self.snapshot.detail.event
        if action == "customer":
            return event is not None and event.customer_id is not None
        if action not in _ACTIONS:
            return True
        if event is None or not self.deck.deck_state.may(_ACTIONS[action]):
            return False
        if action in ("accept", "keep"):
            return event.outcome == "conflict"
        if action == "reopen":
            return event.outcome == "dismissed"
        return event.outcome == "unmatched" and (action == "drop" or event.kind is not None)

    def action_assign(self) -> None:
        self.query_one(Prompt).open("assign", "assign to", hint="the customer's id")

    def on_prompt_entered(self, event: Prompt.Entered) -> None:
        """Whose it is."""
        if event.kind == "assign":
            event.stop()
            self.enter(self._assign, event.text)

    def _assign(self, text: str) -> None:
        customer = read_customer_id(text)
        if customer is None:
            raise ValueError(f"give a customer's id, a number from 1 to {MAX_CUSTOMER_ID}")
        self.deck.performer.start(AssignEvent(self._event, customer_id=customer))

    def action_drop(self) -> None:
        self.deck.performer.start(DismissEvent(self._event))

    def action_accept(self) -> None:
        self.deck.performer.start(AcceptChain(self._event))

    def action_keep(self) -> None:
        self.deck.performer.start(KeepBooks(self._event))

    def action_reopen(self) -> None:
        self.deck.performer.start(ReopenEvent(self._event))

    def action_customer(self) -> None:
        if self.snapshot is not None and self.snapshot.detail.event.customer_id is not None:
            self.go("customer", str(self.snapshot.detail.event.customer_id))

    def on_keyset_table_picked(self, event: KeysetTable.Picked[Any]) -> None:
        event.stop()
        if event.row.customer_id is not None:
            self.go("ledger", str(event.row.customer_id))


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)


def _facts(detail: InboxEventDetail) -> list[Fact]:
    event = detail.event
    facts: list[Fact] = [
        ("event", str(event.id)),
        ("at", f"{moment(event.at)}, checkpoint {event.checkpoint:,}"),
        ("type", event.type.partition("::")[2]),
        ("package", event.type.partition("::")[0]),
        ("account", event.account_id or "none named"),
        ("amount", _or_dash(event.amount)),
        ("outcome", *outcome_cell(event)),
    ]
    if event.owner is not None:
        facts.insert(5, ("made by", event.owner))
    if event.note:
        facts.append(("why", event.note))
    said = {name: value for name, value in detail.fields.items() if value != event.account_id}
    return [*facts, ("fields", json.dumps(said, ensure_ascii=False), Tone.DIM)]


def _lines(detail: InboxEventDetail) -> list[_Line]:
    event = detail.event
    at, amount = moment(event.at), exact_dollars(event.amount_usd)
    first = _Line("the chain", event.customer_id, event.kind or "no money", amount, at, "", frozenset(), "")
    return [first, *(_booked(row, event) for row in detail.books)]


def _booked(row: BookedRow, event: InboxEvent) -> _Line:
    if row.taken_back:
        says = "taken back"
    elif row.stands_for is None:
        says = "stands for no event"
    else:
        says = "stands for this event" if row.stands_for == event.event_index else f"stands for event {row.stands_for}"
    other = row.stands_for not in (None, event.event_index) or row.taken_back
    coin = "" if row.asset in ("USD", "USDC") else f" {row.asset.rpartition('::')[2]}"
    return _Line(
        "escrow mirror" if row.book == "escrow" else "ledger",
        row.customer_id,
        row.kind,
        exact_dollars(row.amount) if not coin else f"{row.amount.normalize():f}{coin}",
        moment(row.at),
        says,
        frozenset() if other else row.differences(event),
        f"{row.book} {row.row}",
    )

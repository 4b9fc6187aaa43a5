"""The chain: how it is read, and the escrow events by what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from console.failures import Failure
from console.parts.event_words import outcome_cell
from console.places import Place
from console.screens.listing import ListScreen
from console.words import moment
from db.source import (
    EVENT_OUTCOMES,
    EVENT_SEARCH_HINT,
    JOBS,
    EscrowChain,
    EventSearch,
    Inbox,
    InboxEvent,
    NodeInfo,
    Page,
    Source,
    parse_event_search,
)
from widgets.facts import Fact, Facts
from widgets.keyset_table import Column
from widgets.tone import Tone

_HOW = "not configured: nothing is asked of any chain; set target in the [profiles.NAME.chain] table"


@dataclass(frozen=True, slots=True)
class _Reading:
    """What stands above the list."""

    inbox: Inbox
    stopped: str | None


class ChainScreen(ListScreen[InboxEvent, EventSearch]):
    """How far the chain was read, and its events; those that wait for somebody unless others are asked for."""

    topics: ClassVar[frozenset[str]] = frozenset({"chain", "jobs"})
    search_hint: ClassVar[str] = EVENT_SEARCH_HINT
    empty: ClassVar[str] = "No event like that."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "all", "All", id="chain.all", tooltip="Every event, or only those that wait for somebody"),
        Binding("ctrl+g", "sync", "Read", id="chain.sync", tooltip="Run the job that reads what is new on the chain"),
    ]
    DEFAULT_CSS = "ChainScreen #state { padding: 0 1; max-height: 50%; }"

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self._reading: _Reading | None = None
        self._node: NodeInfo | Failure | None = None

    def compose_body(self) -> ComposeResult:
        yield Facts(id="state")
        yield from super().compose_body()

    def on_mount(self) -> None:
        if self.source.chain is not None:
            self.ask_beside(self.source.chain.reader.service_info, self._node_told)

    def _node_told(self, node: NodeInfo | Failure) -> None:
        self._node = node
        self._tell_reading()

    def parse(self, text: str) -> EventSearch:
        return parse_event_search(text)

    async def page(self, search: EventSearch, after: InboxEvent | None, limit: int) -> Page[InboxEvent]:
        return await self.source.escrow_events.page(search, after=after, limit=limit)

    async def load(self) -> Page[InboxEvent]:
        reading = _Reading(await self.source.escrow_books.inbox(), await self.source.escrow_events.stopped())
        page = await super().load()
        self._reading = reading
        return page

    def paint(self, snapshot: Page[InboxEvent]) -> None:
        super().paint(snapshot)
        self._tell_reading()

    def columns(self) -> Sequence[Column[InboxEvent]]:
        return (
            Column("at (UTC)", 16, lambda row: moment(row.at)[:16]),
            Column("event", 14, lambda row: row.name.removesuffix("Event")),
            Column("amount", 17, lambda row: "-" if row.amount is None else str(row.amount), align="right"),
            Column("customer", 10, lambda row: "-" if row.customer_id is None else str(row.customer_id), align="right"),
            Column("outcome", 11, outcome_cell),
            Column("why", 20, lambda row: row.note or row.account_id or "-", flex=True, hide_below=100),
        )

    def key(self, row: InboxEvent) -> object:
        return row.id

    def open_row(self, row: InboxEvent) -> None:
        self.go("event", str(row.id))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a chain there is nothing to read."""
        return action != "sync" or (self.source.chain is not None and self.deck.deck_state.may_run_jobs)

    def action_all(self) -> None:
        self.narrow("" if self.place.subject == "all" else "all")

    def action_sync(self) -> None:
        self.deck.start_job(next(job for job in JOBS if job.name == "sync-chain"), dry_run=False)

    def _tell_reading(self) -> None:
        if self._reading is not None and self.is_mounted:
            facts = [*_node(self.source.chain, self._node), *_read(self._reading)]
            self.query_one("#state", Facts).tell(facts)


def _node(chain: EscrowChain | None, node: NodeInfo | Failure | None) -> list[Fact]:
    if chain is None:
        return [("chain", _HOW, Tone.DIM)]
    target = str(chain.reader.config.target)
    health = chain.reader.health
    if health.asks_again_in_s:
        left = f"{health.asks_again_in_s:.0f} s more"
        return [("node", f"▲ {target} failed too often, and is left alone for {left}", Tone.WARN),
                ("because", str(health.error), Tone.WARN)]  # fmt: skip
    if node is None:
        return [("node", f"{target}: asking …", Tone.DIM)]
    if isinstance(node, Failure):
        return [("node", f"▲ {node.text}", Tone.WARN)]
    return [("node", f"{target} answers: {node.chain}, has checkpoints {node.lowest:,} to {node.tip:,}", Tone.GOOD)]


def _read(reading: _Reading) -> list[Fact]:
    cursor = reading.inbox.cursor
    facts: list[Fact] = []
    if cursor is None or cursor.target is None:
        facts.append(("read", "nothing yet", Tone.DIM))
    else:
        behind = cursor.tip - cursor.covered
        facts += [
            ("chain id", cursor.chain_id),
            ("read", f"up to checkpoint {cursor.covered:,} of {cursor.tip:,}, at {moment(cursor.updated_at)}",
             Tone.PLAIN if behind <= 0 else Tone.NOTICE),
        ]  # fmt: skip
    if reading.stopped is not None:
        facts.append(("stopped", f"▲ {reading.stopped}", Tone.BAD))
    counts = reading.inbox.outcomes
    words = [f"{counts[one]:,} {one.removeprefix('already_')}" for one in EVENT_OUTCOMES if counts.get(one)]
    return [*facts, ("events", ", ".join(words) or "none", Tone.WARN if reading.inbox.open else Tone.PLAIN)]

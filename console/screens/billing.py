"""Bills: a month of them by status, and who cannot be billed or is about to reach the limit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from console.parts.bill_words import SETTLED, bill_tone
from console.places import Place
from console.screens.listing import ListScreen
from console.words import dollars
from db.source import (
    BILL_SEARCH_HINT,
    BILL_STATUSES,
    SIGNS,
    Bill,
    BillQuestion,
    MonthCount,
    Page,
    Source,
    Watched,
    parse_bill_question,
    this_month,
)
from widgets.facts import Fact, Facts
from widgets.keyset_table import Column, KeysetTable
from widgets.tone import Tone


@dataclass(frozen=True, slots=True)
class _Month:
    """What stands above and below the list."""

    counts: tuple[MonthCount, ...]
    closed_before: date | None
    watched: tuple[Watched, ...]


class BillingScreen(ListScreen[Bill, BillQuestion]):
    """The bills of a month with their sums; enter opens a bill, or the ledger of a customer below."""

    topics: ClassVar[frozenset[str]] = frozenset({"billing", "jobs", "customers"})
    search_hint: ClassVar[str] = BILL_SEARCH_HINT
    empty: ClassVar[str] = "No bill matches."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("less_than_sign", "month(-1)", "Month before", key_display="<", id="billing.before",
                tooltip="The bills of the month before"),
        Binding("greater_than_sign", "month(1)", "Month after", key_display=">", id="billing.after",
                tooltip="The bills of the month after"),
        Binding("d", "differences", "Reconcile", id="billing.reconcile",
                tooltip="Hold log, hourly records and bills against each other"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    BillingScreen #sums { padding: 0 1; }
    BillingScreen #rows { height: 2fr; }
    BillingScreen #watched { height: 1fr; min-height: 4; }
    BillingScreen .title { padding: 0 1; text-style: bold; color: $text-accent; height: 1; }
    BillingScreen #signs { height: auto; padding: 0 1; color: $text-muted; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self._month: _Month | None = None
        self.watched: KeysetTable[Watched] = KeysetTable(
            (
                Column("customer", 10, lambda row: str(row.customer_id), align="right"),
                Column("what", 20, lambda row: (row.sentence, Tone.WARN), flex=True),
                Column("would come to", 13, _projected, align="right", hide_below=100),
            ),
            lambda row: row.customer_id,
            "Nobody.",
            id="watched",
        )

    def compose_body(self) -> ComposeResult:
        yield Static("", id="month", classes="title", markup=False)
        yield Facts(id="sums")
        yield from super().compose_body()
        yield Static("could not be billed, or over 80 % of the limit", classes="title")
        yield self.watched
        yield Static(SIGNS, id="signs", markup=False)

    def on_mount(self) -> None:
        self._tell_month()

    def parse(self, text: str) -> BillQuestion:
        return parse_bill_question(text)

    async def page(self, search: BillQuestion, after: Bill | None, limit: int) -> Page[Bill]:
        return await self.source.billing.page(search.search, after=after, limit=limit)

    async def load(self) -> Page[Bill]:
        while True:
            search = self.search
            counts = await self.source.billing.counts(search.of_month) if search.of_month else ()
            month = _Month(
                counts, await self.source.billing.closed_before(), await self.source.spending_watch.customers()
            )
            page = await super().load()
            if search is self.search:
                self._month = month
                return page

    def paint(self, snapshot: Page[Bill]) -> None:
        super().paint(snapshot)
        self._tell_month()

    def narrow(self, subject: str) -> None:
        """Other bills. Raises ValueError with a sentence."""
        super().narrow(subject)
        self._month = None
        self._tell_month()

    def columns(self) -> Sequence[Column[Bill]]:
        return (
            Column("bill", 8, lambda row: str(row.id)[:8]),
            Column("customer", 10, lambda row: str(row.customer_id), align="right"),
            Column("from (UTC)", 16, lambda row: f"{row.begin:%Y-%m-%d %H:%M}"),
            Column("to", 16, lambda row: f"{row.end:%Y-%m-%d %H:%M}", hide_below=100),
            Column("amount", 13, lambda row: dollars(row.cents), align="right"),
            Column("type", 7, lambda row: row.type),
            Column("status", 8, lambda row: (row.status, bill_tone(row))),
            Column("digest", 5, lambda row: row.tx_digest or "-", flex=True),
        )

    def key(self, row: Bill) -> object:
        return row.id

    def open_row(self, row: Bill) -> None:
        self.go("bill", str(row.id))

    def on_keyset_table_picked(self, event: KeysetTable.Picked[Any]) -> None:
        """One of the watched; a bill is the list's own affair."""
        if isinstance(event.row, Watched):
            event.stop()
            event.prevent_default()
            self.go("ledger", str(event.row.customer_id))

    def action_month(self, by: int) -> None:
        shown = (self.search.month or this_month()).replace(day=15)
        month = (shown + by * timedelta(days=30)).replace(day=1)
        if month <= this_month():
            to = None if month == this_month() else month
            self.narrow(replace(self.search, month=to, every_month=False).words)

    def action_differences(self) -> None:
        self.go("reconcile")

    def _tell_month(self) -> None:
        month = self.search.of_month
        title = "bills of every month" if month is None else f"{month:%Y-%m}"
        sums = self.query_one("#sums", Facts)
        if self._month is None:
            sums.tell([])
        elif month is not None:
            closed = self._month.closed_before
            title += ", closed" if closed is not None and month < closed else ", open"
            sums.tell(_sums(self._month))
        else:
            sums.tell([_blocked(self._month.watched)])
        self.query_one("#month", Static).update(title)
        self.watched.show(self._month.watched if self._month else (), complete=self._month is not None)


def _sums(month: _Month) -> list[Fact]:
    """A line for each status, also where there is nothing; voided only if there is some."""
    facts: list[Fact] = []
    for status in BILL_STATUSES:
        counts = [one for one in month.counts if one.status == status]
        if not counts and status == "voided":
            continue
        words = [f"{one.bills:,} {one.type}{'s' * (one.bills != 1)}, {dollars(one.cents)}" for one in counts]
        facts.append((status, "; ".join(words) or "none", SETTLED[status] if counts else Tone.DIM))
    return [*facts[:2], _blocked(month.watched), *facts[2:]]


def _blocked(watched: Sequence[Watched]) -> Fact:
    stuck = [one.blocked for one in watched if one.blocked is not None]
    if not stuck:
        return ("blocked", "none", Tone.DIM)
    count = f"{len(stuck)} or more customers" if len(stuck) >= 100 else f"{len(stuck)} customer{'s' * (len(stuck) > 1)}"
    return ("blocked", f"{count}, {sum(one.open_usd for one in stuck):,.2f} USD of usage not billed", Tone.WARN)


def _projected(row: Watched) -> str:
    return "-" if row.spending is None else dollars(row.spending.projected_cents)

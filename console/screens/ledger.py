"""The money of one customer: the ledger with its running balance, the escrow, what is spent of the limit."""

from dataclasses import dataclass
from typing import Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from console.failures import word
from console.places import Place
from console.reloading import PAGE, as_many, renew
from console.screens.base import DeckScreen
from console.words import dollars, limit_words, moment
from db.errors import DatabaseError, Refused
from db.source import (
    SIGNS,
    EscrowEntry,
    LedgerEntry,
    ManualCredit,
    Page,
    Source,
    Spending,
    Standing,
    parse_cents,
)
from widgets.facts import Fact, Facts
from widgets.keyset_table import Column, KeysetTable
from widgets.prompt import Prompt
from widgets.tone import Tone


@dataclass(frozen=True, slots=True)
class LedgerSnapshot:
    """All the screen shows."""

    standing: Standing
    spending: Spending
    ledger: Page[LedgerEntry]
    escrow: Page[EscrowEntry]


class LedgerScreen(DeckScreen[LedgerSnapshot]):
    """Nothing here corrects anything: what does not fit together is marked, and said under the list."""

    topics: ClassVar[frozenset[str]] = frozenset({"billing", "customers", "jobs"})
    period: ClassVar[float | None] = 10.0
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "bills", "Bills", id="ledger.bills", tooltip="All bills of this customer"),
        Binding("c", "customer", "Customer", id="ledger.customer", tooltip="Whose money it is"),
        Binding("ctrl+g", "credit", "Credit", id="ledger.credit", tooltip="Give this customer a credit"),
    ]
    DEFAULT_CSS = """
    LedgerScreen #ledger { height: 2fr; min-height: 4; }
    LedgerScreen #escrow { height: 1fr; min-height: 3; }
    LedgerScreen .title { padding: 0 1; text-style: bold; color: $text-accent; height: 1; }
    LedgerScreen #entry { height: auto; max-height: 2; padding: 0 1; }
    LedgerScreen #signs { height: auto; padding: 0 1; color: $text-muted; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self.ledger: KeysetTable[LedgerEntry] = KeysetTable(
            (
                Column("", 1, lambda row: ("▲", Tone.BAD) if row.breaks else ""),
                Column("at (UTC)", 16, lambda row: moment(row.created_at)[:16]),
                Column("type", 10, lambda row: row.type),
                Column("amount", 12, lambda row: dollars(row.cents), align="right"),
                Column("balance", 13, _balance, align="right"),
                Column("what", 12, _entry_words, flex=True),
            ),
            lambda row: row.id,
            "Nothing is in the ledger.",
            id="ledger",
        )
        self.escrow: KeysetTable[EscrowEntry] = KeysetTable(
            (
                Column("", 1, lambda row: ("!", Tone.WARN) if row.ledger_cents is None else ""),
                Column("at (UTC)", 16, lambda row: moment(row.at)[:16]),
                Column("type", 10, lambda row: row.type),
                Column("amount", 12, lambda row: f"{row.amount:,.2f}", align="right"),
                Column("in the ledger", 13, _in_ledger, align="right"),
                Column("digest", 12, lambda row: row.tx_digest, flex=True),
                Column("asset", 14, lambda row: (row.asset_type or "USD").rpartition("::")[2], hide_below=100),
            ),
            lambda row: row.tx_id,
            "No event of the escrow is mirrored.",
            id="escrow",
        )

    def compose_body(self) -> ComposeResult:
        yield Facts(id="facts")
        yield Static("ledger, with the balance after each entry", classes="title")
        yield self.ledger
        yield Static("", id="entry", markup=False)
        yield Static("escrow on the chain, as mirrored", classes="title")
        yield self.escrow
        yield Static(SIGNS, id="signs", markup=False)

    def on_mount(self) -> None:
        self.ledger.focus()

    @property
    def customer_id(self) -> int:
        return int(self.place.subject)

    @property
    def heading(self) -> str:
        return f"ledger of customer {self.customer_id}"

    async def load(self) -> LedgerSnapshot:
        standing = await self.source.ledger.standing(self.customer_id)
        spending = await self.source.spending.of(self.customer_id)
        if standing is None or spending is None:
            raise Refused(f"there is no customer {self.customer_id}")
        return LedgerSnapshot(
            standing,
            spending,
            await self.source.ledger.page(self.customer_id, limit=as_many(self.ledger)),
            await self.source.ledger.escrow(self.customer_id, limit=as_many(self.escrow)),
        )

    def paint(self, snapshot: LedgerSnapshot) -> None:
        self.query_one("#facts", Facts).tell([*_standing(snapshot.standing), *_spending(snapshot.spending)])
        renew(self.ledger, snapshot.ledger)
        renew(self.escrow, snapshot.escrow)
        self._tell_entry()

    def _tell_entry(self) -> None:
        """What is wrong with the entry under the cursor, in all its words."""
        row = self.ledger.cursor_row
        line = self.query_one("#entry", Static)
        line.display = row is not None and bool(row.breaks)
        line.update("" if row is None else f"▲ {'; '.join(row.breaks)}")

    def on_keyset_table_highlighted(self) -> None:
        self._tell_entry()

    def on_keyset_table_picked(self, event: KeysetTable.Picked[Any]) -> None:
        """The bill of an entry."""
        event.stop()
        if isinstance(event.row, LedgerEntry) and event.row.invoice_id:
            self.go("bill", event.row.invoice_id)

    def on_keyset_table_more_wanted(self, event: KeysetTable.MoreWanted[Any]) -> None:
        event.stop()
        last = cast("LedgerEntry | EscrowEntry", event.last)
        if isinstance(last, LedgerEntry):
            self.run_worker(self._more_ledger(last), group="ledger")
        else:
            self.run_worker(self._more_escrow(last), group="escrow")

    async def _more_ledger(self, last: LedgerEntry) -> None:
        try:
            page = await self.source.ledger.page(self.customer_id, after=(last.created_at, last.id), limit=PAGE)
        except DatabaseError as error:
            self.failure = word(error)
            page = Page[LedgerEntry]((), complete=False)
        self.ledger.add(page.rows, page.complete)

    async def _more_escrow(self, last: EscrowEntry) -> None:
        try:
            page = await self.source.ledger.escrow(self.customer_id, after=(last.at, last.tx_id), limit=PAGE)
        except DatabaseError as error:
            self.failure = word(error)
            page = Page[EscrowEntry]((), complete=False)
        self.escrow.add(page.rows, page.complete)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What the role may not do is not bound."""
        return action != "credit" or self.deck.deck_state.may(ManualCredit)

    def action_credit(self) -> None:
        self.query_one(Prompt).open("credit", "credit", hint="in dollars, such as 12.50")

    def on_prompt_entered(self, event: Prompt.Entered) -> None:
        """How much."""
        if event.kind == "credit":
            event.stop()
            self.enter(self._credit, event.text)

    def _credit(self, text: str) -> None:
        self.deck.performer.start(ManualCredit(self.customer_id, parse_cents(text)))

    def action_bills(self) -> None:
        self.go("billing", f"all customer:{self.customer_id}")

    def action_customer(self) -> None:
        self.go("customer", self.place.subject)


def _balance(row: LedgerEntry) -> tuple[str, Tone]:
    return dollars(row.balance_cents), Tone.BAD if row.balance_cents < 0 else Tone.PLAIN


def _entry_words(row: LedgerEntry) -> str:
    return row.description or (f"bill {row.invoice_id[:8]}" if row.invoice_id else row.tx_hash or "-")


def _in_ledger(row: EscrowEntry) -> tuple[str, Tone]:
    return ("not there", Tone.WARN) if row.ledger_cents is None else (dollars(row.ledger_cents), Tone.PLAIN)


def _standing(standing: Standing) -> list[Fact]:
    """The same money three times; what differs from the ledger says by how much."""
    ledger = standing.ledger_cents
    balance: Fact = ("balance", "not on record", Tone.DIM)
    if standing.balance_cents is not None:
        balance = _beside("balance", dollars(standing.balance_cents), standing.balance_cents - ledger)
    escrow: Fact = ("escrow", "nothing mirrored, or in a coin without a rate in the ledger", Tone.DIM)
    if standing.escrow_usd is not None:
        cents = round(standing.escrow_usd * 100)
        escrow = _beside("escrow", dollars(cents), cents - ledger)
    return [("ledger", f"sums to {dollars(ledger)}"), balance, escrow]


def _beside(name: str, text: str, apart: int) -> Fact:
    if not apart:
        return (name, f"{text}, the same")
    return (name, f"▲ {text}, {dollars(abs(apart))} {'more' if apart > 0 else 'less'} than the ledger", Tone.WARN)


def _spending(spending: Spending) -> list[Fact]:
    percent, limit = spending.percent, spending.limit_cents
    share = "" if percent is None else f", {percent} %"
    facts: list[Fact] = [
        (
            "spent",
            f"{dollars(spending.spent_cents)} of {limit_words(limit)}{share}, since {spending.begin:%Y-%m-%d}: "
            f"{dollars(spending.charged_cents)} charged, {dollars(spending.unpaid_cents)} on unpaid bills",
            Tone.WARN if percent is not None and percent >= 80 else Tone.PLAIN,
        ),
        ("not billed", f"{dollars(spending.open_cents)} of usage so far"),
    ]
    projected = spending.projected_cents
    if projected is None:
        return [*facts, ("projected", f"too early to tell where it ends by {spending.end:%Y-%m-%d}", Tone.DIM)]
    over = limit is not None and projected > limit
    text = f"{dollars(projected)} by {spending.end:%Y-%m-%d}, if it goes on like this"
    if over and limit is not None:
        text = f"▲ {text}: {dollars(projected - limit)} over the limit"
    return [*facts, ("projected", text, Tone.WARN if over else Tone.PLAIN)]

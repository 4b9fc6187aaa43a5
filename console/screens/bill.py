"""One bill: what it is made of, to the cent, what was done to it; paying it, failing it, trying again."""

from dataclasses import dataclass
from typing import ClassVar, Final
from uuid import UUID

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from console.failures import Failure
from console.parts.bill_words import bill_tone
from console.parts.history import history_facts
from console.places import Place
from console.refresh import Refresh
from console.screens.base import DeckScreen
from console.words import dollars, moment, short
from db.chain.values import ChainValueError, Digest
from db.errors import Refused
from db.source import (
    SIGNS,
    AuditRow,
    BillDetail,
    BillLine,
    FailBill,
    Operation,
    PayBill,
    PaymentCheck,
    RetryBill,
    Source,
    Verdict,
)
from widgets.facts import Fact, Facts
from widgets.keyset_table import Column, KeysetTable
from widgets.prompt import Prompt
from widgets.tone import Tone

_ACTIONS: Final[dict[str, tuple[type[Operation], tuple[str, ...]]]] = {
    "pay": (PayBill, ("pending", "failed")),
    "fail": (FailBill, ("pending",)),
    "retry": (RetryBill, ("failed",)),
}
_PAY_HINT: Final = "digest of the transaction, Base58 or hex; `DIGEST unverified` where no node can tell"
_VERDICTS: Final = {Verdict.VERIFIED: Tone.GOOD, Verdict.MISMATCH: Tone.BAD}
_TONES = {"adjustment": Tone.NOTICE, "carried over": Tone.NOTICE, "rounding": Tone.DIM}


_Checked = tuple[str, PaymentCheck]
"""What the chain says of a digest."""


@dataclass(frozen=True, slots=True)
class BillSnapshot:
    """All the screen shows."""

    detail: BillDetail
    history: tuple[AuditRow, ...]


class BillScreen(DeckScreen[BillSnapshot]):
    """A bill with its lines. Late rows, hours carried over, fees and the rounding each stand on their own."""

    topics: ClassVar[frozenset[str]] = frozenset({"billing", "jobs"})
    period: ClassVar[float | None] = 10.0
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "money", "Ledger", id="bill.ledger", tooltip="Ledger, escrow and limit of its customer"),
        Binding("c", "customer", "Customer", id="bill.customer", tooltip="Whose bill it is"),
        Binding("ctrl+y", "pay", "Pay", id="bill.pay", tooltip="Put its payment on record: a transaction's digest"),
        Binding("ctrl+f", "fail", "Fail", id="bill.fail", tooltip="Say that it was not paid"),
        Binding("ctrl+r", "retry", "Retry", id="bill.retry", tooltip="Put it up for another try"),
    ]
    DEFAULT_CSS = """
    BillScreen KeysetTable { height: 1fr; min-height: 5; border-top: solid $panel-lighten-1; }
    BillScreen #history { height: auto; max-height: 6; border-top: solid $panel-lighten-1; }
    BillScreen #signs { height: auto; padding: 0 1; color: $text-muted; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self.table: KeysetTable[BillLine] = KeysetTable(
            (
                Column("line", 12, lambda row: (row.kind, _TONES.get(row.kind, Tone.PLAIN))),
                Column("service", 8, lambda row: row.service or "-"),
                Column("what", 20, _what, flex=True),
                Column("requests", 11, lambda row: "" if row.requests is None else f"{row.requests:,}", align="right"),
                Column("bytes", 8, lambda row: "" if row.bytes is None else f"{short(row.bytes)}B", align="right",
                       hide_below=100),
                Column("USD", 16, lambda row: f"{row.usd:,.8f}", align="right"),
            ),
            lambda row: (row.kind, row.service, row.detail),
            "What it is made of is not on record here.",
            id="lines",
        )  # fmt: skip
        self._on_chain: _Checked | None = None
        self._asking: Refresh[_Checked | None] | None = None

    def compose_body(self) -> ComposeResult:
        yield Facts(id="facts")
        yield self.table
        with VerticalScroll(id="history", can_focus=False):
            yield Facts(id="record")
        yield Static(SIGNS, id="signs", markup=False)

    def on_mount(self) -> None:
        self.table.focus()
        if self.source.chain is not None:
            self._asking = self.ask_beside(self._ask_chain, self._chain_told)

    @property
    def heading(self) -> str:
        return f"bill {self.place.subject[:8]}"

    async def load(self) -> BillSnapshot:
        detail = await self.source.billing.find(await self._named())
        if detail is None:
            raise Refused(f"there is no bill {self.place.subject}")
        return BillSnapshot(detail, await self.source.audit.of((f"bill:{detail.bill.id}",)))

    async def _named(self) -> UUID:
        try:
            named = await self.source.billing.named(self.place.subject)
        except ValueError as error:
            raise Refused(str(error)) from None
        if len(named) != 1:
            several = f"several bills begin with {self.place.subject}; give more of the id"
            raise Refused(several if named else f"there is no bill {self.place.subject}")
        return named[0]

    def paint(self, snapshot: BillSnapshot) -> None:
        if self._asking is not None and self._paid_by is not None and self._check is None:
            self._asking.wake()
        self.query_one("#facts", Facts).tell([*_facts(snapshot.detail), *self._chain()])
        self.query_one("#record", Facts).tell(history_facts(snapshot.history[:20]))
        self.table.show(snapshot.detail.lines, complete=True)
        self.refresh_bindings()

    @property
    def _paid_by(self) -> str | None:
        """The digest that a charge carries."""
        bill = None if self.snapshot is None else self.snapshot.detail.bill
        return bill.tx_digest if bill is not None and bill.type == "charge" else None

    @property
    def _check(self) -> PaymentCheck | None:
        """What the chain says of that; None: it has not been asked."""
        known = self._on_chain
        return known[1] if known is not None and known[0] == self._paid_by else None

    async def _ask_chain(self) -> _Checked | None:
        """Again until it is verified."""
        digest, known = self._paid_by, self._check
        if self.snapshot is None or digest is None:
            return None
        if known is not None and known.verdict is Verdict.VERIFIED:
            return digest, known
        return digest, await self.source.payment_on_chain(self.snapshot.detail.bill)

    def _chain_told(self, found: _Checked | Failure | None) -> None:
        if self.snapshot is not None and not isinstance(found, Failure):
            self._on_chain = found
            self.paint(self.snapshot)

    def _chain(self) -> list[Fact]:
        """What the chain says of the digest; nothing without one, or without a chain."""
        if self._asking is None or self._paid_by is None:
            return []
        check = self._check
        if check is None:
            return [("on chain", "asking the node …", Tone.DIM)]
        return [("on chain", f"{check.verdict}: {check.sentence}", _VERDICTS.get(check.verdict, Tone.WARN))]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What the role may not do, or what has no meaning for the bill as it is, is not bound."""
        if action not in _ACTIONS:
            return True
        operation, statuses = _ACTIONS[action]
        if self.snapshot is None or not self.deck.deck_state.may(operation):
            return False
        bill = self.snapshot.detail.bill
        return bill.type == "charge" and bill.status in statuses

    def action_pay(self) -> None:
        self.query_one(Prompt).open("pay", "paid by", hint=_PAY_HINT)

    def on_prompt_entered(self, event: Prompt.Entered) -> None:
        """The transaction that paid it."""
        if event.kind == "pay":
            event.stop()
            self.enter(self._pay, event.text)

    def _pay(self, text: str) -> None:
        typed, _, word = text.strip().partition(" ")
        if word.strip() not in ("", "unverified"):
            raise ValueError(f"behind the digest only the word unverified is understood, not {word.strip()!r}")
        try:
            digest = str(Digest.parse(typed, "digest"))
        except ChainValueError as error:
            raise ValueError(str(error)) from None
        if self.snapshot is not None:
            bill = self.snapshot.detail.bill
            days = self.source.prices.limit_period_days
            operation = PayBill(
                bill.id, bill.customer_id, digest=digest, period_days=days, unverified=bool(word.strip())
            )
            self.deck.performer.start(operation)

    def action_fail(self) -> None:
        if self.snapshot is not None:
            bill = self.snapshot.detail.bill
            self.deck.performer.start(FailBill(bill.id, bill.customer_id))

    def action_retry(self) -> None:
        if self.snapshot is not None:
            bill = self.snapshot.detail.bill
            self.deck.performer.start(RetryBill(bill.id, bill.customer_id))

    def action_money(self) -> None:
        if self.snapshot is not None:
            self.go("ledger", str(self.snapshot.detail.bill.customer_id))

    def action_customer(self) -> None:
        if self.snapshot is not None:
            self.go("customer", str(self.snapshot.detail.bill.customer_id))


def _facts(detail: BillDetail) -> list[Fact]:
    bill = detail.bill
    facts: list[Fact] = [
        ("bill", str(bill.id)),
        ("customer", str(bill.customer_id)),
        ("period", f"{bill.begin:%Y-%m-%d %H:%M} to {bill.end:%Y-%m-%d %H:%M} UTC"),
        ("amount", f"{dollars(bill.cents)}, a {bill.type}"),
        ("status", bill.status, bill_tone(bill)),
        ("made", moment(bill.created_at)),
    ]
    if bill.tx_digest:
        facts.insert(5, ("paid by", bill.tx_digest))
    return facts


def _what(line: BillLine) -> str:
    """The hours; of a fee what for."""
    if line.kind == "rounding":
        return "to whole cents"
    return line.detail or f"{line.begin:%m-%d %H:%M} to {line.end:%m-%d %H:%M}"

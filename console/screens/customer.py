"""One customer: status, services, keys, money against the limit, usage, history."""

from functools import partial
from typing import Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll

from console.failures import Failure
from console.parts.chain_facts import OFF, adjusts, chain_facts, follows
from console.parts.customer_changes import CHANGE_HINT, CHANGE_WORDS, CHANGES, parse_change
from console.parts.history import history_facts
from console.parts.key_columns import key_columns
from console.parts.key_making import NEW_KEY_HINT, parse_new_key
from console.parts.revoking import ChosenKeys, blast_radius
from console.places import Place
from console.screens.base import DeckScreen
from console.words import dollars, limit_words, moment, short
from db.errors import Refused
from db.source import (
    AdjustToChain,
    ApiKey,
    CheckedAccount,
    CreateKey,
    CustomerDetail,
    CustomerRecord,
    DisableService,
    FollowUpgrade,
    Operation,
    ResumeCustomer,
    RevokeKeys,
    Source,
    SuspendCustomer,
    UndoRevocation,
)
from widgets.facts import Fact, Facts
from widgets.keyset_table import KeysetTable
from widgets.prompt import Prompt
from widgets.tone import Tone

_OPERATIONS: Final[dict[str, tuple[type[Operation], ...]]] = {
    "create": (CreateKey,),
    "revoke": (RevokeKeys,),
    "undo": (UndoRevocation,),
    "change": CHANGES,
    "change_status": (SuspendCustomer,),
    "adjust": (AdjustToChain,),
    "follow": (FollowUpgrade,),
}


class CustomerScreen(DeckScreen[CustomerRecord]):
    """Everything about one customer; its keys can be opened and revoked from here."""

    topics: ClassVar[frozenset[str]] = frozenset({"customers", "keys"})
    period: ClassVar[float | None] = 10.0
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (118, "-wide")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "log", "Log", id="customer.log", tooltip="The requests of this customer in the live log"),
        Binding(
            "m",
            "money",
            "Ledger",
            show=False,
            id="customer.ledger",
            tooltip="Ledger, escrow, and what is spent of the limit",
        ),
        Binding("e", "events", "Events", show=False, id="customer.events", tooltip="Escrow events of this customer"),
        Binding("ctrl+g", "adjust", "Adjust", id="customer.adjust", tooltip="Bring its books to what the chain says"),
        Binding("ctrl+y", "follow", "Follow", id="customer.follow", tooltip="Put its upgraded account on record"),
        Binding("ctrl+n", "create", "New", id="customer.create", tooltip="Create a key for this customer"),
        Binding("ctrl+r", "revoke", "Revoke", id="customer.revoke", tooltip="Revoke the marked keys, or this one"),
        Binding("ctrl+u", "undo", "Undo", show=False, id="customer.undo", tooltip="Take back their revocation"),
        Binding(
            "ctrl+t",
            "change_status",
            "Status",
            id="customer.toggle",
            tooltip="Stop serving this customer, or resume",
        ),
        Binding(
            "ctrl+e",
            "change",
            "Edit",
            id="customer.change",
            tooltip="Services, tier, monthly limit, sessions, close",
        ),
    ]
    DEFAULT_CSS = """
    CustomerScreen #facts { height: auto; max-height: 60%; }
    CustomerScreen #facts #who { width: 1fr; max-width: 84; }
    CustomerScreen #facts #usage { width: 38; }
    CustomerScreen.-narrow #facts #usage { display: none; }
    CustomerScreen KeysetTable { height: 1fr; min-height: 5; border-top: solid $panel-lighten-1; }
    CustomerScreen #history { height: auto; max-height: 6; border-top: solid $panel-lighten-1; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self.table: KeysetTable[ApiKey] = KeysetTable(
            key_columns(with_customer=False), lambda row: row.fingerprint, "This customer has no keys.", id="rows"
        )
        self._on_chain: CheckedAccount | Failure | None = None

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="facts"):
            yield Facts(id="who")
            yield Facts(id="usage")
        yield self.table
        with VerticalScroll(id="history", can_focus=False):
            yield Facts(id="record")

    @property
    def customer_id(self) -> int:
        return int(self.place.subject)

    def on_mount(self) -> None:
        self.table.focus()
        if self.source.chain is not None:
            self.ask_beside(partial(self.source.escrow_books.checked_one, self.customer_id), self._chain_told)

    def _chain_told(self, found: CheckedAccount | Failure | None) -> None:
        self._on_chain = found
        if self.snapshot is not None:
            self.paint(self.snapshot)

    async def load(self) -> CustomerRecord:
        found = await self.source.customers.record(self.customer_id)
        if found is None:
            raise Refused(f"there is no customer {self.customer_id}")
        return found

    def paint(self, snapshot: CustomerRecord) -> None:
        self.query_one("#who", Facts).tell([*_who(snapshot.detail), *self._chain(snapshot.detail)])
        self.query_one("#usage", Facts).tell(_usage(snapshot.detail))
        self.query_one("#record", Facts).tell(history_facts(snapshot.history[:20]))
        self.table.show(snapshot.keys, complete=True)
        self.refresh_bindings()

    def _chain(self, detail: CustomerDetail) -> list[Fact]:
        """Nothing without an account."""
        if detail.customer.escrow_contract_id is None:
            return []
        return list(OFF) if self.source.chain is None else chain_facts(self._on_chain)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What the role may not do, or what has no meaning for a closed customer, is not bound."""
        if action not in _OPERATIONS:
            return True
        if action in ("adjust", "follow") and not (adjusts if action == "adjust" else follows)(self._on_chain):
            return False
        changeable = self.snapshot is not None and self.snapshot.detail.customer.status != "closed"
        may = any(map(self.deck.deck_state.may, _OPERATIONS[action]))
        return may and (changeable or action in ("revoke", "undo", "adjust", "follow"))

    def action_log(self) -> None:
        self.go("requests", f"customer:{self.customer_id}")

    def action_money(self) -> None:
        self.go("ledger", self.place.subject)

    def action_events(self) -> None:
        self.go("chain", f"customer:{self.customer_id}")

    def action_adjust(self) -> None:
        self.deck.performer.start(AdjustToChain(self.customer_id))

    def action_follow(self) -> None:
        self.deck.performer.start(FollowUpgrade(self.customer_id))

    def action_revoke(self) -> None:
        ChosenKeys(self.table).revoke(self.deck, self.source)

    def action_undo(self) -> None:
        ChosenKeys(self.table).undo(self.deck)

    def action_create(self) -> None:
        services = self.snapshot.detail.services if self.snapshot is not None else ()
        begun = f"{services[0].service_type} " if len(services) == 1 else ""
        self.query_one(Prompt).open("new-key", "new key", text=begun, hint=NEW_KEY_HINT)

    def action_change(self) -> None:
        self.query_one(Prompt).open("change", "change", hint=CHANGE_HINT, words=CHANGE_WORDS)

    def on_prompt_entered(self, event: Prompt.Entered) -> None:
        """What the new key is for, or what is to be changed."""
        taken = {"new-key": self._create, "change": self._change}.get(event.kind)
        if taken is not None:
            event.stop()
            self.enter(taken, event.text)

    def _create(self, text: str) -> None:
        self.deck.performer.start(CreateKey(self.customer_id, *parse_new_key(text), self.source.issuer))

    def _change(self, text: str) -> None:
        operation = parse_change(self.customer_id, text, self.source.prices)
        hit: tuple[ApiKey, ...] = ()
        if isinstance(operation, DisableService) and self.snapshot is not None:
            hit = tuple(key for key in self.snapshot.keys if key.is_active and key.service_type == operation.service)
        self.deck.performer.start(operation, partial(blast_radius, self.source, hit) if hit else None)

    def action_change_status(self) -> None:
        if self.snapshot is None:
            return
        suspended = self.snapshot.detail.customer.status == "suspended"
        self.deck.performer.start((ResumeCustomer if suspended else SuspendCustomer)(self.customer_id))

    def on_keyset_table_picked(self, event: KeysetTable.Picked[Any]) -> None:
        event.stop()
        self.go("key", str(event.row.fingerprint))


def _who(detail: CustomerDetail) -> list[Fact]:
    row = detail.customer
    tone = {"active": Tone.GOOD, "suspended": Tone.WARN}.get(row.status, Tone.DIM)
    services = [
        (service.service_type, f"{service.tier}, {'enabled' if service.is_enabled else 'disabled'}")
        for service in detail.services
    ]
    ledger, balance = detail.ledger_usd_cents, row.current_balance_usd_cents
    apart = ledger is not None and balance is not None and ledger != balance
    return [
        ("status", row.status, tone),
        ("wallet", row.wallet_address),
        ("escrow", row.escrow_contract_id or "no deposit yet"),
        ("since", moment(row.created_at)),
        ("balance", dollars(balance) + (f", but the ledger sums to {dollars(ledger)}" if apart else ""),
         Tone.WARN if apart else Tone.PLAIN),
        ("this month", f"{dollars(row.current_month_charged_usd_cents)} of {limit_words(row.max_monthly_usd_cents)}"),
        ("unpaid", f"{detail.unpaid_bills} bill(s), {dollars(detail.unpaid_usd_cents)}",
         Tone.WARN if detail.unpaid_bills else Tone.PLAIN),
        *services,
    ]  # fmt: skip


def _usage(detail: CustomerDetail) -> list[Fact]:
    """The last days as bars: the longest day fills the bar."""
    most = max((day.requests for day in detail.usage), default=0)
    if not most:
        return [("usage", "none metered in 14 days", Tone.DIM)]
    return [
        (f"{day.day:%m-%d}", f"{'▇' * max(1, round(12 * day.requests / most)):<12} {short(day.requests):>7} requests")
        for day in detail.usage[:9]
    ]

"""One key: whose it is, what it does now, what was done to it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from console.failures import word
from console.parts.history import history_facts
from console.parts.key_columns import state
from console.parts.key_making import OVERLAP_HINT, parse_overlap
from console.parts.proof_timeline import proof_facts
from console.parts.revoking import blast_radius, revocation
from console.screens.base import DeckScreen
from console.words import ago, clock, moment
from db.errors import Refused, ReplicaUnavailable, TimedOut
from db.source import (
    RECENT_MINUTES,
    UNDO_WINDOW,
    ApiKey,
    AuditRow,
    KeyTraffic,
    Operation,
    Proof,
    RevokeKeys,
    RotateKey,
    UndoRevocation,
    format_fingerprint,
    key_metadata_words,
    server_label,
)
from widgets.facts import Fact, Facts
from widgets.prompt import Prompt
from widgets.tone import Tone

_OPERATIONS: Final[dict[str, type[Operation]]] = {"revoke": RevokeKeys, "rotate": RotateKey, "undo": UndoRevocation}
_UNTOLD: Final = (TimedOut, ReplicaUnavailable)  # what keeps the log from telling, and the key from nobody


@dataclass(frozen=True, slots=True)
class KeySnapshot:
    """All the screen shows. `traffic` and `proof` are a sentence when the log could not tell."""

    key: ApiKey
    traffic: KeyTraffic | str
    history: tuple[AuditRow, ...]
    proof: Proof | str | None  # None: the key is live
    at: datetime


class KeyScreen(DeckScreen[KeySnapshot]):
    """A key with its traffic of the last minutes, and whether a revocation has reached the gateways."""

    topics: ClassVar[frozenset[str]] = frozenset({"keys", "customers", "vaults"})
    period: ClassVar[float | None] = 2.0
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "log", "Log", id="key.log", tooltip="The requests of this key in the live log"),
        Binding("c", "customer", "Customer", id="key.customer", tooltip="Whose key it is"),
        Binding("ctrl+r", "revoke", "Revoke", id="key.revoke", tooltip="Revoke this key"),
        Binding("ctrl+u", "undo", "Undo", id="key.undo", tooltip="Take the revocation back, while no gateway has it"),
        Binding("ctrl+k", "rotate", "Rotate", id="key.rotate", tooltip="A new key now, the end of this one later"),
    ]
    DEFAULT_CSS = """
    KeyScreen #revocation { height: auto; display: none; }
    KeyScreen .title { padding: 1 1 0 1; text-style: bold; color: $text-accent; }
    """

    def compose_body(self) -> ComposeResult:
        with VerticalScroll(id="parts"):
            yield Static("key", classes="title")
            yield Facts(id="who")
            with Vertical(id="revocation"):
                yield Static("the revocation", classes="title")
                yield Facts(id="proof")
            yield Static(f"last {RECENT_MINUTES} minutes in the request log", classes="title")
            yield Facts(id="traffic")
            yield Static("on record", classes="title")
            yield Facts(id="record")

    def on_mount(self) -> None:
        self.query_one("#parts").focus()

    async def load(self) -> KeySnapshot:
        key = await self.source.keys.find(int(self.place.subject))
        if key is None:
            raise Refused(f"there is no key with fingerprint {format_fingerprint(int(self.place.subject))}")
        try:
            traffic: KeyTraffic | str = await self.source.keys.traffic(key)
        except _UNTOLD as error:
            traffic = word(error).text
        history = await self.source.audit.of((f"key:{key.fingerprint}",))
        return KeySnapshot(key, traffic, history, await self._proof(key), datetime.now(UTC))

    async def _proof(self, key: ApiKey) -> Proof | str | None:
        if key.revoked_at is None:
            return None
        try:
            return await self.source.proofs.of(key)
        except _UNTOLD as error:
            return word(error).text

    def paint(self, snapshot: KeySnapshot) -> None:
        self.query_one("#who", Facts).tell(_who(snapshot.key, snapshot.at))
        self.query_one("#revocation").display = snapshot.proof is not None
        if snapshot.proof is not None:
            self.query_one("#proof", Facts).tell(proof_facts(snapshot.proof))
        self.query_one("#traffic", Facts).tell(_traffic(snapshot))
        self.query_one("#record", Facts).tell(history_facts(snapshot.history))
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What has no meaning for the key as it is, or what the role may not, is not bound."""
        if (operation := _OPERATIONS.get(action)) is None:
            return True
        if not self.deck.deck_state.may(operation) or self.snapshot is None:
            return False
        key = self.snapshot.key
        if action == "undo":
            return key.revoked_at is not None and self.snapshot.at - key.revoked_at < UNDO_WINDOW
        return key.is_active and (action == "revoke" or key.ends_at is None)

    def action_revoke(self) -> None:
        if self.snapshot is not None:
            chosen = (self.snapshot.key,)
            self.deck.performer.start(revocation(chosen), partial(blast_radius, self.source, chosen))

    def action_undo(self) -> None:
        self.deck.performer.start(UndoRevocation((int(self.place.subject),)))

    def action_rotate(self) -> None:
        self.query_one(Prompt).open("overlap", "rotate, both served for", text="1d", hint=OVERLAP_HINT)

    def on_prompt_entered(self, event: Prompt.Entered) -> None:
        """How long the old key lives beside the new one."""
        if event.kind == "overlap":
            event.stop()
            self.enter(self._rotate, event.text)

    def _rotate(self, text: str) -> None:
        operation = RotateKey(int(self.place.subject), parse_overlap(text), self.source.issuer)
        self.deck.performer.start(operation)

    def action_log(self) -> None:
        if self.snapshot is not None:
            # The customer stands in the filter too: its index finds the rows of the key.
            key = self.snapshot.key
            self.go("requests", f"customer:{key.customer_id} key:{key.label}")

    def action_customer(self) -> None:
        if self.snapshot is not None:
            self.go("customer", str(self.snapshot.key.customer_id))


def _who(key: ApiKey, at: datetime) -> list[Fact]:
    words, tone = state(key)
    facts: list[Fact] = [
        ("fingerprint", f"{key.label}, decimal {key.fingerprint}"),
        ("state", words, tone),
        ("customer", f"{key.customer_id} ({key.customer_status})"),
        ("service", f"{key.service_type}, {key_metadata_words(key.metadata)}"),
        ("created", moment(key.created_at)),
    ]
    if key.is_active and key.ends_at is not None and key.replaced_by is not None:
        over = "the job end-rotated-keys revokes it" if key.ends_at <= at else "then it is revoked"
        facts += [
            ("ends", f"{moment(key.ends_at)}, {ago(key.ends_at, at)}: {over}", Tone.WARN),
            ("replaced by", format_fingerprint(key.replaced_by)),
        ]
    if key.revoked_at is not None:
        facts += [
            ("revoked", f"{moment(key.revoked_at)} by {key.revoked_by or 'unknown'}"),
            ("reason", key.revocation_reason or "none given"),
        ]
    return facts


def _traffic(snapshot: KeySnapshot) -> list[Fact]:
    traffic, now = snapshot.traffic, snapshot.at
    if isinstance(traffic, str):
        return [("not known", traffic, Tone.WARN)]
    if not traffic.requests:
        return [("requests", "none", Tone.DIM)]
    share = 100 * traffic.served / traffic.requests
    facts: list[Fact] = [
        ("requests", f"{traffic.requests:,} ({traffic.per_minute:,.1f} a minute), {share:.0f} % served by a backend"),
        ("last seen", f"{clock(traffic.last_seen)}, {ago(traffic.last_seen, now)}"),
        ("last served", f"{clock(traffic.last_served)}, {ago(traffic.last_served, now)}"),
        ("addresses", f"{traffic.addresses} different"),
        ("servers", ", ".join(server_label(server) for server in traffic.servers)),
    ]
    return facts

"""The flags of system_control, how the log is kept, the vault versions and what differs between them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from console.failures import word
from console.moments import parse_age
from console.parts.control_facts import field_facts, fleet_fact, keeping_facts
from console.parts.gateway_table import gateway_table
from console.places import Place
from console.screens.base import DeckScreen
from console.words import moment
from db.errors import DatabaseError
from db.source import (
    VAULT_JOBS,
    ControlField,
    GatewayVault,
    LogKeeping,
    SetMaintenance,
    Source,
    SystemControl,
    VaultChange,
    VaultDiff,
    VaultVersion,
)
from widgets.facts import Facts
from widgets.keyset_table import Column, KeysetTable
from widgets.prompt import Prompt


@dataclass(frozen=True, slots=True)
class ControlSnapshot:
    """All the screen shows of the database."""

    control: SystemControl
    fields: tuple[ControlField, ...]
    keeping: LogKeeping
    versions: tuple[VaultVersion, ...]
    gateways: tuple[GatewayVault, ...]


class ControlScreen(DeckScreen[ControlSnapshot]):
    """Flags are changed here; vaults are compared, checked, and published by their job."""

    topics: ClassVar[frozenset[str]] = frozenset({"control", "vaults", "jobs"})
    period: ClassVar[float | None] = 5.0
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+t", "maintenance", "Maintenance", id="control.maintenance",
                tooltip="Pause new signups, or let them go on"),
        Binding("n", "planned", "What is next", id="control.planned",
                tooltip="What would be published now: a dry run against the newest version"),
        Binding("r", "verify", "Check", id="control.verify", tooltip="Open this version's file and check it"),
        Binding("ctrl+g", "publish", "Publish", id="control.publish",
                tooltip="Run the job that publishes this vault, if anything in it changed"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    ControlScreen #facts { max-height: 50%; }
    ControlScreen .gateways { display: none; }
    ControlScreen #gateways { height: 1fr; min-height: 4; max-height: 14; }
    ControlScreen #versions { height: 1fr; min-height: 4; }
    ControlScreen #changes { height: 1fr; min-height: 3; display: none; }
    ControlScreen .title { padding: 0 1; height: 1; color: $text-accent; text-style: bold; }
    ControlScreen #told { height: auto; max-height: 3; padding: 0 1; color: $text-muted; }
    """

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self.gateways = gateway_table()
        self.versions: KeysetTable[VaultVersion] = KeysetTable(
            (
                Column("vault", 5, lambda row: row.vault),
                Column("version", 26, lambda row: row.label),
                Column("published (UTC)", 19, lambda row: moment(row.published_at)),
                Column("customers", 9, lambda row: f"{row.customers:,}", align="right"),
                Column("keys", 9, lambda row: f"{row.keys:,}", align="right"),
                Column("file", 10, lambda row: row.path, flex=True, hide_below=100),
            ),
            lambda row: (row.vault, row.seq),
            "No vault was published yet; ctrl+g publishes the first one.",
            id="versions",
        )
        self.changes: KeysetTable[VaultChange] = KeysetTable(
            (
                Column("customer", 10, lambda row: str(row.customer_id), align="right"),
                Column("what", 28, lambda row: row.what),
                Column("before", 14, lambda row: row.before or "-", flex=True),
                Column("after", 14, lambda row: row.after or "-", flex=True),
            ),
            lambda row: (row.customer_id, row.what),
            "",
            id="changes",
        )

    def compose_body(self) -> ComposeResult:
        yield Facts(id="facts")
        yield Static("gateways", classes="title gateways")
        yield self.gateways
        yield Static("vault versions", classes="title")
        yield self.versions
        yield Static(_HINT, id="told", markup=False)
        yield self.changes

    def on_mount(self) -> None:
        self.versions.focus()

    async def load(self) -> ControlSnapshot:
        return ControlSnapshot(
            await self.source.control.read(),
            await self.source.control.fields(),
            await self.source.control.keeping(),
            await self.source.vaults.versions(limit=200),
            await self.source.gateways.states(),
        )

    def paint(self, snapshot: ControlSnapshot) -> None:
        meant = self.size.width >= _WIDE
        facts = [fact for field in snapshot.fields for fact in field_facts(field, snapshot.control, meant=meant)]
        self.query_one("#facts", Facts).tell(
            [*facts, fleet_fact(snapshot.gateways), *keeping_facts(snapshot.keeping, snapshot.control)]
        )
        # Who needs a look stands first.
        self.gateways.show(sorted(snapshot.gateways, key=lambda one: one.trouble is None), complete=True)
        for widget in self.query(".gateways"):
            widget.display = bool(snapshot.gateways) and self.size.height >= _HIGH
        self.versions.show(snapshot.versions, complete=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What the role may not do is not bound."""
        if action == "maintenance":
            return self.deck.deck_state.may(SetMaintenance)
        return self.deck.deck_state.may_run_jobs if action == "publish" else True

    def action_maintenance(self) -> None:
        if self.snapshot is None:
            self.notify("The flags are not loaded yet: once more in a moment.", timeout=4)
        elif self.snapshot.control.maintenance_mode:
            self.deck.performer.start(SetMaintenance(on=False))
        else:
            self.query_one(Prompt).open("maintenance", "on for", hint="30m, 2h; empty: until turned off")

    def on_prompt_entered(self, event: Prompt.Entered) -> None:
        """How long maintenance is to last."""
        if event.kind == "maintenance":
            event.stop()
            self.enter(self._begin_maintenance, event.text.strip())

    def _begin_maintenance(self, text: str) -> None:
        self.deck.performer.start(SetMaintenance(on=True, lasts=parse_age(text) if text else None))

    def action_publish(self) -> None:
        row = self.versions.cursor_row
        self.deck.start_job(VAULT_JOBS["ma" if row is None else row.vault], dry_run=False)

    def action_planned(self) -> None:
        newest = self._newest()
        if newest is None:
            self._tell("nothing to compare with: no vault was published yet; ctrl+g publishes the first one")
        else:
            self._ask(f"comparing {newest.vault} {newest.label} with what is to come", partial(self._planned, newest))

    def action_verify(self) -> None:
        row = self.versions.cursor_row
        if row is not None:
            self._ask(f"opening {row.path}", partial(self._verify, row))

    def on_keyset_table_picked(self, event: KeysetTable.Picked[Any]) -> None:
        """A version against the one before it, or the two that are marked; others open what they are about."""
        event.stop()
        if isinstance(event.row, GatewayVault):
            self.go("requests", f"server:{event.row.gateway}")
            return
        if isinstance(event.row, VaultChange):
            kind, subject = ("customer", event.row.customer_id) if event.row.key is None else ("key", event.row.key)
            self.go(kind, str(subject))
            return
        marked = sorted(self.versions.marked, key=lambda row: row.seq)
        if marked and (len(marked) != 2 or marked[0].vault != marked[1].vault):
            self._tell("mark two versions of one vault to compare them, or none: ctrl+\\ unmarks")
            return
        before, after = marked or (self._before(event.row), event.row)
        if before is None:
            self._tell("there is no version before this one")
        else:
            self._ask(f"comparing {before.label} with {after.label}", partial(self._diff, before, after))

    def _newest(self) -> VaultVersion | None:
        row = self.versions.cursor_row
        if row is None or self.snapshot is None:
            return None
        return max((one for one in self.snapshot.versions if one.vault == row.vault), key=lambda one: one.seq)

    def _before(self, row: VaultVersion) -> VaultVersion | None:
        older = [one for one in self.snapshot.versions if one.vault == row.vault and one.seq < row.seq] if (
            self.snapshot is not None
        ) else []  # fmt: skip
        return max(older, key=lambda one: one.seq, default=None)

    def _ask(self, doing: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tell(f"{doing} …")
        self.run_worker(partial(self._owned, work), group="vaults", exclusive=True)

    async def _owned(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except DatabaseError as error:
            self._tell(word(error).text)

    async def _diff(self, before: VaultVersion, after: VaultVersion) -> None:
        self._show_diff(await self.source.vaults.diff(before, after))

    async def _planned(self, newest: VaultVersion) -> None:
        self._show_diff(await self.source.vaults.planned(newest))

    async def _verify(self, row: VaultVersion) -> None:
        opened = await self.source.vaults.open(row)
        self._tell(
            f"{row.vault} {row.label} opens with key {opened.header.key_id} and is what was published: "
            f"{len(opened.customers):,} customers, {opened.keys:,} keys"
        )

    def _show_diff(self, diff: VaultDiff) -> None:
        after = diff.after or "what would be published now"
        self._tell(f"{diff.vault} {diff.before} → {after}: {diff.sentence}", diff.changes)

    def _tell(self, sentence: str, changes: Sequence[VaultChange] = ()) -> None:
        self.query_one("#told", Static).update(sentence)
        self.changes.show(changes, complete=True)
        self.changes.display = bool(changes)


_HINT = "enter: what changed with this version; space: mark two; n: what is next"
_WIDE = 100  # columns: below it what a field means has no room
_HIGH = 30  # lines: below it the gateways are a line without a table

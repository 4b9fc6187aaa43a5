"""Which screens there are, and the names and digits that lead to them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from console.places import Place
from console.screens.approvals import ApprovalsScreen
from console.screens.audit import AuditScreen
from console.screens.base import DeckScreen
from console.screens.bill import BillScreen
from console.screens.billing import BillingScreen
from console.screens.chain import ChainScreen
from console.screens.control import ControlScreen
from console.screens.customer import CustomerScreen
from console.screens.customers import CustomersScreen
from console.screens.database import DatabaseScreen
from console.screens.event import EventScreen
from console.screens.groups import GroupsScreen
from console.screens.jobs import JobsScreen
from console.screens.key import KeyScreen
from console.screens.keys import KeysScreen
from console.screens.ledger import LedgerScreen
from console.screens.overview import OverviewScreen
from console.screens.reconcile import ReconcileScreen
from console.screens.requests import RequestsScreen
from console.screens.saved import SavedScreen
from console.screens.usage import UsageScreen
from db.source import Source


@dataclass(frozen=True, slots=True)
class Entry:
    """One screen."""

    kind: str  # of the places that it shows
    opens: Callable[[Source, Place], DeckScreen[Any]]
    answers: str = ""  # what for, in the palette
    aliases: tuple[str, ...] = ()  # behind `:`


_TOP = (
    Entry("overview", OverviewScreen, "Is anything wrong right now?", ("o",)),
    Entry("customers", CustomersScreen, "Find a customer by id, wallet prefix, digest or status", ("cu",)),
    Entry("keys", KeysScreen, "Find a key by fingerprint or by the pasted key; revoke", ("k",)),
    Entry("requests", RequestsScreen, "The live request log", ("r", "log", "tail")),
    Entry("usage", UsageScreen, "Charts of traffic, errors, latency and bytes; who uses most", ("u",)),
    Entry("billing", BillingScreen, "Bills by month and status; who is near a limit; ledger, reconciliation", ("b",)),
    Entry("control", ControlScreen, "Flags, vault versions, how long the log is kept", ("co",)),
    Entry("jobs", JobsScreen, "Metering and upkeep: run, dry-run, watch, history", ("j",)),
    Entry("audit", AuditScreen, "Who did what, when and why; verify the chain", ("au",)),
    Entry("database", DatabaseScreen, "PostgreSQL itself: sessions, locks, sizes, upkeep", ("db",)),
)
_ABOVE = (
    Entry("customer", CustomerScreen, aliases=("c",)),
    Entry("key", KeyScreen),
    Entry("bill", BillScreen),
    Entry("ledger", LedgerScreen, aliases=("l",)),
    Entry("reconcile", ReconcileScreen),
    Entry("chain", ChainScreen, "Escrow events of the chain: which are on no books, how far it was read", ("ch",)),
    Entry("event", EventScreen),
    Entry("groups", GroupsScreen, aliases=("g",)),
    Entry("saved", SavedScreen),
    Entry("approvals", ApprovalsScreen, "What waits for a second person", ("ap",)),
)

TOP = {entry.kind: entry for entry in _TOP}
"""The screens that are always there, in the order of their digits."""
SCREENS = TOP | {entry.kind: entry for entry in _ABOVE}
"""These, and those that open above them."""
DIGITS = dict(zip("1234567890", TOP, strict=False))
"""Which of them a digit switches to."""

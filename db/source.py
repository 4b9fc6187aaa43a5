"""The seam: everything the console may ask or change, and the values it gets back. Suiftly today."""

import asyncio
from collections.abc import Callable, Container
from time import monotonic

from db.approvals import Approval, Approvals, Approve, Reject, RequireSecondPerson, announced
from db.audit import Actor, Audit, AuditRow, AuditSearch
from db.audit_chain import Checkpoint, Finding, Verification
from db.chain.values import EVM_ADDRESS, is_evm_address, looks_like_digest
from db.database import Database
from db.jobs.history import JobHistory, JobRun
from db.jobs.job import Explain, Job
from db.jobs.runner import Tell, run_job
from db.operations import Operation, Outcome, Preview, Receipt, actions, checked_reason, perform
from db.page import Page
from db.presence import Presence, Visitor, others
from db.replica import Replica, replica_state
from db.rights import Rights, rights
from db.second_person import Rule
from db.server.reader import Server
from db.server.relations import IndexUse, TableSize
from db.server.sessions import Session, Sessions
from db.server.statements import StatementCost
from db.server.terminate import TerminateBackend
from db.server.upkeep import WRAPAROUND, Hypertable, Upkeep
from db.suiftly.api_secret import ApiSecret
from db.suiftly.attention import Attention
from db.suiftly.audit_search import HINT as AUDIT_SEARCH_HINT
from db.suiftly.audit_search import parse_search as parse_audit_search
from db.suiftly.bill_lines import BillLine
from db.suiftly.billing import (
    BILL_STATUSES,
    SIGNS,
    Bill,
    BillDetail,
    BillDifference,
    Billing,
    BillSearch,
    Blocked,
    CheckedBills,
    MonthCount,
    this_month,
)
from db.suiftly.billing_search import HINT as BILL_SEARCH_HINT
from db.suiftly.billing_search import BillQuestion, parse_bill_question
from db.suiftly.breakdown import Breakdown, Group, GroupBy, Groups, Histogram
from db.suiftly.codes import HEAD_2026, TrafficClass, server_label, traffic_class
from db.suiftly.codes import event as _event
from db.suiftly.control import SET_BY as CONTROL_SET_BY
from db.suiftly.control import Control, ControlField, LogKeeping, SystemControl
from db.suiftly.customers import Customer, CustomerDetail, CustomerRecord, Customers, CustomerSearch
from db.suiftly.customers import parse_search as parse_customer_search
from db.suiftly.escrow import EscrowChain
from db.suiftly.escrow_books import CheckedAccount, EscrowBooks, Inbox
from db.suiftly.explain import Explanation, explain, mask_ip
from db.suiftly.export import Export, Exported, export
from db.suiftly.export import Progress as ExportProgress
from db.suiftly.export_file import Format as ExportFormat
from db.suiftly.gateways import Gateways, GatewayState, GatewayVault, fleet_words
from db.suiftly.health import Check, State, chain_check, health
from db.suiftly.issuer import Issuer
from db.suiftly.jobs import JOBS, accepting_loss, priced, rebaselined
from db.suiftly.jobs.generate_vault import GenerateMaVault, GenerateVault
from db.suiftly.jobs.sync_chain import SyncChain
from db.suiftly.key_format import (
    DecodedKey,
    begins_like_key,
    decode,
    format_fingerprint,
    is_public_test_secret,
    looks_like_key,
    parse_fingerprint,
    parse_secret,
)
from db.suiftly.key_format import Service as KeyService
from db.suiftly.key_metadata import KeyAccess, KeyFormatError, KeyMetadata, KeyNetwork, KeySource
from db.suiftly.keys import RECENT_MINUTES, ApiKey, Keys, KeySearch, KeyTraffic, key_metadata_words
from db.suiftly.keys import parse_search as parse_key_search
from db.suiftly.ledger import EscrowEntry, Ledger, LedgerEntry, Standing
from db.suiftly.log_windows import History
from db.suiftly.money import parse_cents
from db.suiftly.operations.adopt_prices import AdoptPrices
from db.suiftly.operations.change_service import TIERS, ChangeTier, DisableService, EnableService
from db.suiftly.operations.close_customer import CloseCustomer
from db.suiftly.operations.create_key import CreateKey
from db.suiftly.operations.customer_status import ResumeCustomer, SuspendCustomer
from db.suiftly.operations.end_sessions import EndSessions
from db.suiftly.operations.manual_credit import ManualCredit
from db.suiftly.operations.monthly_limit import SetMonthlyLimit, parse_limit
from db.suiftly.operations.reveal_address import RevealAddress
from db.suiftly.operations.revoke_keys import UNDO_WINDOW, RevokeKeys
from db.suiftly.operations.rotate_key import RotateKey
from db.suiftly.operations.set_maintenance import SetMaintenance
from db.suiftly.operations.settle_bill import FailBill, PayBill, RetryBill
from db.suiftly.operations.undo_revocation import UndoRevocation
from db.suiftly.pricing import PriceBook, PriceBookError, load_prices
from db.suiftly.proof import Proof, ProofState, ProofStep
from db.suiftly.proofs import Proofs
from db.suiftly.reconcile import CheckedHour, Difference, Reconciliation, Watermark
from db.suiftly.request_filter import FilterError, RequestFilter
from db.suiftly.request_filter import from_options as filter_from_options
from db.suiftly.request_filter import parse as parse_request_filter
from db.suiftly.request_record import COLUMNS as RECORD_COLUMNS
from db.suiftly.request_record import as_record
from db.suiftly.request_row import RequestRow
from db.suiftly.requests import RETENTION, Batch, Cursor, Requests
from db.suiftly.simulation import Progress as SimulationProgress
from db.suiftly.simulation import simulate
from db.suiftly.simulation.business import invent_business
from db.suiftly.simulation.chain import PACKAGE as SIMULATED_PACKAGE
from db.suiftly.simulation.chain import simulated_chain
from db.suiftly.simulation.gateways import LABELS as SIMULATED_GATEWAYS
from db.suiftly.simulation.vault_place import settle_vaults
from db.suiftly.spending import Spending, SpendingLimits
from db.suiftly.spending_watch import SpendingWatch, Watched
from db.suiftly.traffic import Overview, TopCustomer, Traffic
from db.suiftly.usage import Charts, Usage
from db.suiftly.usage_sums import Latencies, Measures
from db.suiftly.usage_top import Ranking, Top, TopBy, TopRow
from db.suiftly.usage_window import DIMENSIONS as USAGE_DIMENSIONS
from db.suiftly.usage_window import SPANS as USAGE_SPANS
from db.suiftly.usage_window import UsageQuestion, parse_usage_question, usage_between
from db.suiftly.vault.diff import Change as VaultChange
from db.suiftly.vault.diff import VaultDiff
from db.suiftly.vault.errors import VaultError
from db.suiftly.vault.file_format import VAULTS
from db.suiftly.vault.place import VaultPlace
from db.suiftly.vault.versions import Absence, Opened, Vaults, VaultVersion

__all__ = [
    "AUDIT_SEARCH_HINT",
    "BILL_SEARCH_HINT",
    "BILL_STATUSES",
    "CONTROL_SET_BY",
    "EVM_ADDRESS",
    "JOBS",
    "RECENT_MINUTES",
    "RECORD_COLUMNS",
    "RETENTION",
    "SIGNS",
    "SIMULATED_GATEWAYS",
    "SIMULATED_PACKAGE",
    "TIERS",
    "UNDO_WINDOW",
    "USAGE_DIMENSIONS",
    "USAGE_SPANS",
    "VAULTS",
    "VAULT_JOBS",
    "WRAPAROUND",
    "Absence",
    "Actor",
    "AdoptPrices",
    "ApiKey",
    "ApiSecret",
    "Approval",
    "Approve",
    "Attention",
    "AuditRow",
    "AuditSearch",
    "Batch",
    "Bill",
    "BillDetail",
    "BillDifference",
    "BillLine",
    "BillQuestion",
    "BillSearch",
    "Blocked",
    "ChangeTier",
    "Check",
    "CheckedAccount",
    "CheckedBills",
    "CheckedHour",
    "Checkpoint",
    "CloseCustomer",
    "ControlField",
    "CreateKey",
    "Cursor",
    "Customer",
    "CustomerDetail",
    "CustomerRecord",
    "CustomerSearch",
    "DecodedKey",
    "Difference",
    "DisableService",
    "EnableService",
    "EndSessions",
    "EscrowChain",
    "EscrowEntry",
    "Explanation",
    "Export",
    "ExportFormat",
    "ExportProgress",
    "Exported",
    "FailBill",
    "FilterError",
    "Finding",
    "GatewayState",
    "GatewayVault",
    "Group",
    "GroupBy",
    "Groups",
    "Histogram",
    "History",
    "Hypertable",
    "Inbox",
    "IndexUse",
    "Job",
    "JobRun",
    "KeyAccess",
    "KeyFormatError",
    "KeyMetadata",
    "KeyNetwork",
    "KeySearch",
    "KeyService",
    "KeySource",
    "KeyTraffic",
    "Latencies",
    "LedgerEntry",
    "LogKeeping",
    "ManualCredit",
    "Measures",
    "MonthCount",
    "Opened",
    "Operation",
    "Outcome",
    "Overview",
    "Page",
    "PayBill",
    "Preview",
    "PriceBook",
    "PriceBookError",
    "Proof",
    "ProofState",
    "ProofStep",
    "Receipt",
    "Reject",
    "Replica",
    "RequestFilter",
    "RequestRow",
    "RequireSecondPerson",
    "ResumeCustomer",
    "RetryBill",
    "RevealAddress",
    "RevokeKeys",
    "Rights",
    "RotateKey",
    "Rule",
    "Session",
    "Sessions",
    "SetMaintenance",
    "SetMonthlyLimit",
    "SimulationProgress",
    "Source",
    "Spending",
    "SpendingWatch",
    "Standing",
    "State",
    "StatementCost",
    "SuspendCustomer",
    "SystemControl",
    "TableSize",
    "TerminateBackend",
    "Top",
    "TopBy",
    "TopCustomer",
    "TopRow",
    "TrafficClass",
    "UndoRevocation",
    "Upkeep",
    "Usage",
    "UsageQuestion",
    "VaultChange",
    "VaultDiff",
    "VaultError",
    "VaultPlace",
    "VaultVersion",
    "Verification",
    "Visitor",
    "Watched",
    "Watermark",
    "accepting_loss",
    "actions",
    "as_record",
    "begins_like_key",
    "checked_reason",
    "event_name",
    "explain",
    "filter_from_options",
    "fleet_words",
    "format_fingerprint",
    "invent_business",
    "is_evm_address",
    "is_public_test_secret",
    "key_metadata_words",
    "load_prices",
    "looks_like_digest",
    "looks_like_key",
    "mask_ip",
    "parse_audit_search",
    "parse_bill_question",
    "parse_cents",
    "parse_customer_search",
    "parse_fingerprint",
    "parse_key_search",
    "parse_limit",
    "parse_request_filter",
    "parse_secret",
    "parse_usage_question",
    "rebaselined",
    "server_label",
    "service_name",
    "settle_vaults",
    "simulate",
    "simulated_chain",
    "this_month",
    "traffic_class",
    "usage_between",
]


def event_name(code: int) -> str:
    """An event type in words."""
    return _event(code).name


def service_name(code: int) -> str:
    """A service code of the log in words."""
    return HEAD_2026.word(code)


VAULT_JOBS = {job.vault: job for job in JOBS if isinstance(job, GenerateVault)}
"""What publishes each vault."""
_PUBLISH_S = 60.0  # how long a publication waits for the end of another one
_AGAIN_S = 0.3


class Source:
    """One database as the console sees it. Screens are handed this and know nothing below it."""

    def __init__(
        self,
        database: Database,
        actor: Actor | None = None,
        prices: PriceBook | None = None,
        secret: ApiSecret | None = None,
        vault: VaultPlace | None = None,
        *,
        chain: EscrowChain | None = None,
    ) -> None:
        self.database = database
        self.actor = actor or Actor.from_environment()
        self.presence = Presence()
        self.prices = prices or load_prices()
        self.chain = chain  # None: not configured
        self._secret = secret or ApiSecret()
        self.approvals = Approvals(database)
        self.audit = Audit(database)
        self.billing = Billing(database)
        self.breakdown = Breakdown(database)
        self.charts = Charts(database)
        self.control = Control(database)
        self.customers = Customers(database)
        self.escrow_books = EscrowBooks(database, chain)
        self.gateways = Gateways(database)
        self.jobs = JobHistory(database)
        self.keys = Keys(database)
        self.ledger = Ledger(database)
        self.ranking = Ranking(database)
        self.reconciliation = Reconciliation(database)
        self.requests = Requests(database)
        self.server = Server(database)
        self.spending = SpendingLimits(database, self.prices)
        self.spending_watch = SpendingWatch(self.spending, self.billing)
        self.traffic = Traffic(database)
        self.vaults = Vaults(database, self.prices, vault)
        self.proofs = Proofs(database, self.vaults, self.gateways)

    async def close(self) -> None:
        """Leaves what was connected besides the database."""
        if self.chain is not None:
            await self.chain.reader.close()

    async def found(self, kind: str, subject: str) -> tuple[str, str] | None:
        """Where a customer or a key of that number is, or a search of customers: the one customer that it finds is
        meant. None when there is none."""
        if kind == "customers":
            rows = (await self.customers.page(parse_customer_search(subject), limit=2)).rows
            if len(rows) == 1:
                return "customer", str(rows[0].customer_id)
            return (kind, subject) if rows else None
        find = self.customers.find if kind == "customer" else self.keys.find
        return (kind, subject) if await find(int(subject)) is not None else None

    @property
    def issuer(self) -> Issuer:
        """What makes new keys: for the operations that do."""
        return Issuer(self._secret, self.prices.keys_per_customer)

    async def need_secret(self) -> None:
        """Raises Refused, with a sentence, when keys of this database can neither be made nor read."""
        async with self.database.reading() as connection:
            await self._secret.here(connection)

    async def decode(self, key: str) -> DecodedKey:
        """What a full key says of itself. Raises Refused without an API secret, KeyFormatError for one that is none."""
        async with self.database.reading() as connection:
            return decode(await self._secret.here(connection), key)

    async def health(self) -> tuple[Check, ...]:
        """What the doctor finds."""
        checks = await health(self.database)
        if self.chain is None or any(check.name == "schema" and check.state is State.BAD for check in checks):
            return checks
        return (*checks, await chain_check(self.chain, self.escrow_books))

    @property
    def chain_is_left_alone(self) -> bool:
        """Whether the node failed so often that it is not asked for a while. Asks nobody."""
        return self.chain is not None and self.chain.reader.health.asks_again_in_s is not None

    async def rights(self) -> Rights:
        """What the role of this console may do."""
        async with self.database.reading() as connection:
            return await rights(connection)

    async def asked_of_me(self) -> int:
        """How many requests of other people wait for a second person."""
        return await self.approvals.asked_of(self.actor)

    async def others(self) -> tuple[Visitor, ...]:
        """Who else has a console open on this database."""
        async with self.database.reading() as connection:
            return await others(connection, self.presence)

    async def end_what_is_over(self) -> SystemControl:
        """Ends a maintenance whose time has passed while nobody was there; the flags as they are then."""
        control = await self.control.read()
        if not control.maintenance_is_over:
            return control
        await self.control.end_expired(self.actor)
        return await self.control.read()

    async def replica(self) -> Replica | None:
        """How the replica stands; None without one. Raises ReplicaUnavailable when it does not answer."""
        return await replica_state(self.database)

    async def preview(self, operation: Operation) -> Preview:
        """What the operation would do now. Raises Refused when it cannot be carried out."""
        async with self.database.reading() as connection:
            return await announced(connection, operation, await operation.preview(connection))

    async def perform(self, operation: Operation, reason: str) -> Receipt:
        """Carries it out as this operator. Always returns a receipt."""
        return await perform(self.database, operation, actor=self.actor, reason=reason)

    async def export(self, order: Export, tell: Callable[[ExportProgress], None]) -> Exported:
        """Writes rows of the log to a file, as this operator."""
        return await export(self.database, order, actor=self.actor, tell=tell)

    async def run_job(
        self, job: Job, *, dry_run: bool = False, tell: Tell | None = None, explain: Explain | None = None
    ) -> JobRun:
        """Runs a job as this operator and returns the run as the record has it."""
        if not dry_run:
            await self.end_what_is_over()
        job = priced(job, self.prices)
        if isinstance(job, GenerateVault):
            job = job.placed(await self.vaults.place(), self.prices)
        if isinstance(job, SyncChain):
            job = SyncChain(self.chain)
        return await run_job(self.database, job, actor=self.actor, dry_run=dry_run, tell=tell, explain=explain)

    async def run_due_jobs(self, *, without: Container[str] = ()) -> list[JobRun]:
        """Runs every job whose period has passed since it began last, in their order; one that fails stops none."""
        due = await self.jobs.due({job.name: job.every_s for job in JOBS if job.name not in without})
        if (await self.vaults.place()).directory is None:
            due = [name for name in due if name not in {job.name for job in VAULT_JOBS.values()}]
        if self.chain is None:
            due = [name for name in due if name != SyncChain.name]
        return [await self.run_job(job) for job in JOBS if job.name in due]

    async def publish_access(self, reason: str) -> JobRun:
        """Publishes the MA vault as it has to be now, also when somebody else is publishing it as it was before."""
        until = monotonic() + _PUBLISH_S
        while True:
            run = await self.run_job(GenerateMaVault(reason=reason))
            if run.outcome != "skipped" or monotonic() > until:
                return run
            await asyncio.sleep(_AGAIN_S)

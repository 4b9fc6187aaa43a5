"""The seam: the names by which the console knows its database. Suiftly today."""

from db.approvals import Approval, Approve, Reject, RequireSecondPerson, Waiting
from db.audit import Actor, AuditRow, AuditSearch
from db.audit_chain import Checkpoint
from db.chain.models import ServiceInfo as NodeInfo
from db.chain.values import EVM_ADDRESS, is_evm_address, looks_like_digest
from db.jobs.history import JobRun
from db.jobs.job import Job, Pace
from db.operations import Operation, Outcome, Preview, Receipt, actions, checked_reason
from db.page import Page
from db.presence import Visitor
from db.replica import Replica
from db.rights import Rights
from db.second_person import Rule
from db.server.relations import IndexUse, TableSize
from db.server.sessions import Session, Sessions
from db.server.statements import StatementCost
from db.server.terminate import TerminateBackend
from db.server.upkeep import WRAPAROUND, Upkeep
from db.suiftly.attention import Attention
from db.suiftly.audit_search import HINT as AUDIT_SEARCH_HINT
from db.suiftly.audit_search import parse_search as parse_audit_search
from db.suiftly.billing.bills import (
    BILL_STATUSES,
    SIGNS,
    Bill,
    BillDetail,
    BillDifference,
    BillSearch,
    MonthCount,
    last_two_months,
    this_month,
)
from db.suiftly.billing.ledger import EscrowEntry, LedgerEntry, Standing
from db.suiftly.billing.lines import BillLine
from db.suiftly.billing.search import HINT as BILL_SEARCH_HINT
from db.suiftly.billing.search import BillQuestion, parse_bill_question
from db.suiftly.billing.spending import Spending
from db.suiftly.billing.spending_watch import Watched
from db.suiftly.control import SET_BY as CONTROL_SET_BY
from db.suiftly.control import ControlField, LogKeeping, SystemControl
from db.suiftly.customer_id import MAX_CUSTOMER_ID, read_customer_id
from db.suiftly.customer_search import CustomerSearch
from db.suiftly.customer_search import parse_search as parse_customer_search
from db.suiftly.customers import Customer, CustomerDetail, CustomerRecord
from db.suiftly.escrow.books import CheckedAccount, Inbox
from db.suiftly.escrow.contract import EscrowChain
from db.suiftly.escrow.events import HINT as EVENT_SEARCH_HINT
from db.suiftly.escrow.events import OUTCOMES as EVENT_OUTCOMES
from db.suiftly.escrow.events import (
    BookedRow,
    EventId,
    EventSearch,
    InboxEvent,
    InboxEventDetail,
    parse_event_search,
)
from db.suiftly.escrow.payment_check import PaymentCheck, Verdict
from db.suiftly.gateways import GatewayState, GatewayVault, fleet_words
from db.suiftly.health import Check, State
from db.suiftly.jobs import JOBS, rebaselined
from db.suiftly.keys.api_secret import ApiSecret
from db.suiftly.keys.format import Service as KeyService
from db.suiftly.keys.format import (
    begins_like_key,
    format_fingerprint,
    is_public_test_secret,
    looks_like_key,
    parse_fingerprint,
    parse_secret,
)
from db.suiftly.keys.keys import RECENT_MINUTES, ApiKey, KeySearch, KeyTraffic, key_metadata_words
from db.suiftly.keys.keys import parse_search as parse_key_search
from db.suiftly.keys.metadata import KeyAccess, KeyFormatError, KeyMetadata, KeyNetwork, KeySource
from db.suiftly.keys.proof_verdict import Proof, ProofState
from db.suiftly.log.breakdown import Group, GroupBy, Groups, Histogram
from db.suiftly.log.codes import TrafficClass, event_name, server_label, service_word, traffic_class
from db.suiftly.log.explain import explain
from db.suiftly.log.export import Export, Exported
from db.suiftly.log.export import Progress as ExportProgress
from db.suiftly.log.export_file import Format as ExportFormat
from db.suiftly.log.export_file import usable as usable_path
from db.suiftly.log.filter import FilterError, RequestFilter
from db.suiftly.log.filter import from_options as filter_from_options
from db.suiftly.log.filter import parse as parse_request_filter
from db.suiftly.log.record import COLUMNS as RECORD_COLUMNS
from db.suiftly.log.record import as_record
from db.suiftly.log.requests import Batch, Cursor
from db.suiftly.log.row import RequestRow
from db.suiftly.log.windows import History
from db.suiftly.money import exact_dollars, in_dollars, parse_cents
from db.suiftly.operations.adjust_to_chain import AdjustToChain
from db.suiftly.operations.adopt_prices import AdoptPrices
from db.suiftly.operations.assign_event import AssignEvent
from db.suiftly.operations.change_service import TIERS, ChangeTier, DisableService, EnableService
from db.suiftly.operations.close_customer import CloseCustomer
from db.suiftly.operations.create_key import CreateKey
from db.suiftly.operations.customer_status import ResumeCustomer, SuspendCustomer
from db.suiftly.operations.dismiss_event import DismissEvent
from db.suiftly.operations.end_sessions import EndSessions
from db.suiftly.operations.follow_upgrade import FollowUpgrade
from db.suiftly.operations.manual_credit import ManualCredit
from db.suiftly.operations.monthly_limit import SetMonthlyLimit, parse_limit
from db.suiftly.operations.move_bill import FailBill, RetryBill
from db.suiftly.operations.pay_bill import PayBill
from db.suiftly.operations.publish_despite_warning import PublishDespiteWarning
from db.suiftly.operations.reopen_event import ReopenEvent
from db.suiftly.operations.reveal_address import RevealAddress
from db.suiftly.operations.revoke_keys import UNDO_WINDOW, RevokeKeys
from db.suiftly.operations.rotate_key import RotateKey
from db.suiftly.operations.set_maintenance import SetMaintenance
from db.suiftly.operations.settle_conflict import AcceptChain, KeepBooks
from db.suiftly.operations.undo_revocation import UndoRevocation
from db.suiftly.overview import Overview, TopCustomer
from db.suiftly.pricing import PriceBook, PriceBookError, load_prices
from db.suiftly.reconcile import CheckedHour, Difference, Watermark
from db.suiftly.simulation import Progress as SimulationProgress
from db.suiftly.simulation import simulate
from db.suiftly.simulation.business import invent_business
from db.suiftly.simulation.chain import PACKAGE as SIMULATED_PACKAGE
from db.suiftly.simulation.chain import simulated_chain
from db.suiftly.simulation.gateways import LABELS as SIMULATED_GATEWAYS
from db.suiftly.simulation.vault_place import settle_vaults
from db.suiftly.source import VAULT_JOBS, Source
from db.suiftly.usage.charts import Usage
from db.suiftly.usage.sums import Latencies, Measures
from db.suiftly.usage.top import Top, TopBy, TopRow
from db.suiftly.usage.window import DIMENSIONS as USAGE_DIMENSIONS
from db.suiftly.usage.window import SPANS as USAGE_SPANS
from db.suiftly.usage.window import UsageQuestion, parse_usage_question, usage_between
from db.suiftly.vault.diff import Change as VaultChange
from db.suiftly.vault.diff import VaultDiff
from db.suiftly.vault.errors import VaultError
from db.suiftly.vault.file_format import VAULTS
from db.suiftly.vault.place import VaultPlace
from db.suiftly.vault.versions import Opened, VaultVersion

__all__ = [
    "AUDIT_SEARCH_HINT",
    "BILL_SEARCH_HINT",
    "BILL_STATUSES",
    "CONTROL_SET_BY",
    "EVENT_OUTCOMES",
    "EVENT_SEARCH_HINT",
    "EVM_ADDRESS",
    "JOBS",
    "MAX_CUSTOMER_ID",
    "RECENT_MINUTES",
    "RECORD_COLUMNS",
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
    "AcceptChain",
    "Actor",
    "AdjustToChain",
    "AdoptPrices",
    "ApiKey",
    "ApiSecret",
    "Approval",
    "Approve",
    "AssignEvent",
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
    "BookedRow",
    "ChangeTier",
    "Check",
    "CheckedAccount",
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
    "Difference",
    "DisableService",
    "DismissEvent",
    "EnableService",
    "EndSessions",
    "EscrowChain",
    "EscrowEntry",
    "EventId",
    "EventSearch",
    "Export",
    "ExportFormat",
    "ExportProgress",
    "Exported",
    "FailBill",
    "FilterError",
    "FollowUpgrade",
    "GatewayState",
    "GatewayVault",
    "Group",
    "GroupBy",
    "Groups",
    "Histogram",
    "History",
    "Inbox",
    "InboxEvent",
    "InboxEventDetail",
    "IndexUse",
    "Job",
    "JobRun",
    "KeepBooks",
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
    "NodeInfo",
    "Opened",
    "Operation",
    "Outcome",
    "Overview",
    "Pace",
    "Page",
    "PayBill",
    "PaymentCheck",
    "Preview",
    "PriceBook",
    "PriceBookError",
    "Proof",
    "ProofState",
    "PublishDespiteWarning",
    "Receipt",
    "Reject",
    "ReopenEvent",
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
    "Verdict",
    "Visitor",
    "Waiting",
    "Watched",
    "Watermark",
    "actions",
    "as_record",
    "begins_like_key",
    "checked_reason",
    "event_name",
    "exact_dollars",
    "explain",
    "filter_from_options",
    "fleet_words",
    "format_fingerprint",
    "in_dollars",
    "invent_business",
    "is_evm_address",
    "is_public_test_secret",
    "key_metadata_words",
    "last_two_months",
    "load_prices",
    "looks_like_digest",
    "looks_like_key",
    "parse_audit_search",
    "parse_bill_question",
    "parse_cents",
    "parse_customer_search",
    "parse_event_search",
    "parse_fingerprint",
    "parse_key_search",
    "parse_limit",
    "parse_request_filter",
    "parse_secret",
    "parse_usage_question",
    "read_customer_id",
    "rebaselined",
    "server_label",
    "service_word",
    "settle_vaults",
    "simulate",
    "simulated_chain",
    "this_month",
    "traffic_class",
    "usable_path",
    "usage_between",
]

"""What the console may ask Suiftly's database, and change in it."""

import asyncio
from collections.abc import Callable, Container
from time import monotonic

from db.approvals import Approvals, Waiting, announced
from db.audit import Actor, Audit
from db.chain.errors import NOT_CONFIGURED, ErrorKind, not_configured
from db.chain.units import Cents
from db.chain.values import looks_like_digest
from db.database import Database
from db.errors import DatabaseError, Denied, Refused
from db.jobs.history import JobHistory, JobRun
from db.jobs.job import Explain, Job
from db.jobs.runner import Tell, run_job
from db.operations import Operation, Preview, Receipt
from db.perform import perform, refuse
from db.presence import Presence, Visitor, others
from db.replica import Replica, replica_state
from db.rights import Rights, rights
from db.server.reader import Server
from db.suiftly.attention import Attention
from db.suiftly.attention.disk_watch import DiskWatch
from db.suiftly.billing.bills import Bill, Billing
from db.suiftly.billing.ledger import Ledger
from db.suiftly.billing.spending import SpendingLimits
from db.suiftly.billing.spending_watch import SpendingWatch
from db.suiftly.control import Control, SystemControl
from db.suiftly.customer_search import parse_search as parse_customer_search
from db.suiftly.customers import Customers
from db.suiftly.escrow.books import EscrowBooks
from db.suiftly.escrow.contract import EscrowChain
from db.suiftly.escrow.events import EscrowEvents, EventId, parse_event_search
from db.suiftly.escrow.payment_check import PaymentCheck, check_payment
from db.suiftly.gateways import Gateways
from db.suiftly.health import Check, State, chain_check, health
from db.suiftly.jobs import JOBS, priced
from db.suiftly.jobs.clean_up import CleanUp
from db.suiftly.jobs.generate_vault import GenerateVault
from db.suiftly.jobs.sync_chain import SyncChain
from db.suiftly.keys.api_secret import ApiSecret
from db.suiftly.keys.format import DecodedKey, decode
from db.suiftly.keys.issuer import Issuer
from db.suiftly.keys.keys import Keys
from db.suiftly.keys.proofs import Proofs
from db.suiftly.log.breakdown import Breakdown
from db.suiftly.log.export import Export, Exported, export
from db.suiftly.log.export import Progress as ExportProgress
from db.suiftly.log.requests import Requests
from db.suiftly.operations.asks_chain import AsksChain
from db.suiftly.overview import Traffic
from db.suiftly.pricing import PriceBook, load_prices
from db.suiftly.reconcile import Reconciliation
from db.suiftly.usage.charts import Charts
from db.suiftly.usage.top import Ranking
from db.suiftly.vault.errors import VaultWarning, Warned
from db.suiftly.vault.place import VaultPlace
from db.suiftly.vault.publish import Publication
from db.suiftly.vault.versions import Vaults

VAULT_JOBS = {job.vault: job for job in JOBS if isinstance(job, GenerateVault)}
"""What publishes each vault."""
_PUBLISH_S = 60.0  # how long a publication waits for the end of another one
_AGAIN_S = 0.3
_CHAIN_TROUBLE = {ErrorKind.WRONG_CHAIN: "wrong chain", ErrorKind.NOT_LET_IN: "chain lets us not in"}


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
        disk_gb: float | None = None,
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
        self.escrow_events = EscrowEvents(database)
        self.disk_watch = DiskWatch(database, disk_gb)
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
        """Where a customer, a key or an escrow event of that number is, or a search of customers: the one customer that
        it finds is meant, or else the escrow events of that account or transaction. None when there is none."""
        if kind == "event":
            return (kind, subject) if await self.escrow_events.find(EventId.parse(subject)) else None
        if kind == "customers":
            rows = (await self.customers.page(parse_customer_search(subject), limit=2)).rows
            if len(rows) == 1:
                return "customer", str(rows[0].customer_id)
            return (kind, subject) if rows else await self._on_no_books(subject)
        find = self.customers.find if kind == "customer" else self.keys.find
        return (kind, subject) if await find(int(subject)) is not None else None

    async def _on_no_books(self, subject: str) -> tuple[str, str] | None:
        """The escrow events of an account or a transaction; None for the beginning of one."""
        if not looks_like_digest(subject):
            return None
        events = (await self.escrow_events.page(parse_event_search(subject), limit=2)).rows
        if len(events) == 1:
            return "event", str(events[0].id)
        return ("chain", subject) if events else None

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
        checks = await health(self.database, self.watched)
        if any(check.name == "schema" and check.state is State.BAD for check in checks):
            return checks
        if self.chain is None:
            return (*checks, Check("chain", State.GOOD, NOT_CONFIGURED))
        return (*checks, await chain_check(self.chain, self.escrow_books))

    async def watched(self) -> tuple[Attention, ...]:
        """What else needs a look, and takes longer to find than one would wait at each refresh: room, and money."""
        return (*await self.disk_watch.attention(), *await self.spending_watch.attention())

    @property
    def chain_trouble(self) -> str:
        """What was wrong with the node when it was asked last, in a few words. Asks nobody."""
        error = None if self.chain is None else self.chain.reader.health.error
        return "" if error is None else _CHAIN_TROUBLE.get(error.kind, "chain does not answer")

    async def rights(self) -> Rights:
        """What the role of this console may do."""
        async with self.database.reading() as connection:
            return await rights(connection)

    async def waiting_for_me(self) -> Waiting:
        """How many requests wait for this person: to decide, or to carry out."""
        return await self.approvals.waiting(self.actor)

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
        operation = await self._informed(operation)
        async with self.database.reading() as connection:
            return await announced(connection, operation, await operation.preview(connection))

    async def propose(self, operation: Operation, reason: str = "") -> Preview | Receipt:
        """What an operator is shown first; of what is refused already, the receipt of a try that is on record."""
        try:
            return await self.preview(operation)
        except (Refused, Denied) as error:
            return await refuse(self.database, operation, error, actor=self.actor, reason=reason)

    async def perform(self, operation: Operation, reason: str) -> Receipt:
        """Carries it out as this operator. Always returns a receipt."""
        operation = await self._informed(operation)
        return await perform(self.database, operation, actor=self.actor, reason=reason)

    async def _informed(self, operation: Operation) -> Operation:
        return await operation.informed(self.database, self.chain) if isinstance(operation, AsksChain) else operation

    async def payment_on_chain(self, bill: Bill) -> PaymentCheck:
        """What the chain says of the digest that a charge carries."""
        return await check_payment(
            self.database,
            self.chain,
            customer=bill.customer_id,
            amount=Cents(bill.cents),
            digest=bill.tx_digest or "",
        )

    async def export(self, order: Export, tell: Callable[[ExportProgress], None]) -> Exported:
        """Writes rows of the log to a file, as this operator."""
        return await export(self.database, order, actor=self.actor, tell=tell)

    async def run_job(
        self, job: Job, *, dry_run: bool = False, tell: Tell | None = None, explain: Explain | None = None
    ) -> JobRun:
        """Runs a job as this operator and returns the run as the record has it. One that reads a chain that is not
        configured here raises ChainError and is not on record: others may read it."""
        if not dry_run:
            await self.end_what_is_over()
        job = priced(job, self.prices)
        if isinstance(job, GenerateVault):
            job = job.placed(await self.vaults.place(), self.prices)
        if isinstance(job, CleanUp):
            job = CleanUp(await self.vaults.place())
        if isinstance(job, SyncChain):
            if self.chain is None:
                raise not_configured()
            job = SyncChain(self.chain)
        return await run_job(self.database, job, actor=self.actor, dry_run=dry_run, tell=tell, explain=explain)

    async def run_due_jobs(self, *, without: Container[str] = ()) -> list[JobRun]:
        """Runs every job whose period has passed since it began last, in their order; one that fails stops none.

        Raises what a job with a defect raised, after the others; DatabaseError when an outcome could not be recorded.
        """
        due = await self.jobs.due({job.name: job.every_s for job in JOBS if job.name not in without})
        if (await self.vaults.place()).directory is None:
            due = [name for name in due if name not in {job.name for job in VAULT_JOBS.values()}]
        if self.chain is None:
            due = [name for name in due if name != SyncChain.name]
        runs: list[JobRun] = []
        defects: list[Exception] = []
        for job in JOBS:
            if job.name in due:
                try:
                    runs.append(await self.run_job(job))
                except DatabaseError:
                    raise
                except Exception as error:  # noqa: BLE001 - a defect of one job must not keep the others from running
                    defects.append(error)
        if defects:
            raise defects[0]
        return runs

    async def vault_warning(self, vault: str) -> VaultWarning | None:
        """Why it would not be published now unless that is meant; None: nothing warns. Changes nothing."""
        publication = Publication(self.database, vault, self.prices, await self.vaults.place(), self.actor, "")
        try:
            await publication.carry_out(dry_run=True)
        except Warned as error:
            return error.warning
        return None

    async def publish_vault(self, reason: str, vault: str = "ma") -> JobRun:
        """Publishes a vault as it has to be now, also when somebody else is publishing it as it was before."""
        until = monotonic() + _PUBLISH_S
        while True:
            run = await self.run_job(type(VAULT_JOBS[vault])(reason=reason))
            if run.outcome != "skipped" or monotonic() > until:
                return run
            await asyncio.sleep(_AGAIN_S)

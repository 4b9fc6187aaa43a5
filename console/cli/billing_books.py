"""opsdeck billing ledger | reconcile"""

from argparse import Namespace
from uuid import UUID

from console import failures
from console.cli.context import Context, Subparsers, add_command
from console.cli.output import cell, emit, narrate, table, to_json
from console.cli.paging import add_paging, listed_id, narrate_cut
from console.cli.values import customer_id, month
from console.settings import UsageError
from console.words import dollars, exact_dollars, limit_words
from db.page import Page
from db.source import BillDifference, EscrowEntry, LedgerEntry, Spending, Standing, last_two_months


def add(verbs: Subparsers) -> None:
    ledger = add_command(verbs, "ledger", "show a customer's ledger, escrow and what is spent of the limit")
    ledger.add_argument("customer", metavar="ID", type=customer_id, help="the customer's id")
    add_paging(ledger, "ledger entry or escrow event", "ROW", _row)
    ledger.add_argument("--json", action="store_true", help="one JSON document")
    ledger.set_defaults(run=show_ledger)
    reconcile = add_command(
        verbs, "reconcile", "hold bills against their records and fees; exit 1 on differences", "Nothing is corrected."
    )
    reconcile.add_argument(
        "--month",
        metavar="YYYY-MM",
        type=month,
        help="bills that begin in it (UTC); this month and the last",
    )
    reconcile.add_argument("--json", action="store_true", help="one JSON document")
    reconcile.set_defaults(run=run_reconcile)


def _row(text: str) -> UUID | int:
    """An entry of the ledger has a UUID, an event of the escrow a number."""
    return int(text) if text.isdecimal() and len(text) < 19 else listed_id(text)


async def _behind(context: Context, options: Namespace) -> int:
    """The ledger behind one of its entries, or the escrow behind one of its events. Raises UsageError."""
    row, customer, limit = options.before, options.customer, options.limit
    ledger, escrow = Page[LedgerEntry]((), complete=True), Page[EscrowEntry]((), complete=True)
    async with context.source() as source:
        at = await (
            source.ledger.entry_at(customer, row) if isinstance(row, UUID) else source.ledger.event_at(customer, row)
        )
        if at is None:
            raise UsageError(f"--before: customer {customer} has no such entry or event {row}")
        if isinstance(row, UUID):
            ledger = await source.ledger.page(customer, after=(at, row), limit=limit)
        else:
            escrow = await source.ledger.escrow(customer, after=(at, row), limit=limit)
    if options.json:
        complete = ledger.complete and escrow.complete
        emit(to_json({"ledger": ledger.rows, "escrow": escrow.rows, "complete": complete}))
        return failures.DONE
    emit(_entries(ledger) if isinstance(row, UUID) else _events(escrow))
    _narrate_cuts(ledger, escrow)
    return failures.DONE


def _entries(ledger: Page[LedgerEntry]) -> str:
    return table(("at (UTC)", "type", "amount", "balance", "what", "what is wrong with it"), map(_entry, ledger.rows))


def _events(escrow: Page[EscrowEntry]) -> str:
    return table(("at (UTC)", "escrow", "amount", "in the ledger", "digest", "asset"), map(_event, escrow.rows))


def _narrate_cuts(ledger: Page[LedgerEntry], escrow: Page[EscrowEntry]) -> None:
    narrate_cut(ledger, lambda row: row.id, rows="ledger entries")
    narrate_cut(escrow, lambda row: row.tx_id, rows="escrow events")


async def show_ledger(context: Context, options: Namespace) -> int:
    if options.before is not None:
        return await _behind(context, options)
    async with context.source() as source:
        standing = await source.ledger.standing(options.customer)
        spending = await source.spending.of(options.customer)
        ledger = await source.ledger.page(options.customer, limit=options.limit)
        escrow = await source.ledger.escrow(options.customer, limit=options.limit)
    if standing is None or spending is None:
        narrate(f"there is no customer {options.customer}")
        return failures.FAILED
    if options.json:
        document = {
            "standing": standing,
            "spending": spending,
            "ledger": ledger.rows,
            "escrow": escrow.rows,
            "complete": ledger.complete and escrow.complete,
        }
        emit(to_json(document))
        return failures.DONE
    parts = [*(f"{name:<11} {value}" for name, value in _facts(standing, spending)), ""]
    emit("\n".join([*parts, _entries(ledger), "", _events(escrow)]))
    _narrate_cuts(ledger, escrow)
    return failures.DONE


def _facts(standing: Standing, spending: Spending) -> list[tuple[str, str]]:
    percent = "" if spending.percent is None else f", {spending.percent} %"
    return [
        ("ledger", dollars(standing.ledger_cents)),
        ("balance", dollars(standing.balance_cents)),
        ("escrow", exact_dollars(standing.escrow_usd)),
        ("spent", f"{dollars(spending.spent_cents)} of {limit_words(spending.limit_cents)}{percent}"),
        ("since", cell(spending.begin)),
        ("on bills", f"{dollars(spending.charged_cents)} charged, {dollars(spending.unpaid_cents)} unpaid"),
        ("not billed", dollars(spending.open_cents)),
        ("projected", f"{dollars(spending.projected_cents)} by {spending.end}"),
    ]


def _entry(row: LedgerEntry) -> tuple[object, ...]:
    what = row.description or row.invoice_id or row.tx_hash
    return (row.created_at, row.type, dollars(row.cents), dollars(row.balance_cents), what, "; ".join(row.breaks))


def _event(row: EscrowEntry) -> tuple[object, ...]:
    asset = (row.asset_type or "USD").rpartition("::")[2]
    return (row.at, row.type, f"{row.amount:,.2f}", dollars(row.ledger_cents), row.tx_digest, asset)


async def run_reconcile(context: Context, options: Namespace) -> int:
    checked = 0
    differences: list[BillDifference] = []
    async with context.source() as source:
        for begin in last_two_months() if options.month is None else (options.month,):
            async for some in source.billing.check(begin):
                checked += some.bills
                differences += some.differences
    if options.json:
        emit(to_json({"checked_bills": checked, "differences": differences}))
        return failures.FAILED if differences else failures.DONE
    if differences:
        headers = ("bill", "customer", "from (UTC)", "bill", "records and fees, USD")
        emit(table(headers, [_difference(one) for one in differences]))
    narrate(f"{checked:,} bills checked, {len(differences):,} differences")
    return failures.FAILED if differences else failures.DONE


def _difference(one: BillDifference) -> tuple[object, ...]:
    bill = one.bill
    return (bill.id, bill.customer_id, bill.begin, dollars(bill.cents), f"{one.records_usd:,.8f}")

"""opsdeck billing list | show | pay | fail | retry | credit | adopt-prices, and what billing_books adds"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from console import failures
from console.cli import billing_books, change
from console.cli.context import Context, Subparsers, add_command
from console.cli.output import cell, emit, narrate, table, to_json
from console.cli.paging import add_paging, narrate_cut
from console.cli.values import customer_id, month
from console.settings import UsageError
from console.words import dollars
from db.chain.values import ChainValueError, Digest
from db.source import (
    BILL_STATUSES,
    AdoptPrices,
    Bill,
    BillDetail,
    BillSearch,
    FailBill,
    ManualCredit,
    Operation,
    PayBill,
    RetryBill,
    Source,
    parse_cents,
)


def _cents(text: str) -> int:
    try:
        return parse_cents(text)
    except ValueError as error:
        raise UsageError(f"--amount {text!r}: {error}") from None


def _digest(text: str) -> str:
    try:
        return str(Digest.parse(text, "--digest"))
    except ChainValueError as error:
        raise UsageError(str(error)) from None


def add(commands: Subparsers) -> None:
    verbs = add_command(commands, "billing", "list, show and settle bills").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    listing = add_command(verbs, "list", "list bills, the latest periods first")
    listing.add_argument("--month", metavar="YYYY-MM", type=month, help="bills that begin in this month (UTC)")
    listing.add_argument("--status", choices=BILL_STATUSES, help="only these")
    listing.add_argument("--customer", metavar="ID", type=customer_id, help="only of this customer")
    add_paging(listing, "bill", "BILL", str, option="--after")
    listing.add_argument("--json", action="store_true", help="one JSON document")
    listing.set_defaults(run=list_bills)
    show = add_command(verbs, "show", "show one bill with its lines, to the cent")
    _add_bill(show)
    show.add_argument("--json", action="store_true", help="one JSON document")
    show.set_defaults(run=show_bill)
    pay = change.add_verb(verbs, "pay", "put the payment of a bill on record")
    _add_bill(pay)
    pay.add_argument(
        "--digest", metavar="D", type=_digest, required=True, help="of the transaction that paid it: Base58, or hex"
    )
    pay.add_argument(
        "--unverified", action="store_true", help="also when no node can tell whether it happened; goes on record"
    )
    pay.set_defaults(run=pay_bill)
    fail = change.add_verb(verbs, "fail", "say that a pending bill was not paid")
    _add_bill(fail)
    fail.set_defaults(run=fail_bill)
    retry = change.add_verb(verbs, "retry", "put a failed bill up for another try")
    _add_bill(retry)
    retry.set_defaults(run=retry_bill)
    credit = change.add_verb(verbs, "credit", "give a customer a credit")
    credit.add_argument("customer", metavar="ID", type=customer_id, help="the customer's id")
    credit.add_argument("--amount", metavar="USD", type=_cents, required=True, help="in dollars, such as 12.50")
    credit.set_defaults(run=credit_customer)
    adopt = change.add_verb(verbs, "adopt-prices", "bill by the price book of this profile from now on")
    adopt.add_argument("label", metavar="LABEL", help="the book of this profile, such as head-2026-0a1b2c3d4e5f")
    adopt.set_defaults(run=adopt_prices)
    billing_books.add(verbs)


def _add_bill(parser: ArgumentParser) -> None:
    parser.add_argument("bill", metavar="BILL", help="its id, or the beginning of it")


async def _find(source: Source, text: str) -> BillDetail:
    """The one bill that is meant. Raises UsageError."""
    try:
        named = await source.billing.named(text)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if len(named) > 1:
        raise UsageError(f"several bills begin with {text}; give more of the id")
    found = await source.billing.find(named[0]) if named else None
    if found is None:
        raise UsageError(f"there is no bill {text}; look with `opsdeck billing list`")
    return found


async def list_bills(context: Context, options: Namespace) -> int:
    search = BillSearch(options.month, options.status, options.customer)
    async with context.source() as source:
        after = None if options.after is None else (await _find(source, options.after)).bill
        page = await source.billing.page(search, after=after, limit=options.limit)
        counts = () if options.month is None else await source.billing.counts(options.month)
        blocked = await source.billing.blocked()
    if options.json:
        emit(to_json({"bills": page.rows, "complete": page.complete, "month": counts, "blocked": blocked}))
        return failures.DONE
    headers = ("bill", "customer", "from (UTC)", "to", "amount", "type", "status", "digest")
    emit(table(headers, [_row(bill) for bill in page.rows]))
    for one in counts:
        narrate(f"{options.month:%Y-%m}: {one.bills:,} {one.type}(s) {one.status}, {dollars(one.cents)}")
    if blocked:
        more = "" if len(blocked) < 100 else " or more"
        narrate(f"{len(blocked)}{more} customers have usage that could not be billed (spending limit, or suspended)")
    narrate_cut(page, lambda row: row.id, option="--after")
    return failures.DONE


def _row(bill: Bill) -> tuple[object, ...]:
    span = (f"{bill.begin:%Y-%m-%d %H:%M}", f"{bill.end:%Y-%m-%d %H:%M}")
    return (bill.id, bill.customer_id, *span, dollars(bill.cents), bill.type, bill.status, bill.tx_digest)


async def show_bill(context: Context, options: Namespace) -> int:
    async with context.source() as source:
        found = await _find(source, options.bill)
    emit(to_json(found) if options.json else _as_text(found))
    return failures.DONE


def _as_text(found: BillDetail) -> str:
    bill = found.bill
    facts = [
        ("bill", bill.id),
        ("customer", bill.customer_id),
        ("period", f"{bill.begin:%Y-%m-%d %H:%M} to {bill.end:%Y-%m-%d %H:%M}"),
        ("amount", dollars(bill.cents)),
        ("type", bill.type),
        ("status", bill.status),
        ("digest", bill.tx_digest),
        ("made", bill.created_at),
    ]
    lines = [
        (line.kind, line.service, line.detail, line.requests, line.bytes, f"{line.usd:,.8f}", line.begin, line.end)
        for line in found.lines
    ]
    headers = ("line", "service", "what", "requests", "bytes", "USD", "from (UTC)", "to")
    return "\n".join([*(f"{name:<9} {cell(value)}" for name, value in facts), "", table(headers, lines)])


async def _settle(context: Context, options: Namespace, operation: Callable[[Source, Bill], Operation]) -> int:
    change.check(context, options)
    async with context.source() as source:
        bill = (await _find(source, options.bill)).bill
        return await change.carry_out(context, options, source, operation(source, bill))


async def pay_bill(context: Context, options: Namespace) -> int:
    def pay(source: Source, bill: Bill) -> Operation:
        period_days = source.prices.limit_period_days
        return PayBill(
            bill.id, bill.customer_id, digest=options.digest, period_days=period_days, unverified=options.unverified
        )

    return await _settle(context, options, pay)


async def fail_bill(context: Context, options: Namespace) -> int:
    return await _settle(context, options, lambda _, bill: FailBill(bill.id, bill.customer_id))


async def retry_bill(context: Context, options: Namespace) -> int:
    return await _settle(context, options, lambda _, bill: RetryBill(bill.id, bill.customer_id))


async def credit_customer(context: Context, options: Namespace) -> int:
    change.check(context, options)
    async with context.source() as source:
        return await change.carry_out(context, options, source, ManualCredit(options.customer, options.amount))


async def adopt_prices(context: Context, options: Namespace) -> int:
    change.check(context, options)
    async with context.source() as source:
        if options.label != source.prices.label:
            raise UsageError(
                f"this profile has the price book {source.prices.label}, not {options.label[:64]!r}: name that one"
            )
        return await change.carry_out(context, options, source, AdoptPrices(source.prices.label))

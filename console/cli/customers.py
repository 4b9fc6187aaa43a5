"""opsdeck customers list | show, and the verbs of customer_changes"""

from argparse import Namespace

from console import failures
from console.cli import customer_changes
from console.cli.context import Context, Subparsers, add_command
from console.cli.output import cell, emit, narrate, table, to_json
from console.cli.paging import add_paging, narrate_cut
from console.cli.values import customer_id
from console.cli.which_customer import WHO, the_one, who
from console.settings import UsageError
from console.words import dollars, limit_words
from db.source import CustomerDetail, parse_customer_search


def add(commands: Subparsers) -> None:
    verbs = add_command(commands, "customers", "find, show and change customers").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    listing = add_command(verbs, "list", "list customers: all, or by id, wallet prefix (0x…), digest, status")
    listing.add_argument(
        "search",
        metavar="WORD",
        nargs="*",
        help="an id, a wallet or its beginning, a transaction digest, a key, a status; they combine",
    )
    add_paging(listing, "customer", "ID", customer_id, option="--after")
    listing.add_argument("--json", action="store_true", help="one JSON document")
    listing.set_defaults(run=list_customers)
    show = add_command(verbs, "show", "show one customer with services, usage and money")
    show.add_argument("customer", metavar="ID", type=who, help=WHO)
    show.add_argument("--json", action="store_true", help="one JSON document")
    show.set_defaults(run=show_customer)
    customer_changes.add(verbs)


async def list_customers(context: Context, options: Namespace) -> int:
    try:
        search = parse_customer_search(" ".join(options.search))
    except ValueError as error:
        raise UsageError(str(error)) from error
    async with context.source() as source:
        after = None
        if options.after is not None:
            after = await source.customers.find(options.after)
            if after is None:
                raise UsageError(f"--after: there is no customer {options.after}")
        page = await source.customers.page(search, after=after, limit=options.limit)
    if options.json:
        emit(to_json({"customers": page.rows, "complete": page.complete}))
        return failures.DONE
    headers = ("customer", "status", "wallet", "live keys", "balance", "this month", "limit")
    rows = [
        (
            row.customer_id,
            row.status,
            row.wallet_address,
            row.live_keys,
            dollars(row.current_balance_usd_cents),
            dollars(row.current_month_charged_usd_cents),
            limit_words(row.max_monthly_usd_cents),
        )
        for row in page.rows
    ]
    emit(table(headers, rows))
    narrate_cut(page, lambda row: row.customer_id, option="--after")
    return failures.DONE


async def show_customer(context: Context, options: Namespace) -> int:
    async with context.source() as source:
        wanted = await the_one(source, options.customer)
        detail = await source.customers.detail(wanted)
    if detail is None:
        narrate(f"there is no customer {wanted}")
        return failures.FAILED
    emit(to_json(detail) if options.json else _as_text(detail))
    return failures.DONE


def _as_text(detail: CustomerDetail) -> str:
    row = detail.customer
    facts = [
        ("customer", row.customer_id),
        ("status", row.status),
        ("wallet", row.wallet_address),
        ("escrow", row.escrow_contract_id),
        ("balance", dollars(row.current_balance_usd_cents)),
        ("this month", f"{dollars(row.current_month_charged_usd_cents)} of {limit_words(row.max_monthly_usd_cents)}"),
        ("unpaid bills", f"{detail.unpaid_bills}, {dollars(detail.unpaid_usd_cents)}"),
        ("live keys", row.live_keys),
        ("since", row.created_at),
    ]
    lines = [f"{name:<13} {cell(value)}" for name, value in facts]
    services = [(s.service_type, s.tier, "enabled" if s.is_enabled else "disabled") for s in detail.services]
    spans = [(span.service, span.tier, span.since, span.until) for span in detail.spans]
    days = [(day.day, f"{day.requests:,}", f"{day.bytes:,}", cell(day.charged_usd)) for day in detail.usage]
    return "\n".join(
        [
            *lines,
            "",
            table(("service", "tier", "state"), services),
            "",
            table(("on", "tier", "since", "until"), spans),
            "",
            table(("day (UTC)", "requests", "bytes", "billed USD"), days),
        ]
    )

"""opsdeck usage reconcile"""

from argparse import Namespace
from datetime import timedelta

from console import failures
from console.cli.context import Context, Subparsers, add_command
from console.cli.customers import customer_id
from console.cli.log_options import moment
from console.cli.output import emit, narrate, table, to_json
from db.source import CheckedHour, Difference


def add(commands: Subparsers) -> None:
    verbs = add_command(commands, "usage", "check metered usage against the log").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    reconcile = add_command(verbs, "reconcile", "recount the log against the usage records; exit 1 on differences")
    reconcile.add_argument("--customer", metavar="ID", type=customer_id, help="only this customer")
    reconcile.add_argument(
        "--from",
        metavar="T",
        dest="start",
        type=moment,
        help="first hour, such as 2026-11-20T14:00Z (the oldest logged)",
    )
    reconcile.add_argument("--to", metavar="T", dest="end", type=moment, help="end, exclusive (now)")
    reconcile.add_argument("--json", action="store_true", help="one JSON document")
    reconcile.set_defaults(run=run_reconcile)


async def run_reconcile(context: Context, options: Namespace) -> int:
    checked: list[CheckedHour] = []
    async with context.source() as source:
        mark = await source.reconciliation.watermark()
        oldest = mark.oldest or mark.now - timedelta(hours=1)
        start, end = max(options.start or oldest, oldest), options.end or mark.now
        async for hour in source.reconciliation.hours(start, end, rule=mark.rule, customer=options.customer):
            checked.append(hour)
        uncounted = await source.reconciliation.uncounted_rows()
    differences = [difference for hour in checked for difference in hour.differences]
    if options.json:
        emit(
            to_json(
                {
                    "checked_hours": len(checked),
                    "differences": differences,
                    "unbilled": sum(hour.unbilled_requests for hour in checked),
                    "uncounted_rows": uncounted,
                    "watermark_age_s": mark.age_s,
                }
            )
        )
    else:
        _print(differences)
        age = "never caught up" if mark.age_s is None else f"caught up {mark.age_s:,.0f} s ago"
        narrate(
            f"{len(checked)} hours checked, {len(differences)} differences; metering {age}, "
            f"{uncounted:,} rows not counted yet"
        )
    return failures.FAILED if differences else failures.DONE


def _print(differences: list[Difference]) -> None:
    if not differences:
        return
    headers = ("hour (UTC)", "customer", "service", "logged", "metered", "logged bytes", "metered bytes")
    emit(
        table(
            headers,
            [
                (
                    row.hour,
                    row.customer_id,
                    row.service,
                    row.logged_requests,
                    row.metered_requests,
                    row.logged_bytes,
                    row.metered_bytes,
                )
                for row in differences
            ],
        )
    )

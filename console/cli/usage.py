"""opsdeck usage show | reconcile"""

import csv
import io
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import timedelta
from typing import Any

from console import failures
from console.cli.context import Context, Subparsers, add_command
from console.cli.log_options import moment
from console.cli.output import emit, narrate, table, to_json
from console.cli.values import customer_id, rows_at_most
from console.failures import word
from console.moments import parse_age
from console.settings import UsageError
from console.usage_words import (
    change,
    counted_in,
    share,
    totals,
    value,
    window_words,
)
from db.errors import Refused, TimedOut
from db.moments import rfc3339
from db.source import (
    USAGE_DIMENSIONS,
    CheckedHour,
    Difference,
    Measures,
    Top,
    TopBy,
    TopRow,
    Usage,
    filter_from_options,
    usage_between,
)

_STEPS = 72  # with the axis they fit into 80 columns


def add(commands: Subparsers) -> None:
    verbs = add_command(commands, "usage", "chart usage, check what is metered against the log").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    _add_show(add_command(verbs, "show", "traffic, errors, latency and bytes over time, and who uses most"))
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


def _add_show(show: ArgumentParser) -> None:
    begin = show.add_mutually_exclusive_group()
    begin.add_argument(
        "--window", metavar="W", type=_window, default=timedelta(days=1), help="1h, 24h, 7d, 30d … (24h)"
    )
    begin.add_argument("--from", metavar="T", dest="start", type=moment, help="begin, such as 2026-11-20T14:00Z")
    show.add_argument("--to", metavar="T", dest="end", type=moment, help="end, exclusive (now)")
    for name in USAGE_DIMENSIONS:
        show.add_argument(f"--{name}", metavar="VALUE", help=f"only this {name}, a comma list, or ! in front to negate")
    show.add_argument("--by", choices=tuple(TopBy), type=TopBy, default=TopBy.CUSTOMER, help="what to rank (customer)")
    show.add_argument("--top", metavar="N", type=rows_at_most, default=10, help="how many of them (10)")
    show.add_argument("--steps", metavar="N", type=_steps, default=_STEPS, help=f"steps at the most ({_STEPS})")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document")
    form.add_argument("--csv", action="store_true", help="the steps as CSV")
    show.set_defaults(run=run_show)


def _window(text: str) -> timedelta:
    try:
        return parse_age(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _steps(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 2000:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 to 2000")
    return int(text)


async def run_show(context: Context, options: Namespace) -> int:
    told = {name: given for name in USAGE_DIMENSIONS if (given := getattr(options, name)) is not None}
    try:
        question = usage_between(options.start, options.end, options.window, filter_from_options(told))
    except ValueError as error:
        raise UsageError(str(error)) from None
    top, trouble = None, ""
    async with context.source() as source:
        usage = await source.charts.usage(question, columns=options.steps)
        try:
            top = await source.ranking.top(question, options.by, limit=options.top)
        except (TimedOut, Refused) as error:
            trouble = word(error).text
    if options.json:
        emit(to_json(_document(usage, top)))
    elif options.csv:
        emit(_csv([_step(usage, number) for number in range(usage.window.steps)]))
    else:
        emit(_picture(usage, top))
    if usage.behind is not None:
        narrate(f"rollups end at {rfc3339(usage.behind)}; run `opsdeck jobs run roll-up-traffic`")
    if trouble:
        narrate(f"no top by {options.by}: {trouble}")
    return failures.FAILED if trouble else failures.DONE


def _counts(measures: Measures) -> dict[str, Any]:
    return {
        "requests": measures.requests,
        **{kind.value.replace("-", "_"): count for kind, count in measures.classes.items()},
        "status_4xx": measures.client_errors,
        "status_5xx": measures.server_errors,
        "bytes": measures.bytes,
    }


def _measures(measures: Measures) -> dict[str, Any]:
    found = measures.latencies
    p50, p95, p99 = (None, None, None) if found is None else (found.p50, found.p95, found.p99)
    return {**_counts(measures), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}


def _step(usage: Usage, number: int) -> dict[str, Any]:
    return {"start": rfc3339(usage.start_of(number)), **_measures(usage.points[number])}


def _document(usage: Usage, top: Top | None) -> dict[str, Any]:
    window = usage.window
    ranked = top and {
        "by": top.by,
        "start": top.window.start,
        "end": top.window.end,
        "from_log": top.from_log,
        "count": top.count,
        "requests": top.requests,
        "rows": [{"value": row.value, "label": value(top.by, row), **_row(row)} for row in top.rows],
    }
    return {
        "start": window.start,
        "end": window.end,
        "step_s": window.step // timedelta(seconds=1),
        "origin": usage.origin,
        "complete_until": usage.behind,
        "total": _measures(usage.total),
        "before": usage.before and {"start": window.before, **_counts(usage.before)},
        "steps": [_step(usage, number) for number in range(window.steps)],
        "top": ranked,
    }


def _row(row: TopRow) -> dict[str, Any]:
    return {"requests": row.requests, "errors": row.errors, "share": round(row.share, 6), "before": row.before}


def _csv(rows: list[dict[str, Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().rstrip("\n")


def _picture(usage: Usage, top: Top | None) -> str:
    """The numbers of the screen, its traffic and latency as lines, and the top."""
    parts = [window_words(usage), *(line for line in totals(usage) if line)]
    if usage.total.requests:
        from console.usage_plots import latency_plot, requests_plot
        from widgets.line_plot import GLYPHS, HEAD, draw

        classes = [
            f"{kind} {count:,} ({share(count, usage.total.requests)})" for kind, count in usage.total.classes.items()
        ]
        parts += ["   ".join(classes[:3]), "   ".join(classes[3:])]
        for title, plot in (("requests", requests_plot(usage)), ("latency", latency_plot(usage))):
            legend = "   ".join(f"{glyph} {line.label}" for glyph, line in zip(GLYPHS, plot.lines, strict=False))
            parts += ["", f"{title}, {plot.unit}   {legend}", *draw(plot, HEAD + _STEPS, 8)]
    if top is not None:
        logged = f", {counted_in(top)}" if top.from_log else ""
        rows = [
            (
                value(top.by, row),
                f"{row.requests:,}",
                f"{100 * row.share:.1f} %",
                change(row.requests, row.before),
                share(row.errors, row.requests),
            )
            for row in top.rows
        ]
        parts += ["", table((f"top by {top.by}{logged}", "requests", "share", "change", "errors"), rows)]
    return "\n".join(line.rstrip() for line in parts)


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

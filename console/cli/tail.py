"""opsdeck tail: the request log in the shell."""

import asyncio
import csv
import io
import select
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from datetime import timedelta

from console import failures
from console.cli.context import Context, Subparsers, add_command
from console.cli.log_options import add_filters, duration, filter_of
from console.cli.output import cell, emit, narrate, to_json
from console.cli.values import rows_at_most
from console.failures import word
from db.errors import TimedOut, Unavailable
from db.moments import rfc3339
from db.source import (
    RECORD_COLUMNS,
    Cursor,
    RequestFilter,
    RequestRow,
    Source,
    as_record,
    format_fingerprint,
)

_POLL_S = 0.25
_STEP = 20_000  # rows at a time, whatever piled up while a slow reader or a busy machine held the tail back


def add(commands: Subparsers) -> None:
    parser = add_command(commands, "tail", "the live request log; filters take ! in front to negate")
    add_filters(parser)
    parser.add_argument(
        "--since", metavar="AGE", type=duration, help="start this far back: 90s, 15m, 2h, or as far as the log is kept"
    )
    parser.add_argument("--no-follow", action="store_true", help="print what is there and end")
    parser.add_argument(
        "--limit", metavar="N", type=rows_at_most, help="rows at the most (the newest ones with --no-follow)"
    )
    parser.add_argument(
        "--format", metavar="F", choices=tuple(_FORMATS), default="text", help="text, csv, or json, one object a line"
    )
    parser.set_defaults(run=run_tail)


def _text(row: RequestRow) -> str:
    record = as_record(row)
    words = [
        rfc3339(row.timestamp),
        f"{row.status_code:>4} {record['traffic_class']:<12} {row.time_total:>6} ms {record['server_name']}",
        f"{record['service_type_name']:<8} {record['network_name']:<8}",
        f"{'-' if row.customer_id is None else row.customer_id:>10}",
        format_fingerprint(row.api_key_fp) if row.api_key_fp else f"{'-':<10}",
        f"{cell(row.path_prefix):<10} {cell(row.termination_state or '--')}",
    ]
    if row.repeat > 1:
        words.append(f"×{row.repeat}")
    if row.event_type:
        words.append(record["event_type_name"])
    return " ".join(words)


def _csv_line(values: Sequence[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(values)
    return buffer.getvalue()


def _csv(row: RequestRow) -> str:
    return _csv_line(list(as_record(row).values()))


def _json(row: RequestRow) -> str:
    return to_json(as_record(row), indent=None)


_FORMATS: dict[str, Callable[[RequestRow], str]] = {"text": _text, "json": _json, "csv": _csv}


class _Printer:
    """Writes rows until the limit; `full` then."""

    def __init__(self, options: Namespace) -> None:
        self._format = _FORMATS[options.format]
        self._left: int | None = options.limit
        self._header = options.format == "csv"

    @property
    def full(self) -> bool:
        return self._left == 0

    def write(self, rows: Sequence[RequestRow]) -> None:
        if self._left is not None:
            rows = rows[: self._left]
            self._left -= len(rows)
        lines = [self._format(row) for row in rows]
        if rows and self._header:
            lines.insert(0, _csv_line(RECORD_COLUMNS))
            self._header = False
        if lines:
            emit("\n".join(lines))
            sys.stdout.flush()  # who follows through a pipe wants the rows now


def _reader_left() -> bool:
    """Whether nobody reads stdout any more: on a quiet log the next row, and with it the error, may be hours away."""
    watched = select.poll()
    watched.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in watched.poll(0))


async def run_tail(context: Context, options: Namespace) -> int:
    wanted = filter_of(options)
    printer = _Printer(options)
    async with context.source() as source:
        if options.no_follow:
            await _print_once(source, wanted, printer, options)
            return failures.DONE
        await _follow(source, wanted, printer, options.since)
    return failures.DONE


async def _print_once(source: Source, wanted: RequestFilter, printer: _Printer, options: Namespace) -> None:
    cursor = (await source.requests.begin(wanted, recent=0)).cursor
    if options.since is not None and options.limit is None:
        async for rows in source.requests.forward(cursor, options.since):
            printer.write(rows)
        return
    history = await source.requests.latest(wanted, within=options.since, limit=options.limit or 20)
    printer.write(history)


async def _catch_up(source: Source, cursor: Cursor, since: timedelta, printer: _Printer) -> None:
    """Prints what was committed before the cursor, a page at a time, each once also across lost connections."""
    start = cursor.at - since
    while not printer.full:
        try:
            async for page in source.requests.onward(cursor, start):
                printer.write(page.rows)
                start = page.reached
                if printer.full:
                    return
        except Unavailable as error:
            narrate(f"{word(error).sentence}; trying again, nothing is skipped")
            await asyncio.sleep(1)
        else:
            return


async def _follow(source: Source, wanted: RequestFilter, printer: _Printer, since: timedelta | None) -> None:
    """Prints every row committed from now on exactly once, also across lost connections."""
    batch = await source.requests.begin(wanted, recent=0 if since else 10)
    printer.write(batch.rows)
    if since is not None:
        await _catch_up(source, batch.cursor, since, printer)
    cursor, lost = batch.cursor, False
    while not printer.full:
        await asyncio.sleep(0 if batch.more else _POLL_S)
        if _reader_left():
            return
        try:
            batch = await source.requests.since(cursor, step=_STEP)
        except (Unavailable, TimedOut) as error:
            if not lost:
                narrate(f"{word(error).sentence}; trying again, nothing is skipped")
            lost = True
            await asyncio.sleep(1)
            continue
        if lost:
            narrate("connected again")
            lost = False
        printer.write(batch.rows)
        cursor = batch.cursor

"""opsdeck export: a span of the request log into a file."""

import asyncio
import signal
import sys
from argparse import Namespace
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

from console import failures
from console.cli.context import Context, Subparsers, add_command
from console.cli.log_options import add_filters, duration, filter_of, moment
from console.cli.output import emit, narrate, to_json
from console.settings import UsageError
from db.errors import Refused
from db.source import Export, ExportFormat, ExportProgress, checked_reason

_TELL_S = 2.0  # between lines of progress where they cannot be overwritten


def add(commands: Subparsers) -> None:
    parser = add_command(
        commands,
        "export",
        "a span of the request log into a file; filters as in tail",
        "The file is readable by its owner alone, and there whole or not at all. Each export goes on record.",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="a new file; .csv, .json or .jsonl says the format")
    add_filters(parser)
    parser.add_argument("--since", metavar="AGE", type=duration, help="from this far back until now (1h)")
    parser.add_argument("--from", metavar="T", dest="start", type=moment, help="start, such as 2026-11-20T14:00Z")
    parser.add_argument("--to", metavar="T", dest="end", type=moment, help="end, exclusive (now)")
    parser.add_argument(
        "--format", metavar="F", choices=tuple(ExportFormat), help="csv, json (one document) or jsonl (a line a row)"
    )
    parser.add_argument("--anonymise", action="store_true", help="pseudonyms instead of customers and keys")
    parser.add_argument("--addresses", action="store_true", help="client addresses readable; wants --reason")
    parser.add_argument("--reason", help="why; goes on record (required with --addresses)")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.set_defaults(run=run_export)


def _format(options: Namespace) -> ExportFormat:
    try:
        return ExportFormat(options.format or options.file.suffix[1:].lower())
    except ValueError:
        raise UsageError(f"{options.file} does not say its format; pass --format csv, json or jsonl") from None


def _span(options: Namespace, now: datetime) -> tuple[datetime, datetime]:
    start = options.start or now - (options.since or timedelta(hours=1))
    return start, options.end or now


def _check(options: Namespace) -> None:
    """Raises UsageError before anything is opened."""
    if options.since is not None and (options.start is not None or options.end is not None):
        raise UsageError("--since reaches until now; give --from and --to instead of it")
    if options.end is not None and options.start is None:
        raise UsageError("--to wants --from as well")
    if options.addresses and options.anonymise:
        raise UsageError("--anonymise leaves no client addresses; give it or --addresses")
    if options.addresses or options.reason is not None:
        try:
            checked_reason(options.reason or "")
        except Refused as error:
            raise UsageError(
                f"{'--addresses wants a --reason' if options.addresses else '--reason'}: {error}"
            ) from None


class _Narrator:
    """Progress on stderr: one line that is written over on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._overwrites = sys.stderr.isatty()
        self._told = monotonic()

    def tell(self, progress: ExportProgress) -> None:
        text = f"{progress.rows:,} rows, {progress.share:.0%}, at {progress.reached:%Y-%m-%d %H:%M:%S} UTC"
        if self._overwrites:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
        elif monotonic() - self._told > _TELL_S:
            self._told = monotonic()
            narrate(text)

    def end(self) -> None:
        """Leaves the line."""
        if self._overwrites:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


async def run_export(context: Context, options: Namespace) -> int:
    _check(options)
    wanted, format_ = filter_of(options), _format(options)
    _end_like_an_interrupt()
    narrator = _Narrator()
    async with context.source() as source:
        cursor = (await source.requests.begin(wanted, recent=0)).cursor
        start, end = _span(options, cursor.at)
        order = Export(
            cursor=cursor,
            path=options.file,
            format=format_,
            start=start,
            end=end,
            anonymise=options.anonymise,
            addresses=options.addresses,
            reason=options.reason or "",
        )
        try:
            done = await source.export(order, narrator.tell)
        finally:
            narrator.end()
    operation = f"\noperation {done.operation_id}" if done.operation_id else ""
    emit(to_json(done) if options.json else done.sentence + operation)
    return failures.DONE


def _end_like_an_interrupt() -> None:
    """A lost terminal and a plain kill leave no half of a file either."""
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)

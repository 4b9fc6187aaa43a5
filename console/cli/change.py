"""How a command that changes something asks, does and reports."""

import sys
from argparse import ArgumentParser, Namespace

from console import failures
from console.cli.context import Context
from console.cli.output import emit, narrate, to_json
from console.settings import UsageError
from db.source import Operation, Outcome, Preview, Source


def add_options(parser: ArgumentParser) -> None:
    """--reason, --yes and --json: the same for every change."""
    parser.add_argument("--reason", help="why; goes on record (required)")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print the receipt as JSON")


def _ask(preview: Preview) -> bool:
    narrate(preview.title)
    for line in (*preview.changes, *preview.consequences):
        narrate(f"  {line}")
    sys.stderr.write(f"{preview.verb}? Type yes to go on: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"


def check(options: Namespace) -> None:
    """Raises UsageError, before anything is opened, when the command could not go through."""
    if not options.reason:
        raise UsageError("--reason is missing: say why, so that the audit record can tell. Nothing was changed")
    if not options.yes and not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on: pass --yes if you mean it. Nothing was changed")


async def carry_out(context: Context, options: Namespace, source: Source, operation: Operation) -> int:
    """Previews, asks, performs with what was previewed, prints the receipt."""
    preview = await source.preview(operation)
    if not options.yes and not _ask(preview):
        narrate("Nothing was changed.")
        return failures.FAILED
    receipt = await source.perform(operation.at_version(preview.version), options.reason)
    if options.json:
        emit(to_json(receipt))
    else:
        (emit if receipt.done else narrate)(f"{receipt.message}\noperation {receipt.operation_id}")
    return failures.DONE if receipt.outcome is Outcome.DONE else failures.FAILED

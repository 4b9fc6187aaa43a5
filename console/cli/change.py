"""How a command that changes something asks, does and reports."""

import signal
import sys
from argparse import ArgumentParser, Namespace
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from console import failures
from console.cli.context import Context, Subparsers, add_command
from console.cli.output import emit, narrate, to_json
from console.settings import UsageError
from db.errors import Denied, Refused
from db.source import Operation, Outcome, Preview, Receipt, Source, checked_reason


def add_verb(verbs: Subparsers, name: str, summary: str) -> ArgumentParser:
    """A command that changes something: with --reason, --yes and --json, and a --help that says that it asks."""
    asks = "Shows what would change and asks before it does it. Every try goes on record."
    parser = add_command(verbs, name, summary, asks)
    parser.add_argument("--reason", metavar="TEXT", help="why; goes on record (required)")
    parser.add_argument("--yes", action="store_true", help="do not ask; required where there is no terminal to ask on")
    parser.add_argument("--json", action="store_true", help="print the receipt as JSON")
    return parser


def _ask(preview: Preview) -> bool:
    narrate(preview.title)
    for line in (*preview.changes, *preview.consequences):
        narrate(f"  {line}")
    sys.stderr.write(f"{preview.verb}? Type yes to go on: ")
    sys.stderr.flush()
    with _interruptible():
        return sys.stdin.readline().strip() == "yes"


@contextmanager
def _interruptible() -> Generator[None]:
    """Lets ctrl-c end a blocking read. asyncio's own handler waits for the next await, which is behind the answer."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def check(context: Context, options: Namespace) -> None:
    """Raises UsageError or Denied, before anything is opened, when the command could not go through."""
    if not (options.reason or "").strip():
        raise UsageError("--reason is missing: say why, so that the audit record can tell. Nothing was changed")
    try:
        checked_reason(options.reason)
    except Refused as error:
        raise UsageError(f"--reason: {error}. Nothing was changed") from None
    if not options.yes and not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on: pass --yes if you mean it. Nothing was changed")
    settings = context.settings()
    if settings.read_only:
        remedy = "leave out --read-only" if getattr(options, "read_only", False) else "set read_only = false in it"
        raise Denied(f"profile {settings.profile_name!r} is read-only here; {remedy}. Nothing was changed")


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of what was to follow a change: `document` goes beside the receipt in JSON."""

    done: bool
    sentence: str
    document: dict[str, Any]


Then = Callable[[Receipt], Awaitable[Followed]]


async def carry_out(
    context: Context, options: Namespace, source: Source, operation: Operation, then: Then | None = None
) -> int:
    """Previews, asks, performs with what was previewed, prints the receipt; `then` comes once the change is done."""
    preview = await source.propose(operation, options.reason)
    if isinstance(preview, Receipt):
        return _report(options, preview)
    if not options.yes and not _ask(preview):
        narrate("Nothing was changed.")
        return failures.FAILED
    receipt = await _perform(source, operation.at_version(preview.version), options.reason)
    if then is None or not receipt.done:
        return _report(options, receipt)
    if not options.json:
        _report(options, receipt)  # at once: what follows may take its time
    document: Mapping[str, Any] = {}
    try:
        followed = await then(receipt)
        document = followed.document
    finally:  # also when it is interrupted: the receipt may hold a key
        if options.json:
            _report(options, receipt, document)
    data = followed.done and not options.json and receipt.issued is None  # a key is all that stdout has
    (emit if data else narrate)(followed.sentence)
    return failures.DONE if followed.done else failures.FAILED


async def _perform(source: Source, operation: Operation, reason: str) -> Receipt:
    try:
        return await source.perform(operation, reason)
    except CancelledError:  # ctrl-c
        look = f"opsdeck audit list --action {operation.action}"
        narrate(f"Interrupted while it was carried out: it may have happened. Look: {look}")
        raise


def _report(options: Namespace, receipt: Receipt, more: Mapping[str, Any] | None = None) -> int:
    """stdout gets the receipt, or the key that was made: then the receipt is narration."""
    issued = receipt.issued.get_secret_value() if receipt.issued else None
    if options.json:
        told = {field.name: getattr(receipt, field.name) for field in fields(receipt) if field.name != "issued"}
        emit(to_json(told | dict(more or {}) | ({} if issued is None else {"key": issued})))
    else:
        tell = emit if receipt.done and issued is None else narrate
        tell(f"{receipt.message}\noperation {receipt.operation_id}")
    if issued is not None:
        narrate("This is the only time that the key is told: hand it on, and keep no copy.")
        if not options.json:
            emit(issued)
    return failures.DONE if receipt.outcome is Outcome.DONE else failures.FAILED

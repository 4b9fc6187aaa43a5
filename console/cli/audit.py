"""opsdeck audit list | verify | checkpoint"""

from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from uuid import UUID

from console import failures
from console.cli.context import Context, Subparsers, add_command
from console.cli.output import emit, narrate, table, to_json
from console.cli.paging import add_paging, narrate_cut
from console.cli.values import customer_id, fingerprint
from console.settings import UsageError
from db.page import Page
from db.source import AuditRow, AuditSearch, Checkpoint, parse_audit_search

_TELL_S = 2.0


def _operation(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise UsageError(f"--operation {text!r} is not an operation id (a UUID, as receipts show it)") from None


def _subject(text: str) -> str:
    """A subject as the record has it: fingerprints there are decimal, and shown everywhere in hex."""
    kind, _, value = text.partition(":")
    if kind == "key":
        return f"key:{fingerprint(value)}"
    if kind == "customer":
        return f"customer:{customer_id(value)}"
    raise UsageError("--subject wants key:FINGERPRINT or customer:ID; other kinds are searched for as words")


def _checkpoint(text: str) -> Checkpoint:
    try:
        return Checkpoint.parse(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def add(commands: Subparsers) -> None:
    verbs = add_command(commands, "audit", "who did what, when and why").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    listing = add_command(verbs, "list", "list the record, newest first")
    listing.add_argument(
        "search",
        metavar="WORD",
        nargs="*",
        help="action:NAME, who:NAME, outcome:refused, key:FP, customer:ID, job:NAME, !action:run-job; they combine",
    )
    listing.add_argument("--subject", metavar="S", type=_subject, help="key:FINGERPRINT or customer:ID")
    listing.add_argument("--action", metavar="NAME", help="revoke-keys, suspend-customer, run-job, export-requests …")
    listing.add_argument(
        "--operation", metavar="ID", type=_operation, help="one operation, by the id that its receipt shows"
    )
    add_paging(listing, "seq", "SEQ", int, rows=50)
    listing.add_argument("--json", action="store_true", help="one JSON document")
    listing.set_defaults(run=list_audit)
    verify = add_command(
        verbs,
        "verify",
        "check the chain of hashes; exit 1 when a row was changed, removed or inserted",
        "A record that its owner cut off at the end or wrote anew as a whole shows only against a checkpoint that was "
        "kept elsewhere.",
    )
    verify.add_argument(
        "--checkpoint",
        metavar="SEQ:HASH",
        type=_checkpoint,
        action="append",
        default=[],
        help="what `audit checkpoint` printed earlier; may be given several times",
    )
    verify.add_argument("--json", action="store_true", help="one JSON document")
    verify.set_defaults(run=verify_audit)
    checkpoint = add_command(
        verbs, "checkpoint", "print SEQ:HASH of the newest row, to be kept where no database role can write"
    )
    checkpoint.add_argument("--json", action="store_true", help="one JSON document")
    checkpoint.set_defaults(run=print_checkpoint)


def _search(options: Namespace) -> AuditSearch:
    try:
        search = parse_audit_search(" ".join(options.search))
    except ValueError as error:
        raise UsageError(str(error)) from error
    if options.subject is not None:
        search = replace(search, subject=options.subject)
    return replace(search, actions=(*search.actions, options.action)) if options.action is not None else search


async def list_audit(context: Context, options: Namespace) -> int:
    search = _search(options)
    async with context.source() as source:
        if options.operation is not None:
            row = await source.audit.find(options.operation)
            page = Page((row,) if row else (), complete=True)
        else:
            page = await source.audit.page(search, before=options.before, limit=options.limit)
    if options.json:
        emit(to_json({"audit": page.rows, "complete": page.complete}))
    elif page.rows:
        emit(_table(page.rows))
        narrate_cut(page, lambda row: row.seq)
    if not page.rows:
        narrate("nothing is on record for that")
        return failures.FAILED if options.operation is not None else failures.DONE
    return failures.DONE


def _table(rows: Sequence[AuditRow]) -> str:
    headers = ("seq", "at (UTC)", "who", "from", "role", "action", "subjects", "outcome", "reason")
    return table(
        headers,
        [
            (
                row.seq,
                row.at,
                row.os_user,
                row.ssh_source,
                row.db_role,
                row.action,
                " ".join(row.subjects[:3]) + (f" +{len(row.subjects) - 3}" if len(row.subjects) > 3 else ""),
                row.outcome,
                row.reason or row.message,
            )
            for row in rows
        ],
    )


async def verify_audit(context: Context, options: Namespace) -> int:
    told = monotonic()

    def tell(rows: int, of: int) -> None:
        nonlocal told
        if monotonic() - told >= _TELL_S:
            told = monotonic()
            narrate(f"{rows:,} of {of:,} rows checked")

    async with context.source() as source:
        found = await source.audit.verify(options.checkpoint, tell)
    if options.json:
        emit(to_json(found))
    else:
        for finding in found.findings:
            emit(finding.sentence)
        if found.more:
            emit(f"and {found.more:,} more findings")
        if found.sound:
            against = "".join(f", as at checkpoint {one.seq}" for one in found.checkpoints)
            emit(f"{found.rows:,} rows follow on each other{against}; the record ends with {found.head}")
            if not found.checkpoints:
                narrate("Whether its end was cut off, only a checkpoint can tell: see opsdeck audit verify --help.")
    return failures.DONE if found.sound else failures.FAILED


async def print_checkpoint(context: Context, options: Namespace) -> int:
    async with context.source() as source:
        found = await source.audit.checkpoint()
    emit(to_json(found) if options.json else str(found))
    return failures.DONE

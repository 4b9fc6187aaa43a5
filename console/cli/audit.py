"""opsdeck audit list"""

from argparse import Namespace
from uuid import UUID

from console import failures
from console.cli.context import Context, Subparsers, add_command
from console.cli.customers import customer_id
from console.cli.keys import fingerprint
from console.cli.output import emit, narrate, table, to_json
from console.cli.values import rows_at_most
from console.settings import UsageError


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
    raise UsageError("--subject wants key:FINGERPRINT or customer:ID")


def add(commands: Subparsers) -> None:
    verbs = add_command(commands, "audit", "who did what, when and why").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    listing = add_command(verbs, "list", "list the record, newest first")
    listing.add_argument("--subject", metavar="S", type=_subject, help="key:FINGERPRINT or customer:ID")
    listing.add_argument("--action", metavar="NAME", help="revoke-keys, suspend-customer, resume-customer")
    listing.add_argument(
        "--operation", metavar="ID", type=_operation, help="one operation, by the id that its receipt shows"
    )
    listing.add_argument("--before", metavar="SEQ", type=int, help="go on behind the page that ended with this seq")
    listing.add_argument("--limit", metavar="N", type=rows_at_most, default=50, help="rows at the most (50)")
    listing.add_argument("--json", action="store_true", help="one JSON document")
    listing.set_defaults(run=list_audit)


async def list_audit(context: Context, options: Namespace) -> int:
    async with context.source() as source:
        if options.operation is not None:
            row = await source.audit.find(options.operation)
            rows = (row,) if row else ()
        else:
            rows = await source.audit.page(
                subject=options.subject, action=options.action, before=options.before, limit=options.limit
            )
    if options.json:
        emit(to_json({"audit": rows}))
    elif rows:
        headers = ("seq", "at (UTC)", "who", "from", "role", "action", "subjects", "outcome", "reason")
        emit(
            table(
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
                        row.reason,
                    )
                    for row in rows
                ],
            )
        )
    if not rows:
        narrate("nothing is on record for that")
        return failures.FAILED if options.operation is not None else failures.DONE
    return failures.DONE

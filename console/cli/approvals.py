"""opsdeck approvals list | approve | reject | require | waive"""

from argparse import ArgumentTypeError, Namespace
from uuid import UUID

from console import failures
from console.cli import change
from console.cli.context import Context, Subparsers, add_command
from console.cli.log_options import duration
from console.cli.output import emit, narrate, table, to_json
from console.cli.paging import add_paging, listed_id, narrate_cut
from console.settings import UsageError
from db.page import page_of
from db.source import Approve, Operation, Reject, RequireSecondPerson, Rule, actions


def _request(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not the id of a request; look with `opsdeck approvals list`") from None


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 6:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 to 999999")
    return int(text)


def add(commands: Subparsers) -> None:
    verbs = add_command(
        commands, "approvals", "what takes a second person: asked for, approved, required"
    ).add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = add_command(verbs, "list", "list requests, newest first, and what takes a second person")
    listing.add_argument("--all", action="store_true", help="also those that are used, rejected or expired")
    add_paging(listing, "request", "ID", listed_id)
    listing.add_argument("--json", action="store_true", help="one JSON document")
    listing.set_defaults(run=list_approvals)
    for name, summary in (
        ("approve", "let the one who asked carry it out, once; takes another login than theirs"),
        ("reject", "end a request"),
    ):
        parser = change.add_verb(verbs, name, summary)
        parser.add_argument("request", metavar="ID", type=_request, help="the request, as `approvals list` shows it")
        parser.set_defaults(run=decide)
    require = change.add_verb(verbs, "require", "set that an action takes a second person")
    require.add_argument("action", metavar="ACTION", help="as in the audit record: revoke-keys, suspend-customer …")
    require.add_argument("--above", metavar="N", type=_number, default=0, help="only for more than N at once (0)")
    require.add_argument("--expires", metavar="AGE", type=duration, default="1h", help="how long it can be used (1h)")
    require.add_argument(
        "--told-apart-by",
        choices=("role", "login"),
        default="role",
        help="by database login, or, where that is shared, by operating system user, which is on trust (role)",
    )
    require.set_defaults(run=set_rule)
    waive = change.add_verb(verbs, "waive", "set that an action takes one person again")
    waive.add_argument("action", metavar="ACTION", help="as in the audit record")
    waive.set_defaults(run=set_rule)


async def list_approvals(context: Context, options: Namespace) -> int:
    async with context.source() as source:
        before = None if options.before is None else await source.approvals.find(options.before)
        if before is None and options.before is not None:
            raise UsageError(f"--before: there is no request {options.before}")
        asked = await source.approvals.page(open_only=not options.all, before=before, limit=options.limit + 1)
        rules = await source.approvals.rules()
    page = page_of(asked, options.limit)
    if options.json:
        emit(to_json({"requests": page.rows, "complete": page.complete, "rules": rules}))
        return failures.DONE
    if page.rows:
        headers = ("request", "state", "asked (UTC)", "expires (UTC)", "by", "what", "why")
        emit(
            table(
                headers,
                [
                    (one.approval_id, one.said, one.asked_at, one.expires_at, one.asker, one.command, one.reason)
                    for one in page.rows
                ],
            )
        )
    else:
        narrate("nothing is asked for")
    for rule in rules:
        narrate(f"{rule.action} takes {rule.words}")
    narrate_cut(page, lambda one: one.approval_id)
    return failures.DONE


async def decide(context: Context, options: Namespace) -> int:
    kind = Approve if options.verb == "approve" else Reject
    return await _carry_out(context, options, kind(options.request))


async def set_rule(context: Context, options: Namespace) -> int:
    rule = None
    if options.action not in actions():
        raise UsageError(f"there is no action {options.action!r}; there are {', '.join(sorted(actions()))}")
    if options.verb == "require":
        rule = Rule(options.action, options.above, options.expires.total_seconds(), options.told_apart_by)
    return await _carry_out(context, options, RequireSecondPerson(options.action, rule))


async def _carry_out(context: Context, options: Namespace, operation: Operation) -> int:
    change.check(context, options)
    async with context.source() as source:
        return await change.carry_out(context, options, source, operation)

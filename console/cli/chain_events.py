"""opsdeck chain events | event | assign | accept | keep | dismiss | reopen"""

from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from console import failures
from console.cli import change
from console.cli.context import Context, Subparsers, add_command
from console.cli.output import cell, emit, table, to_json
from console.cli.paging import add_paging, narrate_cut
from console.cli.which_customer import WHO, the_one, who
from console.settings import UsageError
from console.words import exact_dollars
from db.chain.values import ChainValueError
from db.source import (
    EVENT_OUTCOMES,
    AcceptChain,
    AssignEvent,
    BookedRow,
    DismissEvent,
    EventId,
    EventSearch,
    InboxEvent,
    InboxEventDetail,
    KeepBooks,
    Operation,
    ReopenEvent,
    Source,
)

Made = Callable[[Source, Namespace], Awaitable[Operation]]

_EVENT = "DIGEST:INDEX as `opsdeck chain events` lists it; the digest in Base58 or hex"
_OPEN = ("unmatched", "conflict")


def add(verbs: Subparsers) -> None:
    events = add_command(verbs, "events", "list escrow events by what became of them, the newest first")
    events.add_argument(
        "--outcome", choices=("open", "all", *EVENT_OUTCOMES), default="open", help="(open: unmatched and conflict)"
    )
    events.add_argument("--customer", metavar="ID", type=who, help="only of this customer's account and books")
    add_paging(events, "event", "EVENT", _event, option="--after")
    events.add_argument("--json", action="store_true", help="one JSON document")
    events.set_defaults(run=list_events)
    show = add_command(verbs, "event", "show one escrow event beside what the books have under its transaction")
    show.add_argument("event", metavar="EVENT", type=_event, help=_EVENT)
    show.add_argument("--json", action="store_true", help="one JSON document")
    show.set_defaults(run=show_event)
    assign = _add(verbs, "assign", "say whose an unmatched event is: it comes onto the books", _assigned)
    assign.add_argument("--customer", metavar="ID", type=who, required=True, help=WHO)
    _add(verbs, "accept", "settle a conflict for the chain: mirror and ledger are set right", _made(AcceptChain))
    _add(verbs, "keep", "settle a conflict for the books: they stay as they are", _made(KeepBooks))
    _add(verbs, "dismiss", "say that an unmatched event belongs onto no books", _made(DismissEvent))
    _add(verbs, "reopen", "take back that an event was dismissed or the books kept: it waits again", _made(ReopenEvent))


def _add(verbs: Subparsers, name: str, summary: str, made: Made) -> ArgumentParser:
    parser = change.add_verb(verbs, name, summary)
    parser.add_argument("event", metavar="EVENT", type=_event, help=_EVENT)
    run: Callable[[Context, Namespace], Awaitable[int]] = partial(_run, made)
    parser.set_defaults(run=run)
    return parser


def _event(text: str) -> EventId:
    try:
        return EventId.parse(text)
    except ChainValueError as error:
        raise UsageError(str(error)) from None


def _made(operation: Callable[[EventId], Operation]) -> Made:
    async def make(_: Source, options: Namespace) -> Operation:
        return operation(options.event)

    return make


async def _assigned(source: Source, options: Namespace) -> Operation:
    return AssignEvent(options.event, customer_id=await the_one(source, options.customer))


async def _run(made: Made, context: Context, options: Namespace) -> int:
    change.check(context, options)
    async with context.source() as source:
        return await change.carry_out(context, options, source, await made(source, options))


async def _find(source: Source, event: EventId) -> InboxEventDetail:
    found = await source.escrow_events.find(event)
    if found is None:
        raise UsageError(f"there is no event {event} in the inbox; look with `opsdeck chain events --outcome all`")
    return found


async def list_events(context: Context, options: Namespace) -> int:
    known = {"open": _OPEN, "all": EVENT_OUTCOMES}
    async with context.source() as source:
        customer = None if options.customer is None else await the_one(source, options.customer)
        search = EventSearch(known.get(options.outcome, (options.outcome,)), customer)
        after = None if options.after is None else (await _find(source, options.after)).event
        page = await source.escrow_events.page(search, after=after, limit=options.limit)
    if options.json:
        emit(to_json({"events": [_document(row) for row in page.rows], "complete": page.complete}))
        return failures.DONE
    headers = ("event", "at (UTC)", "type", "amount", "customer", "account", "outcome", "note")
    emit(
        table(
            headers,
            [
                (row.id, row.at, row.name, row.amount, row.customer_id, row.account_id, row.outcome, row.note)
                for row in page.rows
            ],
        )
    )
    narrate_cut(page, lambda row: row.id, option="--after")
    return failures.DONE


async def show_event(context: Context, options: Namespace) -> int:
    async with context.source() as source:
        found = await _find(source, options.event)
    if options.json:
        differs = [{"differs": sorted(row.differences(found.event))} for row in found.books]
        books = [_row_document(row) | more for row, more in zip(found.books, differs, strict=True)]
        emit(to_json(_document(found.event) | {"fields": found.fields, "books": books}))
    else:
        emit(_as_text(found))
    return failures.DONE


def _document(row: InboxEvent) -> dict[str, Any]:
    amount = row.amount
    return {
        "event": str(row.id),
        "digest": str(row.id.digest),
        "index": row.event_index,
        "checkpoint": row.checkpoint,
        "at": row.at,
        "type": row.type,
        "account": row.account_id,
        "owner": row.owner,
        "customer_id": row.customer_id,
        "kind": row.kind,
        "amount": None if amount is None else {"unit": type(amount).__name__.lower(), "value": str(amount.value)},
        "amount_usd": row.amount_usd,
        "rest_usdc": row.rest_usdc,
        "outcome": row.outcome,
        "note": row.note,
    }


def _row_document(row: BookedRow) -> dict[str, Any]:
    return {
        "book": row.book,
        "row": row.row,
        "customer_id": row.customer_id,
        "kind": row.kind,
        "amount": row.amount,
        "asset": row.asset,
        "at": row.at,
        "stands_for": row.stands_for,
        "taken_back": row.taken_back,
        "words": row.words,
    }


def _as_text(found: InboxEventDetail) -> str:
    event = found.event
    facts = [
        ("event", event.id),
        ("at", event.at),
        ("checkpoint", f"{event.checkpoint:,}"),
        ("type", event.type),
        ("account", event.account_id),
        ("made by", event.owner),
        ("customer", event.customer_id),
        ("amount", event.amount),
        ("outcome", event.outcome),
        ("note", event.note),
        ("fields", to_json(found.fields, indent=None)),
    ]
    rows = [("chain", event.customer_id, event.kind, exact_dollars(event.amount_usd), event.at, "", "")]
    rows += [
        (
            row.book,
            row.customer_id,
            row.kind,
            exact_dollars(row.amount) + ("" if row.asset in ("USD", "USDC") else f" {row.asset}"),
            row.at,
            "taken back" if row.taken_back else "-" if row.stands_for is None else f"event {row.stands_for}",
            ", ".join(sorted(row.differences(event))),
        )
        for row in found.books
    ]
    headers = ("", "customer", "kind", "amount", "at (UTC)", "stands for", "differs in")
    return "\n".join([*(f"{name:<10} {cell(value)}" for name, value in facts), "", table(headers, rows)])

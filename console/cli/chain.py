"""opsdeck chain status | sync | reconcile | adjust | follow, and what chain_events adds"""

import re
from argparse import Namespace
from typing import Any

from console import failures
from console.cli import chain_events, change, jobs
from console.cli.context import Context, Subparsers, add_command
from console.cli.output import cell, emit, narrate, table, to_json
from console.cli.which_customer import WHO, the_one, who
from console.settings import UsageError
from console.words import dollars, exact_dollars
from db.chain.errors import NOT_CONFIGURED, ChainError
from db.chain.models import ServiceInfo
from db.chain.units import Cents
from db.chain.values import ChainValueError, ObjectId, parse_object_id
from db.source import AdjustToChain, CheckedAccount, EscrowChain, FollowUpgrade, Inbox

_OUTCOMES = ("mirrored", "already_recorded", "noted", "unmatched", "conflict", "dismissed")
_TELL_EVERY = 100  # accounts


def add(commands: Subparsers) -> None:
    verbs = add_command(
        commands, "chain", "the escrow on the chain: how it is read, and held against the books"
    ).add_subparsers(dest="verb", required=True, metavar="VERB")
    status = add_command(verbs, "status", "tell how the node is, how far it was read, and what became of the events")
    status.add_argument("--json", action="store_true", help="one JSON document")
    status.set_defaults(run=show_status)
    sync = add_command(verbs, "sync", "read what is new on the chain: runs the job sync-chain")
    sync.add_argument("--dry-run", action="store_true", help="say what would change, change nothing")
    sync.add_argument("--json", action="store_true", help="print the run as JSON")
    sync.set_defaults(run=jobs.run_jobs, job="sync-chain", all_due=False, rebaseline=False)
    reconcile = add_command(
        verbs,
        "reconcile",
        "hold the accounts on the chain against the books; exit 1 on differences",
        "Nothing is corrected.",
    )
    reconcile.add_argument("--customer", metavar="ID", type=who, help=f"only {WHO}")
    reconcile.add_argument(
        "--json", action="store_true", help="one JSON document, with the accounts without difference"
    )
    reconcile.set_defaults(run=run_reconcile)
    chain_events.add(verbs)
    adjusting = change.add_verb(verbs, "adjust", "bring ledger and cached balance of a customer to what the chain says")
    adjusting.add_argument("customer", metavar="ID", type=who, help=WHO)
    adjusting.add_argument("--to", metavar="USD", type=_balance, help="only if it comes to this, such as 70.00")
    adjusting.set_defaults(run=adjust)
    following = change.add_verb(verbs, "follow", "put the account on record that a customer's account was upgraded to")
    following.add_argument("customer", metavar="ID", type=who, help=WHO)
    following.add_argument("--to", metavar="ACCOUNT", type=_account, help="only if it goes on as this one")
    following.set_defaults(run=follow)


async def adjust(context: Context, options: Namespace) -> int:
    change.check(context, options)
    async with context.source() as source:
        customer = await the_one(source, options.customer)
        return await change.carry_out(context, options, source, AdjustToChain(customer, options.to))


async def follow(context: Context, options: Namespace) -> int:
    change.check(context, options)
    async with context.source() as source:
        customer = await the_one(source, options.customer)
        return await change.carry_out(context, options, source, FollowUpgrade(customer, options.to))


def _account(text: str) -> ObjectId:
    try:
        return parse_object_id(text, "--to")
    except ChainValueError as error:
        raise UsageError(str(error)) from None


def _balance(text: str) -> Cents:
    found = re.fullmatch(r"(-?)\$?([0-9]{1,12})\.([0-9]{2})", text)
    if found is None:
        raise UsageError(f"--to {text!r} is not a balance in dollars and cents, such as 70.00")
    cents = Cents(int(found[2] + found[3]))
    return -cents if found[1] else cents


async def show_status(context: Context, options: Namespace) -> int:
    async with context.source() as source:
        if source.chain is None:
            emit(to_json({"configured": False}) if options.json else NOT_CONFIGURED)
            return failures.DONE
        inbox = await source.escrow_books.inbox()
        stopped = await source.escrow_events.stopped()
        node, trouble = await _node(source.chain)
        target = str(source.chain.reader.config.target)
    if options.json:
        emit(to_json(_status(target, node, trouble, inbox) | {"stopped": stopped}))
    else:
        lines = _status_lines(target, node, trouble, inbox)
        if stopped is not None:
            lines.append(("stopped", stopped))
        emit("\n".join(f"{name:<16} {cell(value)}" for name, value in lines))
    return failures.FAILED if trouble else failures.DONE


async def _node(chain: EscrowChain) -> tuple[ServiceInfo | None, str | None]:
    """What the node says of itself, or what is wrong with it."""
    try:
        return await chain.reader.service_info(), None
    except ChainError as error:
        return None, str(error)


def _status(target: str, node: ServiceInfo | None, trouble: str | None, inbox: Inbox) -> dict[str, Any]:
    return {
        "configured": True,
        "target": target,
        "reachable": node is not None,
        "trouble": trouble,
        "node": node,
        "cursor": inbox.cursor,
        "outcomes": {outcome: inbox.outcomes.get(outcome, 0) for outcome in _OUTCOMES},
    }


def _status_lines(target: str, node: ServiceInfo | None, trouble: str | None, inbox: Inbox) -> list[tuple[str, object]]:
    lines: list[tuple[str, object]] = [("target", target), ("reachable", f"no: {trouble}" if trouble else True)]
    if node is not None:
        kept = f"{node.lowest:,} to {node.tip:,}"
        lines += [("chain", f"{node.chain} ({node.chain_id})"), ("checkpoints", kept), ("newest", node.tip_at)]
    if inbox.cursor is None or inbox.cursor.target is None:  # a run began, and has kept nothing yet
        lines.append(("read", "nothing yet; run `opsdeck chain sync`"))
    else:
        lines += [("read up to", f"{inbox.cursor.covered:,}"), ("last read", inbox.cursor.updated_at)]
    return [*lines, *((outcome.replace("_", " "), f"{inbox.outcomes.get(outcome, 0):,}") for outcome in _OUTCOMES)]


async def run_reconcile(context: Context, options: Namespace) -> int:
    checked: list[CheckedAccount] = []
    stopped: ChainError | None = None
    async with context.source() as source:
        customer = None if options.customer is None else await the_one(source, options.customer)
        try:
            async for account in source.escrow_books.checked(customer):
                checked.append(account)
                if len(checked) % _TELL_EVERY == 0:
                    narrate(f"{len(checked):,} accounts checked")
        except ChainError as error:
            if not checked:
                raise
            stopped = error
        moves = source.chain is not None and source.chain.charges_move_usdc
    wrong = [account for account in checked if account.drifts]
    if options.json:
        told = {"charges_move_usdc": moves, "accounts": checked, "differences": len(wrong)}
        emit(to_json(told | {"complete": stopped is None, "trouble": stopped and str(stopped)}))
        return failures.FAILED if wrong or stopped else failures.DONE
    shown = checked if options.customer is not None else wrong
    if shown:
        headers = (
            "customer",
            "on chain",
            "less charges",
            "ledger",
            "cached",
            "mirror",
            "differs",
            "by",
            "likely cause",
        )
        emit(table(headers, [row for account in shown for row in _rows(account)]))
    model = "moves" if moves else "does not move"
    narrate(f"{len(checked):,} accounts checked, {len(wrong):,} with differences; a charge {model} USDC")
    if stopped is not None:
        narrate(f"the rest was not checked: {stopped}")
    return failures.FAILED if wrong or stopped else failures.DONE


def _rows(account: CheckedAccount) -> list[tuple[object, ...]]:
    """A line for each difference, the figures on the first."""
    books = account.books
    figures = (
        books.customer_id,
        exact_dollars(account.balance_usd),
        exact_dollars(account.after_charges_usd),
        dollars(books.ledger_cents),
        dollars(books.cached_cents),
        exact_dollars(books.mirror_usd) + (" + other coins" if books.unvalued else ""),
    )
    told = [(drift.figure, drift.words or "-", drift.cause) for drift in account.drifts] or [("nothing", "-", "-")]
    return [
        ((*figures, *one) if number == 0 else (books.customer_id, *[""] * 5, *one)) for number, one in enumerate(told)
    ]

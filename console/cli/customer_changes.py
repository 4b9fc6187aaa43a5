"""opsdeck customers suspend | resume | close | enable | disable | tier | limit | end-sessions"""

from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from functools import partial

from console.cli import change, publishing
from console.cli.context import Context, Subparsers
from console.cli.which_customer import WHO, the_one, who
from console.settings import UsageError
from db.source import (
    TIERS,
    ChangeTier,
    CloseCustomer,
    DisableService,
    EnableService,
    EndSessions,
    KeyService,
    Operation,
    ResumeCustomer,
    SetMonthlyLimit,
    Source,
    SuspendCustomer,
    parse_limit,
)

Made = Callable[[Source, Namespace, int], Operation]


def add(verbs: Subparsers) -> None:
    _add(verbs, "suspend", "stop serving a customer (reversible)", lambda _, __, customer: SuspendCustomer(customer))
    _add(verbs, "resume", "serve a suspended customer again", lambda _, __, customer: ResumeCustomer(customer))
    _add(
        verbs,
        "close",
        "close a customer for good, once no key is live and no service enabled",
        lambda _, __, customer: CloseCustomer(customer),
    )
    _add_service(
        _add(
            verbs,
            "enable",
            "enable a service that a customer has",
            lambda _, given, customer: EnableService(customer, KeyService(given.service)),
        )
    )
    _add_service(
        _add(
            verbs,
            "disable",
            "disable one service of a customer",
            lambda _, given, customer: DisableService(customer, KeyService(given.service)),
        )
    )
    tier = _add(
        verbs,
        "tier",
        "change the tier of a service",
        lambda source, given, customer: ChangeTier(customer, KeyService(given.service), given.tier, source.prices),
    )
    _add_service(tier)
    tier.add_argument("tier", metavar="TIER", choices=TIERS, help=", ".join(TIERS))
    limit = _add(verbs, "limit", "set the most a customer is charged in a month", _limit, access=False)
    limit.add_argument("limit", metavar="USD", help="such as 500 or 12.50; default, the price book's; unlimited")
    _add(
        verbs,
        "end-sessions",
        "sign a customer out of its dashboard",
        lambda _, __, customer: EndSessions(customer),
        access=False,
    )


def _add(verbs: Subparsers, name: str, summary: str, made: Made, *, access: bool = True) -> ArgumentParser:
    """One verb; `access` says that gateways have to learn of it."""
    parser = change.add_verb(verbs, name, summary)
    parser.add_argument("customer", metavar="ID", type=who, help=WHO)
    if access:
        publishing.add_publish(parser, "with it")
    run: Callable[[Context, Namespace], Awaitable[int]] = partial(_run, made)
    parser.set_defaults(run=run, publish=False)
    return parser


def _add_service(parser: ArgumentParser) -> None:
    names = [service.value for service in KeyService]
    parser.add_argument("service", metavar="SERVICE", choices=names, help=", ".join(names))


def _limit(source: Source, given: Namespace, customer: int) -> SetMonthlyLimit:
    try:
        cents = parse_limit(given.limit, source.prices)
    except ValueError as error:
        raise UsageError(f"{error}. Nothing was changed") from None
    return SetMonthlyLimit(customer, cents, source.prices)


async def _run(made: Made, context: Context, options: Namespace) -> int:
    change.check(context, options)
    async with context.source() as source:
        operation = made(source, options, await the_one(source, options.customer))
        return await publishing.carry_out(context, options, source, operation)

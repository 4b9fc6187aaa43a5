"""opsdeck keys create | rotate | revoke | undo-revoke"""

from argparse import ArgumentTypeError, Namespace
from datetime import timedelta

from console.cli import change, publishing
from console.cli.context import Context, Subparsers
from console.cli.values import KEY, customer_id, fingerprint
from console.moments import parse_age
from console.settings import UsageError
from db.errors import Refused
from db.source import (
    CreateKey,
    KeyMetadata,
    KeyService,
    RevokeKeys,
    RotateKey,
    Source,
    UndoRevocation,
)


def add(verbs: Subparsers) -> None:
    create = change.add_verb(verbs, "create", "create a key; stdout is the full key, this once and never again")
    create.add_argument("--customer", metavar="ID", type=customer_id, required=True, help="whose key it is")
    create.add_argument("--service", required=True, choices=[service.value for service in KeyService])
    create.add_argument("--network", choices=("mainnet", "testnet"), default="mainnet", help="(mainnet)")
    create.add_argument("--access", choices=("open", "permission"), default="open", help="(open)")
    create.add_argument(
        "--source",
        choices=("derived", "imported"),
        help="with --access permission: where the seal key is from (derived)",
    )
    create.add_argument(
        "--group", metavar="N", type=int, choices=range(8), default=1, help="1 production (the default), 2 development"
    )
    publishing.add_publish(create, "with it")
    create.set_defaults(run=create_key)
    rotate = change.add_verb(verbs, "rotate", "a new key now, the end of the old one after an overlap")
    rotate.add_argument("key", metavar="FP", type=fingerprint, help=KEY)
    rotate.add_argument(
        "--overlap",
        metavar="SPAN",
        type=_span,
        default=timedelta(days=1),
        help="90m, 12h, 7d: until then both are served (1d)",
    )
    publishing.add_publish(rotate, "with the new key")
    rotate.set_defaults(run=rotate_key)
    revoke = change.add_verb(verbs, "revoke", "revoke one key or many, all or none")
    revoke.add_argument("keys", metavar="FP", nargs="+", type=fingerprint, help=KEY)
    revoke.add_argument("--customer", metavar="ID", type=customer_id, help="refuse keys of any other customer")
    publishing.add_publish(revoke, "without them")
    revoke.set_defaults(run=revoke_keys)
    undo = change.add_verb(verbs, "undo-revoke", "take a revocation back, while no gateway has applied it")
    undo.add_argument("keys", metavar="FP", nargs="+", type=fingerprint, help=KEY)
    publishing.add_publish(undo, "with them")
    undo.set_defaults(run=undo_revocation)


def _span(text: str) -> timedelta:
    try:
        return parse_age(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a span of time; write 90m, 12h or 7d") from None


async def _need_secret(source: Source) -> None:
    """Raises UsageError without an API secret: then nothing was tried that would have to go on record."""
    try:
        await source.need_secret()
    except Refused as error:
        raise UsageError(f"{error}. Nothing was changed") from None


async def create_key(context: Context, options: Namespace) -> int:
    change.check(context, options)
    if options.source is not None and options.access == "open":
        raise UsageError("--source goes with --access permission. Nothing was changed")
    source_bit = (options.source or "derived") if options.access == "permission" else None
    metadata = KeyMetadata(0, options.network, options.access, source_bit, options.group)
    async with context.source() as source:
        await _need_secret(source)
        operation = CreateKey(options.customer, KeyService(options.service), metadata, source.issuer)
        return await publishing.carry_out(context, options, source, operation)


async def rotate_key(context: Context, options: Namespace) -> int:
    change.check(context, options)
    async with context.source() as source:
        await _need_secret(source)
        operation = RotateKey(options.key, options.overlap, source.issuer)
        return await publishing.carry_out(context, options, source, operation)


async def revoke_keys(context: Context, options: Namespace) -> int:
    change.check(context, options)
    wanted = tuple(dict.fromkeys(options.keys))
    operation = RevokeKeys(wanted, customer_id=options.customer)
    async with context.source() as source:
        return await publishing.carry_out(context, options, source, operation)


async def undo_revocation(context: Context, options: Namespace) -> int:
    change.check(context, options)
    wanted = tuple(dict.fromkeys(options.keys))
    async with context.source() as source:
        return await publishing.carry_out(context, options, source, UndoRevocation(wanted))

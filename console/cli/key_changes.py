"""opsdeck keys create | rotate | revoke | undo-revoke"""

from argparse import ArgumentTypeError, Namespace
from datetime import timedelta
from functools import partial

from console.cli import change
from console.cli.context import Context, Subparsers
from console.cli.publishing import add_publish, check_place
from console.cli.values import KEY, customer_id, fingerprint
from console.moments import parse_age
from console.settings import UsageError
from db.errors import DatabaseError, Refused
from db.moments import rfc3339
from db.source import (
    CreateKey,
    KeyMetadata,
    KeyService,
    Receipt,
    RevokeKeys,
    RotateKey,
    Source,
    UndoRevocation,
    format_fingerprint,
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
    rotate.set_defaults(run=rotate_key)
    revoke = change.add_verb(verbs, "revoke", "revoke one key or many, all or none")
    revoke.add_argument("keys", metavar="FP", nargs="+", type=fingerprint, help=KEY)
    revoke.add_argument("--customer", metavar="ID", type=customer_id, help="refuse keys of any other customer")
    add_publish(revoke, "without them")
    revoke.set_defaults(run=revoke_keys)
    undo = change.add_verb(verbs, "undo-revoke", "take a revocation back, while no gateway has applied it")
    undo.add_argument("keys", metavar="FP", nargs="+", type=fingerprint, help=KEY)
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
        return await change.carry_out(context, options, source, operation)


async def rotate_key(context: Context, options: Namespace) -> int:
    change.check(context, options)
    async with context.source() as source:
        await _need_secret(source)
        operation = RotateKey(options.key, options.overlap, source.issuer)
        return await change.carry_out(context, options, source, operation)


async def revoke_keys(context: Context, options: Namespace) -> int:
    change.check(context, options)
    wanted = tuple(dict.fromkeys(options.keys))
    operation = RevokeKeys(wanted, customer_id=options.customer)
    async with context.source() as source:
        if not options.publish:
            return await change.carry_out(context, options, source, operation)
        await check_place(source)
        return await change.carry_out(context, options, source, operation, partial(_publish, source, operation))


async def _publish(source: Source, operation: RevokeKeys, receipt: Receipt) -> change.Followed:
    """Publishes, and looks into the newest version for the keys."""
    trouble: str | None = None
    try:
        run = await source.publish_vault(f"after operation {receipt.operation_id}")
        trouble = run.message if run.outcome != "succeeded" else None
        since = receipt.at or run.started_at
        absences = [await source.vaults.absence(key, since) for key in operation.fingerprints]
    except DatabaseError as error:
        trouble, absences = str(error), []
    versions = [absence.version for absence in absences if absence is not None]
    if trouble is not None or len(versions) < len(operation.fingerprints):
        why = trouble or "the newest version still holds a key"
        return change.Followed(
            False, f"The revocation stands, but no vault without it is proven: {why}", {"vault": None}
        )
    version = max(versions, key=lambda version: version.seq)
    one = format_fingerprint(operation.fingerprints[0])
    holds = f"no longer holds {one}" if len(versions) == 1 else f"holds none of the {len(versions)} keys"
    sentence = f"Version {version.seq} of the ma vault, published {rfc3339(version.published_at)}, {holds}"
    return change.Followed(True, sentence, {"vault": version})


async def undo_revocation(context: Context, options: Namespace) -> int:
    change.check(context, options)
    wanted = tuple(dict.fromkeys(options.keys))
    async with context.source() as source:
        return await change.carry_out(context, options, source, UndoRevocation(wanted))

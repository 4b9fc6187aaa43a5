"""--publish: what was changed is handed to the gateways at once."""

from argparse import ArgumentParser, Namespace
from functools import partial

from console.cli import change
from console.cli.context import Context
from console.publishing import publish_change
from console.settings import UsageError
from db.source import Operation, Receipt, Source, VaultError


def add_publish(parser: ArgumentParser, what: str) -> None:
    """The option, for a command that changes what gateways do."""
    parser.add_argument("--publish", action="store_true", help=f"then publish a vault {what}, and say which version")


async def carry_out(context: Context, options: Namespace, source: Source, operation: Operation) -> int:
    """As `change.carry_out`; with --publish the MA vault is published then."""
    if not options.publish:
        return await change.carry_out(context, options, source, operation)
    await check_place(source)
    return await change.carry_out(context, options, source, operation, partial(publish, source))


async def check_place(source: Source) -> None:
    """Raises UsageError when nothing can be published from here."""
    place = await source.vaults.place()
    try:
        place.folder.found("ma")
        place.keys()
    except VaultError as error:
        raise UsageError(f"--publish: {error}. Nothing was changed") from error


async def publish(source: Source, receipt: Receipt, *, vault: str = "ma") -> change.Followed:
    """Publishes what is on record now, and says which version holds it."""
    version, sentence = await publish_change(source, receipt, vault)
    return change.Followed(version is not None, sentence, {"vault": version})

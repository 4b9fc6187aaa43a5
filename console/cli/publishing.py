"""--publish: what was changed is handed to the gateways at once."""

from argparse import ArgumentParser

from console.cli import change
from console.publishing import publish_change
from console.settings import UsageError
from db.source import Receipt, Source, VaultError


def add_publish(parser: ArgumentParser, what: str) -> None:
    """The option, for a command that changes what gateways do."""
    parser.add_argument("--publish", action="store_true", help=f"then publish a vault {what}, and say which version")


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

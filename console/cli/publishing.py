"""--publish: what was changed is handed to the gateways at once."""

from argparse import ArgumentParser

from console.cli import change
from console.settings import UsageError
from db.errors import DatabaseError
from db.moments import rfc3339
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
    try:
        run = await source.publish_vault(f"after operation {receipt.operation_id}", vault)
        version = await source.vaults.find(vault) if run.outcome == "succeeded" else None
        trouble = run.message
    except DatabaseError as error:
        version, trouble = None, str(error)
    if version is None:
        return change.Followed(
            False, f"The change stands, but no vault with it is published: {trouble}", {"vault": None}
        )
    sentence = (
        f"Version {version.seq} of the {vault} vault, published {rfc3339(version.published_at)}, holds the change"
    )
    return change.Followed(True, sentence, {"vault": version})

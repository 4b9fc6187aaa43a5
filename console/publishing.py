"""After a change: the vault that tells the gateways of it is published at once."""

from db.errors import DatabaseError
from db.moments import rfc3339
from db.source import Receipt, Source, VaultVersion


async def publish_change(source: Source, receipt: Receipt, vault: str = "ma") -> tuple[VaultVersion | None, str]:
    """Publishes what is on record now. The version that holds the change, None when there is none; and a sentence."""
    try:
        run = await source.publish_vault(f"after operation {receipt.operation_id}", vault)
        version = await source.vaults.find(vault) if run.outcome == "succeeded" else None
        trouble = run.message
    except DatabaseError as error:
        version, trouble = None, str(error)
    if version is None:
        return None, f"The change stands, but no vault with it is published: {trouble}"
    at = rfc3339(version.published_at)
    return version, f"Version {version.seq} of the {vault} vault, published {at}, holds the change"

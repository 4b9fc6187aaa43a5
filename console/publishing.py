"""After a change: the vault that tells the gateways of it is published at once, and looked into."""

from db.errors import DatabaseError, Refused
from db.moments import utc
from db.source import Receipt, Source, VaultVersion, format_fingerprint


async def publish_change(source: Source, receipt: Receipt, vault: str = "ma") -> tuple[VaultVersion | None, str]:
    """Publishes what is on record now. The version that holds the change, None when there is none; and a sentence."""
    try:
        run = await source.publish_vault(f"after operation {receipt.operation_id}", vault)
        version = await source.vaults.find(vault)
        if run.outcome != "succeeded" or version is None:
            raise Refused(run.message or run.outcome)
        found = await _found(source, version, receipt)
    except DatabaseError as error:
        return None, f"The change stands, but no vault with it is published: {error}"
    return version, f"Version {version.seq} of the {vault} vault, published {utc(version.published_at)}, {found}"


async def _found(source: Source, version: VaultVersion, receipt: Receipt) -> str:
    """What the version says of the keys that were made live or revoked. Raises Refused when it says otherwise."""
    keys: dict[int, bool] = {
        int(subject.removeprefix("key:")): told["is_active"]
        for subject, told in (receipt.after or {}).items()
        if subject.startswith("key:") and "is_active" in told
    }
    if not keys:
        return "holds the change"
    inside = await source.vaults.keys_in(version)
    for fingerprint, live in keys.items():
        if live != (fingerprint in inside):
            says = "does not hold" if live else "still holds"
            raise Refused(f"version {version.seq} {says} {format_fingerprint(fingerprint)}")
    one, many = format_fingerprint(next(iter(keys))), len(keys) > 1
    if any(keys.values()):
        return f"holds the {len(keys)} keys" if many else f"holds {one}"
    return f"holds none of the {len(keys)} keys" if many else f"no longer holds {one}"

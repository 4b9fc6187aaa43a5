"""Creating and rotating keys from a screen: what is typed in the line for it."""

from datetime import timedelta
from typing import get_args

from console.moments import parse_age
from db.source import KeyAccess, KeyMetadata, KeyNetwork, KeyService, KeySource

NEW_KEY_HINT = "seal | grpc | graphql, then testnet, permission, imported, development"
OVERLAP_HINT = "how long both are served: 90m, 12h, 7d"

_GROUPS = {"production": 1, "development": 2}


def parse_new_key(text: str) -> tuple[KeyService, KeyMetadata]:
    """Reads `seal testnet permission imported development`: a service, and what differs from mainnet, open, derived,
    production. Raises ValueError with one sentence."""
    service: KeyService | None = None
    network: KeyNetwork = "mainnet"
    access: KeyAccess = "open"
    source: KeySource | None = None
    group = "production"
    for word in text.lower().split():
        if word in set(KeyService):
            if service not in (None, word):
                raise ValueError("a key is for one service; write one of them")
            service = KeyService(word)
        elif word in get_args(KeyNetwork):
            network = "mainnet" if word == "mainnet" else "testnet"
        elif word in get_args(KeyAccess):
            access = "permission" if word == "permission" else "open"
        elif word in get_args(KeySource):
            source = "imported" if word == "imported" else "derived"
        elif word in _GROUPS:
            group = word
        else:
            raise ValueError(f"{word[:12]!r} is none of testnet, permission, imported, development")
    if service is None:
        raise ValueError(f"for which service? write {', '.join(KeyService)}")
    if source is not None and access == "open":
        raise ValueError(f"an open key has no source; write permission {source}")
    if access == "permission":
        source = source or "derived"
    return service, KeyMetadata(0, network, access, source, _GROUPS[group])


def parse_overlap(text: str) -> timedelta:
    """Reads 90m, 12h, 7d. Raises ValueError with one sentence."""
    try:
        return parse_age(text.strip())
    except ValueError:
        raise ValueError("write how long both keys are served: 90m, 12h or 7d") from None

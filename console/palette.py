"""ctrl-p: jump to anything by name, id, fingerprint or wallet."""

from functools import partial
from typing import cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from console.deck import Deck
from console.places import TOP, Place, recognised

_WORDS = {
    "overview": "Is anything wrong right now?",
    "customers": "Find a customer by id, wallet prefix or status",
    "keys": "Find a key by fingerprint or by the pasted key; revoke",
    "requests": "The live request log",
    "jobs": "Metering and upkeep: run, dry-run, watch, history",
}


class Places(Provider):
    """Screens, and whatever subject the typed text may be."""

    @property
    def _deck(self) -> Deck:
        return cast("Deck", self.app)

    async def discover(self) -> Hits:
        """All screens."""
        for kind in TOP:
            yield DiscoveryHit(kind, partial(self._deck.go, Place(kind)), help=_WORDS[kind])

    async def search(self, query: str) -> Hits:
        """Subjects first: who types an id means it."""
        for place in recognised(query):
            yield Hit(1.0, place.title, partial(self._deck.go, place), help=f"Open {place.kind}")
        matcher = self.matcher(query)
        for kind in TOP:
            if (score := matcher.match(kind)) > 0:
                yield Hit(score, matcher.highlight(kind), partial(self._deck.go, Place(kind)), help=_WORDS[kind])

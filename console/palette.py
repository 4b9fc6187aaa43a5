"""ctrl-p: jump to anything by name, id, fingerprint or wallet."""

from functools import partial
from typing import cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from console.deck import Deck
from console.directory import TOP
from console.places import Place, recognised


class Places(Provider):
    """Screens, and whatever subject the typed text may be."""

    @property
    def _deck(self) -> Deck:
        return cast("Deck", self.app)

    async def discover(self) -> Hits:
        """All screens."""
        for kind, entry in TOP.items():
            yield DiscoveryHit(kind, partial(self._deck.go, Place(kind)), help=entry.answers)

    async def search(self, query: str) -> Hits:
        """Subjects first: who types an id means it."""
        for place in recognised(query):
            yield Hit(1.0, place.title, partial(self._deck.go, place), help=f"Open {place.kind}")
        matcher = self.matcher(query)
        for kind, entry in TOP.items():
            if (score := matcher.match(kind)) > 0:
                yield Hit(score, matcher.highlight(kind), partial(self._deck.go, Place(kind)), help=entry.answers)

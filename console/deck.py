"""What a screen may ask of the app: go somewhere, change something, explain a row, know the header's state."""

from typing import Protocol

from console.exporting import Exporter
from console.live import Live
from console.perform import Performer
from console.places import Place
from console.state import DeckState
from console.taking import Taking
from db.source import Job, RequestRow


class Deck(Protocol):
    """The app as screens see it; they never import it."""

    live: Live
    performer: Performer
    taking: Taking
    exporter: Exporter

    @property
    def deck_state(self) -> DeckState:
        """The header's state, as last known."""
        ...

    async def go(self, place: Place) -> None:
        """Shows a place."""
        ...

    def start_job(self, job: Job, *, dry_run: bool) -> None:
        """Runs a job in the background."""
        ...

    def stop_job(self, job: Job) -> None:
        """Asks a running job to stop."""
        ...

    def explain(self, row: RequestRow) -> None:
        """Opens one request in words."""
        ...

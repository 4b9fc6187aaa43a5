"""Publishing the vaults: who is served, and the encryption keys that customers imported."""

from typing import ClassVar, Self

from db.jobs.job import Job, Run
from db.suiftly.pricing import PriceBook, load_prices
from db.suiftly.vault.place import VaultPlace
from db.suiftly.vault.publish import Publication


class GenerateVault(Job):
    """Publishes a vault when its content changed. `reason` goes on record with it."""

    vault: ClassVar[str]
    lasting: ClassVar[str] = "A version that is published stays, and the gateways serve by it within seconds."

    def __init__(
        self,
        place: VaultPlace | None = None,
        prices: PriceBook | None = None,
        *,
        reason: str = "",
    ) -> None:
        self._place = place or VaultPlace()
        self._prices = prices
        self.reason = reason

    def placed(self, place: VaultPlace, prices: PriceBook) -> Self:
        """The same, to be published there with the limits of this price book."""
        return type(self)(place, prices, reason=self.reason)

    async def run(self, run: Run) -> str:
        publication = Publication(
            run.database, self.vault, self._prices or load_prices(), self._place, run.actor, self.reason
        )
        await run.report("building")
        published = await publication.carry_out(dry_run=run.dry_run)
        if run.explain is not None:
            for change in published.changes:
                run.explain(change.sentence)
        await run.report("published", versions=published.label is not None)
        return published.sentence


class GenerateMaVault(GenerateVault):
    """MA: customers, services, limits, fingerprints of live keys."""

    name: ClassVar[str] = "generate-ma-vault"
    title: ClassVar[str] = "Publish who is served to the gateways, when it changed"
    number: ClassVar[int] = 20
    every_s: ClassVar[int] = 30
    vault: ClassVar[str] = "ma"


class GenerateMmVault(GenerateVault):
    """MM: encryption keys that customers imported."""

    name: ClassVar[str] = "generate-mm-vault"
    title: ClassVar[str] = "Publish imported encryption keys, when they changed"
    number: ClassVar[int] = 21
    every_s: ClassVar[int] = 300
    vault: ClassVar[str] = "mm"

"""Jobs that deal in prices or limits."""

from db.jobs.job import Job
from db.suiftly.pricing import PriceBook, load_prices


class PricedJob(Job):
    """A job that is handed the price book; without one it takes the one that comes with opsdeck."""

    def __init__(self, prices: PriceBook | None = None) -> None:
        self._prices = prices

    @property
    def prices(self) -> PriceBook:
        return self._prices or load_prices()

"""Jobs that deal in prices or limits."""

from db.database import Connection
from db.errors import Refused
from db.jobs.job import Job
from db.suiftly.pricing import PriceBook, load_prices


class PricedJob(Job):
    """A job that is handed the price book; without one it takes the one that comes with opsdeck."""

    def __init__(self, prices: PriceBook | None = None) -> None:
        self._prices = prices

    @property
    def prices(self) -> PriceBook:
        return self._prices or load_prices()

    async def agree(self, connection: Connection) -> None:
        """Raises Refused when this database is billed by another book: two consoles must not bill by two.

        The first to ask decides; AdoptPrices changes it.
        """
        cursor = await connection.execute(
            "UPDATE console.billing SET price_book = coalesce(price_book, %s) RETURNING price_book",
            (self.prices.label,),
        )
        row = await cursor.fetchone()
        if row is not None and row[0] != self.prices.label:
            raise Refused(
                f"this database is billed by the price book {row[0]}, and this profile has {self.prices.label}; "
                f"correct price_book and price_preset, or run `opsdeck billing adopt-prices {self.prices.label}`"
            )

"""A search over the log: it hides nothing and counts its hits."""

from console.parts.log_feed import LogFeed
from db.errors import DatabaseError
from db.source import RequestFilter, Source, parse_request_filter

ERRORS = parse_request_filter("status:5xx,none")
SLOW = parse_request_filter("slower-than:1s")
_COUNTED = 10_000


class LogSearch:
    """What is looked for, within the filter and the window of a feed."""

    def __init__(self, source: Source, feed: LogFeed) -> None:
        self._source = source
        self._feed = feed
        self.sought: RequestFilter | None = None
        self._hits = ""

    @property
    def text(self) -> str:
        """As it was typed, in canonical words."""
        return "" if self.sought is None else " ".join(self.sought.chips())

    @property
    def words(self) -> str:
        """What is looked for and how often it is there; empty without a search."""
        return "" if self.sought is None else f"search {self.text or 'everything'}: {self._hits}"

    def begin(self, sought: RequestFilter | None) -> None:
        """Looks for something else, or for nothing."""
        self.sought, self._hits = sought, "counting …"

    async def count(self) -> None:
        """Counts the hits of the window."""
        sought, window = self.sought, self._feed.window
        if sought is None:
            return
        try:
            hits = await self._source.requests.hits(self._feed.wanted, sought, window.length, at_most=_COUNTED)
        except DatabaseError:
            text = "too many rows to count; a shorter window (keys 1 to 5) helps"
        else:
            text = f"{hits.rows:,}{' or more' if hits.more else ''} hit{'s' * (hits.rows != 1)}"
        if sought is self.sought:
            self._hits = text

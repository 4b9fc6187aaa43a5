"""The request log: what was committed since, and pages back in time."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import LiteralString

from db.capture import BELOW, UNTIL, Mark, below, present, rows_since, span_since, step_beyond
from db.database import Connection, Database
from db.suiftly.log.filter import RequestFilter
from db.suiftly.log.row import RequestRow
from db.suiftly.log.windows import (
    COLUMNS,
    LOG,
    SELECT,
    Forward,
    History,
    KeptLog,
    Question,
    back,
    forth,
    kept,
    pages,
    read,
)

_SPAN: LiteralString = " timestamp BETWEEN %(first)s AND %(last)s AND "
_SAMPLE: LiteralString = " AND (status_code < 100 OR status_code >= 400 OR random() < %(share)s)"

_CUSTOMER: LiteralString = SELECT + "customer_id = %(customer)s AND "
_NEIGHBOURS: LiteralString = (
    "(" + _CUSTOMER + "timestamp BETWEEN %(first)s AND %(at)s ORDER BY timestamp DESC LIMIT %(limit)s) UNION ALL ("
    + _CUSTOMER + "timestamp > %(at)s AND timestamp <= %(last)s ORDER BY timestamp LIMIT %(limit)s)"
)  # fmt: skip

_FAST_CLOCK = timedelta(minutes=5)  # gateways whose clock is ahead write rows of the near future
_AROUND = timedelta(seconds=5)
_AROUND_S = 2.0
_SEARCH_S = 10.0  # for each window of a search
_CATCH_UP_S = 30.0  # after a lost connection a poll reads all that was missed, which may be minutes of log


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a tail stands: every row that `mark` saw was delivered, no other."""

    mark: Mark
    filter: RequestFilter
    at: datetime  # the database's clock at the mark


@dataclass(frozen=True, slots=True)
class Batch:
    """New rows, oldest first, and where to go on."""

    rows: list[RequestRow]
    cursor: Cursor
    reached: datetime  # of begin(): no older row was read; pages back go on from here
    committed: int = 0  # of since(): all that came, whatever the filter says
    passed: int = 0  # of since(): what the filter let through; more than `rows` when they were sampled
    more: bool = False  # of since(): rows that were there already are still to come


@dataclass(frozen=True, slots=True)
class Hits:
    """How many rows meet a search; `more` when there are more than were counted."""

    rows: int
    more: bool


class Requests:
    """Reads haproxy_raw_logs. Every query has a bound: by transaction id or by time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, wanted: RequestFilter, *, recent: int = 200, within: timedelta = timedelta(minutes=15)
    ) -> Batch:
        """The latest rows and a cursor that continues exactly behind them: both of one snapshot."""
        async with self._database.reading(one_snapshot=True, may_lag=True) as connection:
            mark = await present(connection, LOG)
            log = await kept(connection)
            history = await back(connection, wanted.where(), log.now + _FAST_CLOCK, log.start(within), limit=recent)
        return Batch(history.rows[::-1], Cursor(mark, wanted, log.now), history.reached)

    async def since(self, cursor: Cursor, *, at_most: int | None = None, step: int | None = None) -> Batch:
        """Every row committed since the cursor that its filter lets through, once, by time within the batch.

        With `step` of more rows than that only about so many: ask again for the others while `Batch.more`.

        With `at_most` a sample of about so many when there are more; errors (4xx, 5xx, no answer) are never left out.
        """
        condition, parameters = cursor.filter.where()
        async with self._database.reading(_CATCH_UP_S, one_snapshot=True, may_lag=True) as connection:
            mark = await present(connection, LOG)
            now = (await kept(connection)).now
            rows: list[RequestRow] = []
            span = await span_since(connection, LOG, cursor.mark)
            passed = 0
            until = None
            if step is not None and span is not None and span.rows > step:
                until = await step_beyond(connection, LOG, cursor.mark, mark, step)
            if until is not None:
                mark = until
                span = await span_since(connection, LOG, cursor.mark, until)
                condition = BELOW + " AND (" + condition + ")"
            if span is not None:
                parameters |= cursor.mark.parameters() | {"first": span.first, "last": span.last} | below(until)
                condition = _SPAN + "(" + condition + ")"
                if at_most is not None and span.rows > at_most:
                    passed = await _count_news(connection, condition, parameters)
                if at_most is not None and passed > at_most:
                    condition += _SAMPLE
                    parameters["share"] = at_most / passed
                rows = await read(connection, rows_since(COLUMNS, LOG, condition), parameters)
        rows.sort(key=itemgetter(0))
        committed = 0 if span is None else span.rows
        return Batch(rows, Cursor(mark, cursor.filter, now), now, committed, max(passed, len(rows)), until is not None)

    async def latest(self, wanted: RequestFilter, *, within: timedelta | None = None, limit: int) -> list[RequestRow]:
        """The newest `limit` rows, oldest first, not older than `within` (default: all that is kept)."""
        async with self._database.reading(one_snapshot=True, may_lag=True) as connection:
            log = await kept(connection)
            history = await back(connection, wanted.where(), log.now + _FAST_CLOCK, log.start(within), limit=limit)
        return history.rows[::-1]

    async def forward(self, cursor: Cursor, since: timedelta) -> AsyncGenerator[list[RequestRow]]:
        """Rows of the last `since` that were committed before the cursor, by time, a window at a time.

        Together with since(cursor) afterwards: every row once.
        """
        async for page in self.onward(cursor, cursor.at - since):
            yield page.rows

    def onward(self, cursor: Cursor, start: datetime) -> AsyncGenerator[Forward]:
        """The same from a moment on, by pages: after a lost connection go on from where the last one `reached`."""
        return self.within(cursor, start, cursor.at + _FAST_CLOCK)

    async def within(self, cursor: Cursor, start: datetime, end: datetime) -> AsyncGenerator[Forward]:
        """Rows from `start` until before `end` that were committed before the cursor, oldest first, a page at a time.

        Each page is one short query. What is older than the log is kept is not looked for.
        """
        start = max(start, (await self.kept()).since)
        async for page in pages(self._database, _until(cursor.filter, cursor.mark), start, end):
            yield page

    async def before(
        self,
        wanted: RequestFilter,
        moment: datetime,
        *,
        cursor: Cursor | None = None,
        limit: int = 500,
        bound: datetime | None = None,
    ) -> History:
        """The newest rows older than `moment`, back to `bound` (default: all that are kept).

        With `cursor` only rows that were committed before it: those after it a tail has delivered already.
        """
        question = wanted.where() if cursor is None else _until(wanted, cursor.mark)
        async with self._database.reading(one_snapshot=True, may_lag=True) as connection:
            oldest = (await kept(connection)).since
            oldest = oldest if bound is None else max(oldest, bound)
            return await back(connection, question, moment, oldest, limit=limit)

    async def after(self, wanted: RequestFilter, moment: datetime, *, limit: int = 500) -> Forward:
        """The oldest rows at or after `moment`, up to the present."""
        async with self._database.reading(one_snapshot=True, may_lag=True) as connection:
            end = (await kept(connection)).now + _FAST_CLOCK
            return await forth(connection, wanted.where(), moment, end, limit=limit)

    async def kept(self) -> KeptLog:
        """How far back the log is kept."""
        async with self._database.reading(may_lag=True) as connection:
            return await kept(connection)

    async def around(self, row: RequestRow, *, each_side: int = 10) -> list[RequestRow]:
        """The customer's requests within 5 s, nearest first to count and oldest first to read, the row among them."""
        bounds = {
            "customer": row.customer_id,
            "first": row.timestamp - _AROUND,
            "at": row.timestamp,
            "last": row.timestamp + _AROUND,
            "limit": each_side,
        }
        async with self._database.reading(_AROUND_S, may_lag=True) as connection:
            rows = await read(connection, _NEIGHBOURS, bounds)
        # Where a crowd shares its instant the row itself may not be among those that were taken.
        return sorted(rows if row in rows else [*rows, row], key=itemgetter(0))

    async def nearest(
        self, wanted: RequestFilter, sought: RequestFilter, moment: datetime, *, newer: bool
    ) -> RequestRow | None:
        """The next row that meets both filters: older than `moment`, or newer; None when none is kept."""
        condition, parameters = wanted.where()
        also, more = sought.where("s_")
        question = (condition + " AND " + also, parameters | more)
        async with self._database.reading(_SEARCH_S, one_snapshot=True, may_lag=True) as connection:
            log = await kept(connection)
            if newer:
                start = moment + timedelta(microseconds=1)
                found = (await forth(connection, question, start, log.now + _FAST_CLOCK, limit=1)).rows
            else:
                found = (await back(connection, question, moment, log.since, limit=1)).rows
        return found[0] if found else None

    async def hits(
        self, wanted: RequestFilter, sought: RequestFilter, within: timedelta | None, *, at_most: int
    ) -> Hits:
        """How many rows of so long (None: all that are kept) meet both filters, counted up to `at_most`."""
        condition, parameters = wanted.where()
        also, more = sought.where("s_")
        query = (
            "SELECT count(*) FROM (SELECT FROM " + LOG + " WHERE timestamp >= %(start)s AND (" + condition + ") AND ("
            + also + ") LIMIT %(at_most)s) hits"
        )  # fmt: skip
        async with self._database.reading(_SEARCH_S, may_lag=True) as connection:
            bounds = {"start": (await kept(connection)).start(within), "at_most": at_most + 1}
            row = await (await connection.execute(query, parameters | more | bounds)).fetchone()
        rows = int(row[0]) if row else 0
        return Hits(min(rows, at_most), rows > at_most)


async def _count_news(connection: Connection, condition: LiteralString, parameters: dict[str, object]) -> int:
    query: LiteralString = "SELECT count(*) FROM (" + rows_since("timestamp", LOG, condition) + ") news"
    row = await (await connection.execute(query, parameters)).fetchone()
    return int(row[0]) if row else 0


def _until(wanted: RequestFilter, mark: Mark) -> Question:
    """The filter, for rows that were committed before the mark."""
    condition, parameters = wanted.where()
    return "(" + condition + ") AND " + UNTIL, parameters | mark.parameters()

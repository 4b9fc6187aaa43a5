"""The request log: what was committed since, and pages back in time."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import LiteralString

from psycopg.rows import args_row

from db.capture import UNTIL, Mark, present, rows_since, span_since
from db.database import Connection, Database
from db.suiftly.request_filter import RequestFilter
from db.suiftly.request_row import RequestRow

# host() because building address objects costs more than decoding the other 22 columns together.
_COLUMNS: LiteralString = """
    timestamp, customer_id, path_prefix, config_hex, network, server_id, service_type, api_key_fp, fe_type,
    traffic_type, event_type, host(client_ip), key_metadata, status_code, bytes_sent, time_total, time_request,
    time_queue, time_connect, time_response, backend_id, termination_state, repeat
"""
_LOG: LiteralString = "haproxy_raw_logs"
_SELECT: LiteralString = "SELECT " + _COLUMNS + " FROM " + _LOG + " WHERE "
_WINDOW: LiteralString = " timestamp >= %(window_start)s AND timestamp < %(window_end)s AND "
_SPAN: LiteralString = " timestamp BETWEEN %(first)s AND %(last)s AND "
# A page ends with all rows of its last instant: the log has no row number, so this is what makes pages meet exactly.
_NEWEST: LiteralString = " ORDER BY timestamp DESC FETCH FIRST %(limit)s ROWS WITH TIES"

_FIRST_WINDOW = timedelta(seconds=5)
_WIDEST_WINDOW = timedelta(hours=1)
_FAST_CLOCK = timedelta(minutes=5)  # gateways whose clock is ahead write rows of the near future
_CATCH_UP_S = 30.0  # after a lost connection a poll reads all that was missed, which may be minutes of log
RETENTION = timedelta(days=2)


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


@dataclass(frozen=True, slots=True)
class History:
    """Rows back in time, newest first. The next page ends before `reached`; `complete` when the bound was reached."""

    rows: list[RequestRow]
    reached: datetime
    complete: bool


class Requests:
    """Reads haproxy_raw_logs. Every query has a bound: by transaction id or by time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, wanted: RequestFilter, *, recent: int = 200, within: timedelta = timedelta(minutes=15)
    ) -> Batch:
        """The latest rows and a cursor that continues exactly behind them: both of one snapshot."""
        async with self._database.reading(one_snapshot=True, may_lag=True) as connection:
            mark = await present(connection, _LOG)
            now = await _database_time(connection)
            history = await _back(connection, wanted, now + _FAST_CLOCK, now - within, limit=recent)
        return Batch(history.rows[::-1], Cursor(mark, wanted, now), history.reached)

    async def since(self, cursor: Cursor) -> Batch:
        """Every row committed since the cursor that its filter lets through, once, by time within the batch."""
        condition, parameters = cursor.filter.where()
        async with self._database.reading(_CATCH_UP_S, one_snapshot=True, may_lag=True) as connection:
            mark = await present(connection, _LOG)
            now = await _database_time(connection)
            rows: list[RequestRow] = []
            span = await span_since(connection, _LOG, cursor.mark)
            if span is not None:
                reader = connection.cursor(row_factory=args_row(RequestRow), binary=True)
                query = rows_since(_COLUMNS, _LOG, _SPAN + "(" + condition + ")")
                bounds = {"first": span[0], "last": span[1]}
                await reader.execute(query, cursor.mark.parameters() | bounds | parameters)
                rows = await reader.fetchall()
        rows.sort(key=itemgetter(0))
        return Batch(rows, Cursor(mark, cursor.filter, now), now)

    async def latest(self, wanted: RequestFilter, *, within: timedelta | None = None, limit: int) -> list[RequestRow]:
        """The newest `limit` rows, oldest first, not older than `within` (default: the retention)."""
        async with self._database.reading(one_snapshot=True, may_lag=True) as connection:
            now = await _database_time(connection)
            newest = now + _FAST_CLOCK
            history = await _back(connection, wanted, newest, now - (within or RETENTION), limit=limit)
        return history.rows[::-1]

    async def forward(self, cursor: Cursor, since: timedelta) -> AsyncGenerator[list[RequestRow]]:
        """Rows of the last `since` that were committed before the cursor, by time, a window at a time.

        Together with since(cursor) afterwards: every row once.
        """
        condition, parameters = cursor.filter.where()
        parameters = parameters | cursor.mark.parameters()
        query = _SELECT + _WINDOW + "(" + condition + ") AND " + UNTIL + " ORDER BY timestamp"
        start, end, width = cursor.at - min(since, RETENTION), cursor.at + _FAST_CLOCK, _FIRST_WINDOW
        while start < end:
            window = {"window_start": start, "window_end": min(start + width, end)}
            async with self._database.reading(may_lag=True) as connection:
                reader = connection.cursor(row_factory=args_row(RequestRow), binary=True)
                await reader.execute(query, window | parameters)
                rows = await reader.fetchall()
            yield rows
            start += width
            # Windows follow the traffic: some ten thousand rows each, whatever the rate.
            width = max(_FIRST_WINDOW, width / 2) if len(rows) > 20_000 else min(2 * width, _WIDEST_WINDOW)

    async def before(
        self, wanted: RequestFilter, moment: datetime, *, cursor: Cursor | None = None, limit: int = 500
    ) -> History:
        """The newest rows older than `moment`, back to the retention bound.

        With `cursor` only rows that were committed before it: those after it a tail has delivered already.
        """
        async with self._database.reading(one_snapshot=True, may_lag=True) as connection:
            bound = await _database_time(connection) - RETENTION
            return await _back(connection, wanted, moment, bound, limit=limit, mark=cursor and cursor.mark)


async def _database_time(connection: Connection) -> datetime:
    row = await (await connection.execute("SELECT now()")).fetchone()
    return row[0] if row else datetime.now(UTC)


async def _back(
    connection: Connection,
    wanted: RequestFilter,
    moment: datetime,
    bound: datetime,
    *,
    limit: int,
    mark: Mark | None = None,
) -> History:
    """Reads windows back from `moment`, each four times as wide, until `limit` rows are there or `bound` is reached.

    Narrow first: on a busy log a few seconds fill a page. It gives up after as many rows as there are, never
    after a time: the statement timeout ends each window.
    """
    condition, parameters = wanted.where()
    if mark is not None:
        condition += " AND " + UNTIL
        parameters = parameters | mark.parameters()
    query = _SELECT + _WINDOW + "(" + condition + ")" + _NEWEST
    reader = connection.cursor(row_factory=args_row(RequestRow), binary=True)
    rows: list[RequestRow] = []
    width = _FIRST_WINDOW
    while moment > bound and limit > 0:
        start = max(moment - width, bound)
        left = limit - len(rows)
        await reader.execute(query, {"window_start": start, "window_end": moment, "limit": left, **parameters})
        found = await reader.fetchall()
        rows += found
        if len(found) >= left:
            return History(rows, found[-1].timestamp, complete=False)
        moment = start
        width = min(4 * width, _WIDEST_WINDOW)
    return History(rows, max(moment, bound), complete=moment <= bound)

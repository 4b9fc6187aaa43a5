"""Rows of the request log by windows of time: narrow at first, wider where there are few.

On a busy log a few seconds fill a page. A page ends with all rows of its last instant: the log has no row number, so
this is what makes pages meet exactly.
"""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from psycopg.rows import args_row

from db.database import Connection, Database
from db.errors import TimedOut
from db.suiftly.log.row import RequestRow

LOG: LiteralString = "haproxy_raw_logs"
# host() because building address objects costs more than decoding the other 22 columns together.
COLUMNS: LiteralString = """
    timestamp, customer_id, path_prefix, config_hex, network, server_id, service_type, api_key_fp, fe_type,
    traffic_type, event_type, host(client_ip), key_metadata, status_code, bytes_sent, time_total, time_request,
    time_queue, time_connect, time_response, backend_id, termination_state, repeat
"""
SELECT: LiteralString = "SELECT " + COLUMNS + " FROM " + LOG + " WHERE "
WINDOW: LiteralString = " timestamp >= %(window_start)s AND timestamp < %(window_end)s AND "
_NEWEST: LiteralString = " ORDER BY timestamp DESC FETCH FIRST %(limit)s ROWS WITH TIES"
_OLDEST: LiteralString = " ORDER BY timestamp FETCH FIRST %(limit)s ROWS WITH TIES"

_FIRST = timedelta(seconds=5)
_WIDEST = timedelta(hours=1)
_INSTANT = timedelta(microseconds=1)
_PAGE = 10_000  # rows of one query of pages()

Question = tuple[LiteralString, dict[str, object]]
"""A condition and its parameters."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Rows forward in time, oldest first. The next page begins at `reached`; `complete` when it is the present."""

    rows: list[RequestRow]
    reached: datetime
    complete: bool


@dataclass(frozen=True, slots=True)
class History:
    """Rows back in time, newest first. The next page ends before `reached`; `complete` when the bound was reached."""

    rows: list[RequestRow]
    reached: datetime
    complete: bool


@dataclass(frozen=True, slots=True)
class KeptLog:
    """How far back the log is kept, and the present to which that belongs, by the database's clock."""

    since: datetime
    now: datetime

    def start(self, within: timedelta | None) -> datetime:
        """Where so much of it begins; None: all of it."""
        return self.since if within is None else max(self.since, self.now - within)


async def kept(connection: Connection) -> KeptLog:
    """As the database has it set. What is older may still be there, until maintain-partitions comes by."""
    row = await (await connection.execute("SELECT now() - retention, now() FROM console.metering")).fetchone()
    assert row is not None  # noqa: S101 - the migration writes the only row
    return KeptLog(*row)


async def read(connection: Connection, query: LiteralString, parameters: Mapping[str, object]) -> list[RequestRow]:
    """The rows of a query for COLUMNS."""
    cursor = connection.cursor(row_factory=args_row(RequestRow), binary=True)
    await cursor.execute(query, parameters)
    return await cursor.fetchall()


async def back(connection: Connection, question: Question, moment: datetime, bound: datetime, *, limit: int) -> History:
    """The newest `limit` rows older than `moment`, not older than `bound`."""
    rows, ended = await _gather(connection, question, _windows_back(moment, bound), _NEWEST, limit)
    if ended:
        return History(rows, bound, complete=True)
    return History(rows, rows[-1].timestamp if rows else moment, complete=False)


async def forth(connection: Connection, question: Question, moment: datetime, end: datetime, *, limit: int) -> Forward:
    """The oldest `limit` rows from `moment` on, older than `end`."""
    rows, ended = await _gather(connection, question, _windows_forth(moment, end), _OLDEST, limit)
    return Forward(rows, end if ended else rows[-1].timestamp + _INSTANT, complete=ended)


async def pages(database: Database, question: Question, start: datetime, end: datetime) -> AsyncGenerator[Forward]:
    """All rows from `start` until before `end`, oldest first, each page one short query of its own.

    Windows follow the traffic; one that takes too long is tried again narrower.
    """
    condition, parameters = question
    query = SELECT + WINDOW + "(" + condition + ")" + _OLDEST
    width, widest = _FIRST, _WIDEST
    while start < end:
        reached = min(start + width, end)
        bounds = {"window_start": start, "window_end": reached, "limit": _PAGE}
        try:
            async with database.reading(may_lag=True) as connection:
                rows = await read(connection, query, parameters | bounds)
        except TimedOut:
            if width <= _FIRST:
                raise
            width = widest = max(_FIRST, width / 4)
            continue
        if len(rows) >= _PAGE:
            reached = rows[-1].timestamp + _INSTANT
            width = max(_FIRST, width / 2)
        else:
            width = min(2 * width, widest)
        yield Forward(rows, reached, complete=reached >= end)
        start = reached


async def _gather(
    connection: Connection,
    question: Question,
    windows: Iterable[tuple[datetime, datetime]],
    order: LiteralString,
    limit: int,
) -> tuple[list[RequestRow], bool]:
    """Rows of one window after the other until `limit` are there; whether the windows ended before.

    It gives up after as many rows as there are, never after a time: the statement timeout ends each window.
    """
    condition, parameters = question
    query = SELECT + WINDOW + "(" + condition + ")" + order
    rows: list[RequestRow] = []
    for start, end in windows:
        left = limit - len(rows)
        if left <= 0:
            break
        rows += await read(connection, query, {"window_start": start, "window_end": end, "limit": left, **parameters})
    return rows, len(rows) < limit


def _windows_back(moment: datetime, bound: datetime) -> Iterator[tuple[datetime, datetime]]:
    width = _FIRST
    while moment > bound:
        start = max(moment - width, bound)
        yield start, moment
        moment, width = start, min(4 * width, _WIDEST)


def _windows_forth(moment: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    width = _FIRST
    while moment < end:
        until = min(moment + width, end)
        yield moment, until
        moment, width = until, min(4 * width, _WIDEST)

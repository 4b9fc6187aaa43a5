"""Sends blocks to the log: one transaction each, written again when it was surely not committed."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
from psycopg import AsyncConnection
from psycopg import errors as pg
from psycopg.rows import TupleRow

from db.errors import Uncertain, translated
from db.suiftly.simulation.lines import COPY_ROWS, Block

_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 5.0


class Outbox:
    """One connection that comes back after it was lost. Nothing here ends by itself: cancel the task that waits."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: AsyncConnection[TupleRow] | None = None
        self.reconnects = 0

    async def open(self) -> AsyncConnection[TupleRow]:
        """The first connection. Raises Unavailable."""
        with translated():
            self._connection = await self._connect()
        return self._connection

    async def ready(self) -> AsyncConnection[TupleRow]:
        """The connection, made again when it was lost; tries for ever, with pauses from 0.25 s doubling to 5 s."""
        pause = _FIRST_PAUSE
        while self._connection is None or self._connection.closed:
            try:
                self._connection = await self._connect()
            except psycopg.OperationalError:
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
            else:
                self.reconnects += 1
        return self._connection

    async def close(self) -> None:
        """Closes the connection, and forgets it."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    async def _connect(self) -> AsyncConnection[TupleRow]:
        # Nothing is prepared on the server: pgbouncer in transaction mode hands the next transaction to another one.
        return await AsyncConnection.connect(
            self._dsn,
            autocommit=True,
            connect_timeout=5,
            prepare_threshold=None,
            application_name="opsdeck simulate",
        )

    async def send(self, block: Block) -> None:
        """Writes the block in a transaction of its own, again after a lost connection as long as it takes.

        Raises Uncertain when the connection was lost while committing: it may be in the log, and is not sent again.
        """
        while True:
            connection = await self.ready()
            try:
                await connection.execute("BEGIN")
                async with connection.cursor() as cursor, cursor.copy(COPY_ROWS) as copy:
                    await copy.write(block.data)
            except psycopg.OperationalError:
                await self.close()
            else:
                await self._commit(connection)
                return

    async def _commit(self, connection: AsyncConnection[TupleRow]) -> None:
        try:
            await connection.execute("COMMIT")
        except psycopg.OperationalError as error:
            await self.close()
            raise Uncertain("the connection was lost while a batch was committed") from error


async def ensure_partitions(connection: AsyncConnection[TupleRow], first: datetime, last: datetime) -> None:
    """Makes the hourly partitions that cover [first, last), hour by hour.

    An hour that cannot be made is left to the DEFAULT partition: it already holds rows of that hour, or another session
    makes the same partition at this moment.
    """
    hour = first.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour < last:
        try:
            async with connection.transaction():
                await connection.execute(
                    "SELECT console.ensure_log_partitions(%s, %s)", (hour, hour + timedelta(hours=1))
                )
        except (pg.CheckViolation, pg.DuplicateTable, pg.UniqueViolation):
            pass
        hour += timedelta(hours=1)

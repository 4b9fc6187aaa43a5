"""LISTEN and NOTIFY as wakeup hints: a hint says which topic to read again, never what changed."""

import asyncio
from collections.abc import AsyncGenerator

from db.database import Connection, Database
from db.errors import Unavailable, translated

_CHANNEL = "opsdeck"
_LOOK_S = 2.0


async def notify(connection: Connection, topic: str) -> None:
    """Tells other consoles that `topic` changed, when this transaction commits."""
    await connection.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, topic))


async def listen(database: Database) -> AsyncGenerator[str | None]:
    """Yields None once connected, then the topic of each hint. Raises Unavailable when the connection ends.

    Through pgbouncer no hint comes: in transaction mode LISTEN would stay behind on a connection that others use next.
    There it only looks now and then whether the database answers, which the connection to pgbouncer does not tell.
    """
    connection = await database.listen_connection()
    with translated():
        async with connection:
            if database.pgbouncer:
                await _answers(connection, database.limits.connect_s)
            else:
                await connection.execute("LISTEN opsdeck")
            yield None
            while database.pgbouncer:
                await asyncio.sleep(_LOOK_S)
                await _answers(connection, database.limits.connect_s)
            async for notice in connection.notifies():
                yield notice.payload


async def _answers(connection: Connection, wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            await connection.execute("SELECT 1")
    except TimeoutError as error:
        raise Unavailable("pgbouncer has no connection to the database") from error

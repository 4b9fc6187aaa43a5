"""LISTEN and NOTIFY as wakeup hints: a hint says which topic to read again, never what changed."""

import asyncio
from collections.abc import AsyncGenerator

from db.database import Connection, Database
from db.errors import Unavailable, translated
from db.presence import Presence

_CHANNEL = "opsdeck"
_LOOK_S = 2.0
_TELL_S = 1.0  # how late others may hear where one is


async def notify(connection: Connection, topic: str) -> None:
    """Tells other consoles that `topic` changed, when this transaction commits."""
    await connection.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, topic))


async def listen(database: Database, presence: Presence | None = None) -> AsyncGenerator[str | None]:
    """Yields None once connected, then the topic of each hint. Raises Unavailable when the connection ends.

    The connection tells others where this console is, as `presence` has it.

    Through pgbouncer no hint comes: in transaction mode LISTEN would stay behind on a connection that others use next.
    There it only looks now and then whether the database answers, which the connection to pgbouncer does not tell.
    """
    connection = await database.listen_connection()
    with translated():
        async with connection:
            if database.pgbouncer:
                await _answers(connection, database.limits.connect_s)
                yield None
                while True:
                    await asyncio.sleep(_LOOK_S)
                    await _answers(connection, database.limits.connect_s)
            await connection.execute("LISTEN opsdeck")
            yield None
            told = ""
            while True:
                if presence is not None and presence.label != told:
                    told = presence.label
                    await connection.execute("SELECT set_config('application_name', %s, false)", (told,))
                    presence.backend = connection.info.backend_pid
                async for notice in connection.notifies(timeout=_TELL_S):
                    yield notice.payload


async def _answers(connection: Connection, wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            await connection.execute("SELECT 1")
    except TimeoutError as error:
        raise Unavailable("pgbouncer has no connection to the database") from error

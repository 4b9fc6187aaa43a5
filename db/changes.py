"""LISTEN and NOTIFY as wakeup hints: a hint says which topic to read again, never what changed."""

from collections.abc import AsyncGenerator

from db.database import Connection, Database
from db.errors import translated

_CHANNEL = "opsdeck"


async def notify(connection: Connection, topic: str) -> None:
    """Tells other consoles that `topic` changed, when this transaction commits."""
    await connection.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, topic))


async def listen(database: Database) -> AsyncGenerator[str | None]:
    """Yields None once connected, then the topic of each hint. Raises Unavailable when the connection ends."""
    connection = await database.listen_connection()
    with translated():
        async with connection:
            await connection.execute("LISTEN opsdeck")
            yield None
            async for notice in connection.notifies():
                yield notice.payload

"""What the console asks of the server itself."""

from db.database import Database
from db.server.sessions import Sessions, sessions


class Server:
    """Questions about PostgreSQL. Each is bounded by the statement timeout."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sessions(self) -> Sessions:
        """Who is connected."""
        async with self._database.reading() as connection:
            return await sessions(connection)

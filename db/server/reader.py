"""What the console asks of the server itself."""

from db.database import Database
from db.server.relations import IndexUse, TableSize, index_use, table_sizes
from db.server.sessions import Sessions, sessions
from db.server.statements import StatementCost, statement_costs
from db.server.upkeep import Upkeep, upkeep


class Server:
    """Questions about PostgreSQL. Each is bounded by the statement timeout."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sessions(self) -> Sessions:
        """Who is connected."""
        async with self._database.reading() as connection:
            return await sessions(connection)

    async def tables(self) -> tuple[TableSize, ...]:
        """What takes room."""
        async with self._database.reading() as connection:
            return await table_sizes(connection)

    async def indexes(self) -> tuple[IndexUse, ...]:
        """What of it is read."""
        async with self._database.reading() as connection:
            return await index_use(connection)

    async def statements(self) -> tuple[StatementCost, ...] | None:
        """What takes time; None where nothing counts it."""
        async with self._database.reading() as connection:
            return await statement_costs(connection)

    async def upkeep(self) -> Upkeep:
        """What has to be kept up."""
        async with self._database.reading() as connection:
            return await upkeep(connection)

"""Connections: a pool of read-only ones, and a small pool that may write."""

import getpass
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from psycopg import AsyncConnection, IsolationLevel
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from db.errors import Denied, translated

Connection = AsyncConnection[tuple[Any, ...]]

# Local to the transaction: a session SET would leak to other clients of a pgbouncer in transaction mode.
_TRANSACTION_SETTINGS = """
    SELECT set_config('statement_timeout', %(timeout)s, true),
           set_config('lock_timeout', %(lock)s, true),
           set_config('TimeZone', 'UTC', true)
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the database may take. Seconds."""

    statement_s: float = 5.0
    lock_s: float = 3.0
    connect_s: float = 5.0


class Database:
    """Reads go through read-only transactions; what changes something takes the writer pool.

    Every method that talks to the server raises only the errors of db.errors.
    """

    def __init__(
        self, dsn: str, *, limits: Limits | None = None, read_only: bool = False, pgbouncer: bool = False
    ) -> None:
        self.limits = limits or Limits()
        self.read_only = read_only
        self._dsn = dsn
        self._prepare_threshold = None if pgbouncer else 5
        self._why: psycopg.OperationalError | None = None  # of the last connection that could not be made
        self._readers = self._pool(maximum=4)
        # A job takes three at once (lock, step, heartbeat), and an operation must still find one.
        self._writers = self._pool(maximum=5)

    def _pool(self, maximum: int) -> AsyncConnectionPool[Connection]:
        return AsyncConnectionPool(
            self._dsn,
            connection_class=self._telling(),
            kwargs=self._connection_arguments(),
            min_size=0,
            max_size=maximum,
            open=False,
            timeout=self.limits.connect_s,
            # One attempt per checkout: who waits decides about retrying, and says so on screen.
            reconnect_timeout=0,
            check=AsyncConnectionPool.check_connection,
            configure=self._configure,
        )

    def _connection_arguments(self) -> dict[str, Any]:
        return {
            "application_name": f"opsdeck {getpass.getuser()}",
            "connect_timeout": max(2, round(self.limits.connect_s)),
            # A silent network is noticed within half a minute instead of two hours.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        }

    async def _configure(self, connection: Connection) -> None:
        connection.prepare_threshold = self._prepare_threshold

    @property
    def place(self) -> str:
        """Database, host and user for the header, without any secret."""
        known = conninfo_to_dict(self._dsn)
        host = str(known.get("host") or os.environ.get("PGHOST") or "local")
        where = "local" if host.startswith("/") else host
        return f"{known.get('dbname') or known.get('user') or '?'}@{where}"

    async def open(self) -> None:
        await self._readers.open()
        await self._writers.open()

    async def close(self) -> None:
        await self._readers.close()
        await self._writers.close()

    @asynccontextmanager
    async def reading(
        self, statement_s: float | None = None, *, one_snapshot: bool = False
    ) -> AsyncGenerator[Connection]:
        """A read-only transaction. `statement_s` overrides the statement timeout (seconds).

        With `one_snapshot` all its statements see the same instant (REPEATABLE READ).
        """
        with translated():
            async with self._checkout(self._readers) as connection:
                await connection.set_read_only(True)
                level = IsolationLevel.REPEATABLE_READ if one_snapshot else IsolationLevel.READ_COMMITTED
                await connection.set_isolation_level(level)
                await self._begin(connection, statement_s or self.limits.statement_s)
                yield connection

    @asynccontextmanager
    async def writing(self, statement_s: float | None = None) -> AsyncGenerator[Connection]:
        """A transaction that may change something, committed at the end of the block.

        Raises Denied when the console was opened read-only.
        """
        if self.read_only:
            raise Denied("this console was opened read-only; start it without --read-only to change something")
        with translated():
            async with self._checkout(self._writers) as connection:
                await self._begin(connection, statement_s or self.limits.statement_s)
                yield connection

    async def listen_connection(self) -> Connection:
        """A connection of its own, outside the pools, in autocommit: LISTEN needs to keep it."""
        with translated():
            return await AsyncConnection.connect(self._dsn, autocommit=True, **self._connection_arguments())

    @asynccontextmanager
    async def _checkout(self, pool: AsyncConnectionPool[Connection]) -> AsyncGenerator[Connection]:
        """A connection of the pool for one block: committed at its end, rolled back on an exception."""
        try:
            async with pool.connection() as connection:
                yield connection
        except PoolTimeout:
            # The pool only knows that it waited; the connection that failed meanwhile knows why.
            if self._why is not None:
                raise self._why from None
            raise

    def _telling(self) -> type[Connection]:
        """Connections that leave behind why they could not be made."""
        database = self

        class Telling(AsyncConnection[tuple[Any, ...]]):
            @classmethod
            async def connect(cls, *arguments: Any, **known: Any) -> Self:
                database._why = None
                try:
                    return await super().connect(*arguments, **known)
                except psycopg.OperationalError as error:
                    database._why = error
                    raise

        return Telling

    async def _begin(self, connection: Connection, statement_s: float) -> None:
        await connection.execute(
            _TRANSACTION_SETTINGS,
            {"timeout": f"{round(statement_s * 1000)}ms", "lock": f"{round(self.limits.lock_s * 1000)}ms"},
        )

"""Connections: a pool of read-only ones, a small pool that may write, and one to a replica when there is one."""

import asyncio
import getpass
import os
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from psycopg import AsyncConnection, IsolationLevel
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from db.errors import Denied, ReplicaUnavailable, Unavailable, translated

Connection = AsyncConnection[tuple[Any, ...]]
_Pool = AsyncConnectionPool[Connection]

# Local to the transaction: a session SET would leak to other clients of a pgbouncer in transaction mode.
_TRANSACTION_SETTINGS = """
    SELECT set_config('statement_timeout', %(timeout)s, true),
           set_config('lock_timeout', %(lock)s, true),
           set_config('TimeZone', 'UTC', true)
"""


def _place(dsn: str) -> str:
    known = conninfo_to_dict(dsn)
    host = str(known.get("host") or os.environ.get("PGHOST") or "local")
    where = "local" if host.startswith("/") else host
    return f"{known.get('dbname') or known.get('user') or '?'}@{where}"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the database may take. Seconds."""

    statement_s: float = 5.0
    lock_s: float = 3.0
    connect_s: float = 5.0


class Database:
    """Reads go through read-only transactions; what changes something takes the writer pool.

    With `replica_dsn`, what may lag is read there. Behind pgbouncer in transaction mode nothing is prepared.
    Every method that talks to the server raises only the errors of db.errors.
    """

    def __init__(
        self,
        dsn: str,
        *,
        replica_dsn: str | None = None,
        limits: Limits | None = None,
        read_only: bool = False,
        pgbouncer: bool = False,
    ) -> None:
        self.limits = limits or Limits()
        self.read_only = read_only
        self.pgbouncer = pgbouncer
        self._dsn = dsn
        self._replica_dsn = replica_dsn
        self._why: dict[str, psycopg.OperationalError] = {}  # by DSN: the last connection that could not be made
        self._waiting: defaultdict[_Pool, set[asyncio.Timeout]] = defaultdict(set)
        self._readers = self._pool(dsn, maximum=4)
        # A job takes three at once (lock, step, heartbeat), and an operation must still find one.
        self._writers = self._pool(dsn, maximum=5)
        self._replicas = self._pool(replica_dsn, maximum=4) if replica_dsn is not None else None

    def _pool(self, dsn: str, maximum: int) -> _Pool:
        return AsyncConnectionPool(
            dsn,
            connection_class=self._telling(dsn),
            kwargs=self._connection_arguments(),
            min_size=0,
            max_size=maximum,
            open=False,
            timeout=self.limits.connect_s,
            # One attempt per checkout: who waits decides about retrying, and says so on screen.
            reconnect_timeout=0,
            reconnect_failed=self._give_up,
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
        connection.prepare_threshold = None if self.pgbouncer else 5

    @property
    def place(self) -> str:
        """Database and host for the header, without any secret."""
        return _place(self._dsn)

    @property
    def replica(self) -> str | None:
        """Database and host of the replica; None when everything is read on the primary."""
        return None if self._replica_dsn is None else _place(self._replica_dsn)

    async def open(self) -> None:
        for pool in self._pools():
            await pool.open()

    async def close(self) -> None:
        for pool in self._pools():
            await pool.close()

    def _pools(self) -> Iterator[_Pool]:
        yield self._readers
        if not self.read_only:
            yield self._writers
        if self._replicas is not None:
            yield self._replicas

    @asynccontextmanager
    async def reading(
        self, statement_s: float | None = None, *, one_snapshot: bool = False, may_lag: bool = False
    ) -> AsyncGenerator[Connection]:
        """A read-only transaction. `statement_s` overrides the statement timeout (seconds).

        With `one_snapshot` all its statements see the same instant (REPEATABLE READ). With `may_lag` it goes to the
        replica when there is one: for the log and what is made of it, never for what operators and jobs write.
        Raises ReplicaUnavailable when the replica does not answer; nothing is then read elsewhere instead.
        """
        replica = self._replicas if may_lag else None
        try:
            with translated():
                async with self._checkout(replica or self._readers) as connection:
                    await connection.set_read_only(True)
                    level = IsolationLevel.REPEATABLE_READ if one_snapshot else IsolationLevel.READ_COMMITTED
                    await connection.set_isolation_level(level)
                    await self._begin(connection, statement_s or self.limits.statement_s)
                    yield connection
        except Unavailable as error:
            if replica is None:
                raise
            raise ReplicaUnavailable(str(error)) from error

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
            connection = await AsyncConnection.connect(self._dsn, autocommit=True, **self._connection_arguments())
            if not self.pgbouncer:  # there a setting would stay behind on a connection that others use next
                await connection.execute("SET default_transaction_read_only = on")
            return connection

    @asynccontextmanager
    async def _checkout(self, pool: _Pool) -> AsyncGenerator[Connection]:
        """A connection of the pool for one block: committed at its end, rolled back on an exception."""
        patience = asyncio.timeout(None)
        async with AsyncExitStack() as block:
            try:
                async with patience:
                    self._waiting[pool].add(patience)
                    connection = await block.enter_async_context(pool.connection())
            except (PoolTimeout, TimeoutError):
                # The pool only knows that it waited; the connection that failed meanwhile knows why.
                raise self._why.get(str(pool.conninfo)) or PoolTimeout("no connection came free") from None
            finally:
                self._waiting[pool].discard(patience)
            yield connection

    def _give_up(self, pool: _Pool) -> None:
        """A connection could not be made. Where there is no other, nobody need wait for one."""
        waiting = self._waiting[pool]
        while waiting and pool.get_stats()["pool_size"] == 0:
            waiting.pop().reschedule(asyncio.get_running_loop().time())

    def _telling(self, dsn: str) -> type[Connection]:
        """Connections to `dsn` that leave behind why they could not be made."""
        why = self._why

        class Telling(AsyncConnection[tuple[Any, ...]]):
            @classmethod
            async def connect(cls, *arguments: Any, **known: Any) -> Self:
                why.pop(dsn, None)
                try:
                    return await super().connect(*arguments, **known)
                except psycopg.OperationalError as error:
                    why[dsn] = error
                    raise

        return Telling

    async def _begin(self, connection: Connection, statement_s: float) -> None:
        await connection.execute(
            _TRANSACTION_SETTINGS,
            {"timeout": f"{round(statement_s * 1000)}ms", "lock": f"{round(self.limits.lock_s * 1000)}ms"},
        )

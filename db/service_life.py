"""The life of a long process, on record in service_status under the name the seeds use."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from db.database import Database
from db.errors import DatabaseError

_LOCK_CLASS = 0x0D5DED  # first half of the advisory keys; the second is the row's id


@asynccontextmanager
async def recorded_life(database: Database, name: str) -> AsyncGenerator[None]:
    """Records start and end of the block: stopped, or error with the kind of exception that ended it.

    Earlier lives of that name whose process ended without a word are marked crashed. A lock that ends with its
    connection tells them from those that still run.
    """
    async with database.writing() as connection:
        row = await (
            await connection.execute("SELECT nextval(pg_get_serial_sequence('public.service_status', 'id'))")
        ).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    life: int = row[0]
    # A transaction holds it, so that it works through a pooler; it has neither xid nor snapshot once the statement with
    # parameters, whose portal keeps one, was followed by a plain one.
    async with database.writing() as lock:
        await lock.execute("SELECT set_config('idle_in_transaction_session_timeout', '0', true)")
        await lock.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK_CLASS, life % 2**31))
        await lock.execute("SELECT", prepare=False)
        await _begin(database, life, name)
        try:
            yield
        except BaseException as error:
            ended = isinstance(error, Exception)
            await _end(database, life, type(error).__name__ if ended else None)
            raise
        await _end(database, life, None)


async def _begin(database: Database, life: int, name: str) -> None:
    async with database.writing() as connection:
        await connection.execute(
            """UPDATE public.service_status s SET status = 'crashed', completed_at = now(),
                      error_message = 'its process ended without a word'
               WHERE status = 'running' AND service_name = %(name)s AND NOT EXISTS (
                   SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2
                     AND classid = %(class)s::bigint::oid AND objid = (s.id %% 2147483648)::oid
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))""",
            {"name": name, "class": _LOCK_CLASS},
        )
        await connection.execute("INSERT INTO public.service_status (id, service_name) VALUES (%s, %s)", (life, name))


async def _end(database: Database, life: int, error: str | None) -> None:
    """Left to the next start, which marks it crashed, when the database is what ended."""
    try:
        async with database.writing() as connection:
            await connection.execute(
                """UPDATE public.service_status SET status = %s, completed_at = now(), error_message = %s
                   WHERE id = %s""",
                ("error" if error else "stopped", error, life),
            )
    except DatabaseError:
        return

"""COPY of the rows the simulated business needs."""

from collections.abc import Iterable, Sequence
from typing import LiteralString

from psycopg import AsyncConnection
from psycopg.rows import TupleRow


async def copy_rows(
    connection: AsyncConnection[TupleRow], statement: LiteralString, rows: Iterable[Sequence[object]]
) -> int:
    """Runs `COPY ... FROM STDIN` and returns how many rows it wrote. About 200,000 short rows a second."""
    written = 0
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            await copy.write_row(row)
            written += 1
    return written

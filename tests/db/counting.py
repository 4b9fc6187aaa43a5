"""Counting the log without a runner."""

from typing import Any

from psycopg import AsyncConnection

from db.suiftly.jobs.log_consumer import CHUNK_ROWS, LogConsumer, take_step


async def count_all(connection: AsyncConnection[Any], consumer: LogConsumer, *, chunk_rows: int = CHUNK_ROWS) -> int:
    """Takes steps, each a transaction, until none is left to take; how many they were."""
    steps, last = 0, False
    while not last:
        async with connection.transaction():
            last = (await take_step(connection, consumer, chunk_rows=chunk_rows)).last
        steps += 1
    return steps

"""Fills the last hours of the log in seconds, so that a fresh demo is not empty."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from db.suiftly.simulation.cast import log_begin
from db.suiftly.simulation.fleet import open_fleet
from db.suiftly.simulation.gateways import REGIONS, daylight
from db.suiftly.simulation.lines import COPY_ROWS, stamp
from db.suiftly.simulation.outbox import ensure_partitions
from db.suiftly.simulation.simulator import Progress

_STEP_SECONDS: Final = 10


async def backfill(
    connection: AsyncConnection[TupleRow], minutes: int, rate: float, seed: int, now: datetime
) -> Progress:
    """Writes the log from `log_begin(now, minutes)` (a full UTC hour) to `now`, all in one transaction.

    `rate` is the mean in rows a second; nights are quieter. Only keys that have not changed since the beginning take
    part, so no row contradicts the time of a revocation. Raises Refused on a database we did not populate.
    """
    random = Random(seed)
    begin, end = log_begin(now, minutes), now.astimezone(UTC)
    steps = max(1, round((end - begin).total_seconds() / _STEP_SECONDS))
    moments = [begin + timedelta(seconds=_STEP_SECONDS * step) for step in range(steps)]
    shape = [_activity(moment) * random.uniform(0.9, 1.1) for moment in moments]
    mean = sum(shape) / len(shape)
    # 20 new rows per gateway and step keep the log varied; the rest comes from the stock, 25 times cheaper.
    fleet = await open_fleet(connection, random, begin.timestamp(), fresh=20, before=begin)
    await ensure_partitions(connection, begin, end)
    rows = requests = 0
    async with connection.transaction(), connection.cursor() as cursor, cursor.copy(COPY_ROWS) as copy:
        for moment, activity in zip(moments, shape, strict=True):
            fleet.advance(moment.timestamp())
            length = min(_STEP_SECONDS, (end - moment).total_seconds())
            for gateway, share in zip(fleet.gateways, fleet.shares(moment), strict=True):
                count = int(rate * length * activity / mean * share + random.random())
                block = stamp(random, fleet.lines(gateway, count), moment, length)
                await copy.write(block.data)
                rows += block.rows
                requests += block.requests
    return Progress(rows=rows, batches=1, requests=requests, seconds=(end - begin).total_seconds())


def _activity(at: datetime) -> float:
    hour = at.hour + at.minute / 60
    return sum(share * daylight(hour + ahead) for ahead, share in REGIONS.values())

"""The request log's hours: made ahead of time, compressed, and dropped once nobody has to count them any more."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from db.database import Connection
from db.errors import TimedOut
from db.jobs.job import Job, PartlyFailed, Run

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Policy:
    now: datetime
    hypertable: bool
    retention: timedelta
    compress_after: timedelta
    ahead: timedelta


class MaintainPartitions(Job):
    """Creates, compresses, drops and sweeps, each part in a transaction of its own with a lock timeout."""

    name: ClassVar[str] = "maintain-partitions"
    title: ClassVar[str] = "Keep the log's hours: create ahead, compress, drop what is counted"
    number: ClassVar[int] = 16
    every_s: ClassVar[int] = 900

    async def run(self, run: Run) -> str:
        async with run.step() as connection:
            policy = await _policy(connection)
        busy: list[str] = []
        if not policy.hypertable:
            await self._create(run, policy, busy)
        await self._drop(run, policy, busy)
        if policy.hypertable:
            await self._compress(run, policy, busy)
        else:
            await self._sweep(run, policy)
        sentence = _sentence(run)
        if busy:
            raise PartlyFailed(
                f"{sentence}; {len(busy)} part(s) were locked by others ({busy[0]}), next run tries again"
            )
        return sentence

    async def _create(self, run: Run, policy: _Policy, busy: list[str]) -> None:
        hour = policy.now.replace(minute=0, second=0, microsecond=0) - _HOUR
        run.begin("hours", math.ceil((policy.now + policy.ahead - hour) / _HOUR))
        while hour < policy.now + policy.ahead:
            try:
                async with run.step() as connection:
                    row = await (await connection.execute("SELECT console.ensure_log_hour(%s)", (hour,))).fetchone()
                await run.report("creating", done=1, created=int(bool(row and row[0])))
            except TimedOut:
                busy.append(f"{hour:%Y-%m-%d %H}:00")
            hour += _HOUR

    async def _drop(self, run: Run, policy: _Policy, busy: list[str]) -> None:
        parts = await _parts(run, policy.now - policy.retention)
        run.begin("parts to drop", len(parts))
        for part in parts:
            try:
                async with run.step() as connection:
                    row = await (
                        await connection.execute("SELECT console.drop_log_part(%s::regclass)", (part,))
                    ).fetchone()
                dropped = bool(row and row[0])
                await run.report("dropping", done=1, dropped=int(dropped), kept_uncounted=int(not dropped))
            except TimedOut:
                busy.append(part)

    async def _compress(self, run: Run, policy: _Policy, busy: list[str]) -> None:
        parts = await _parts(run, policy.now - policy.compress_after, uncompressed=True)
        run.begin("parts to compress", len(parts))
        for part in parts:
            try:
                async with run.step() as connection:
                    await connection.execute("SELECT console.compress_log_part(%s::regclass)", (part,))
                await run.report("compressing", done=1, compressed=1)
            except TimedOut:
                busy.append(part)

    async def _sweep(self, run: Run, policy: _Policy) -> None:
        """Rows of the DEFAULT partition go by the same rule, a row at a time."""
        async with run.step() as connection:
            row = await (
                await connection.execute("SELECT console.sweep_log_default(%s)", (policy.now - policy.retention,))
            ).fetchone()
        await run.report("sweeping", swept=int(row[0]) if row else 0)


async def _policy(connection: Connection) -> _Policy:
    row = await (
        await connection.execute(
            """SELECT now(), console.log_is_hypertable(), retention, compress_after, partitions_ahead
               FROM console.metering"""
        )
    ).fetchone()
    assert row is not None  # noqa: S101 - the migration writes the only row
    return _Policy(*row)


async def _parts(run: Run, before: datetime, *, uncompressed: bool = False) -> list[str]:
    async with run.step() as connection:
        cursor = await connection.execute(
            """SELECT part::text FROM console.log_parts_before(%(before)s)"""
            if not uncompressed
            else """SELECT format('%%I.%%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks
                    WHERE hypertable_name = 'haproxy_raw_logs' AND range_end <= %(before)s AND NOT is_compressed
                    ORDER BY range_end""",
            {"before": before},
        )
        return [row[0] for row in await cursor.fetchall()]


def _sentence(run: Run) -> str:
    counts = run.counts
    words = [
        f"{counts[name]} {word}"
        for name, word in (
            ("created", "created"),
            ("dropped", "dropped"),
            ("compressed", "compressed"),
            ("kept_uncounted", "kept because not yet counted"),
            ("swept", "late rows swept"),
        )
        if counts[name]
    ]
    return ("would be: " if run.dry_run else "") + (", ".join(words) or "nothing to do")

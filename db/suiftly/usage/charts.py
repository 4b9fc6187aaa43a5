"""Usage over time: requests by class, errors, bytes and latency, as the rollups and the log behind them tell it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from db.database import Connection, Database
from db.suiftly.usage.plan import Count, Plan, plan_for, what_is_kept
from db.suiftly.usage.sums import Measures, Sums
from db.suiftly.usage.window import UsageQuestion, Window


@dataclass(frozen=True, slots=True)
class Usage:
    """The answer to a question: one Measures for each step of the window, and one for all of it.

    `before` is the sum of the period before, as far as this one has come, latencies of the fleet left out; None where
    it is no longer kept.
    `origin` says in words where the numbers are from. `behind` is set when rollups stand still: what came since is
    missing.
    """

    window: Window
    points: tuple[Measures, ...]
    total: Measures
    before: Measures | None
    origin: str
    behind: datetime | None

    def start_of(self, point: int) -> datetime:
        return self.window.start + point * self.window.step


class Charts:
    """Questions about usage over time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def usage(self, question: UsageQuestion, *, columns: int) -> Usage:
        """In at most `columns` steps, all of one snapshot, up to the present.

        Raises Refused where neither rollups nor log hold what is asked for.
        """
        async with self._database.reading(one_snapshot=True, may_lag=True) as connection:
            kept = await what_is_kept(connection)
            plan = plan_for(question, kept, columns)
            window = plan.window
            sums = {window.start + n * window.step: Sums() for n in range(window.steps)}
            bounds = {"start": window.start, "end": window.end, "step": window.step}
            await _add(connection, plan, plan.now, bounds, sums)
            before = {window.before: Sums()}
            known = window.before >= plan.oldest
            if known:
                until = window.before_until(plan.grain)
                bounds = {"start": window.before, "end": until, "step": window.end - window.start}
                await _add(connection, plan, plan.before, bounds, before)
        total = Sums()
        for one in sums.values():
            total.add(one)
        current = not plan.live or kept.rollups.cover(window.end)
        return Usage(
            window,
            tuple(one.measures() for one in sums.values()),
            total.measures(),
            before[window.before].measures() if known else None,
            plan.origin,
            None if current else kept.rollups.until or window.start,
        )


async def _add(
    connection: Connection,
    plan: Plan,
    counts: Sequence[Count],
    bounds: Mapping[str, object],
    sums: dict[datetime, Sums],
) -> None:
    for count in counts:
        rows = await connection.execute(count.query, {**plan.parameters, **bounds})
        for step, *counted in await rows.fetchall():
            count.add(sums[step], counted)

"""Jobs that fail, or that nobody runs any more."""

from datetime import datetime
from typing import LiteralString

from db.database import Connection
from db.jobs.history import CRASHED, SILENCE
from db.suiftly.attention.line import Attention
from db.suiftly.jobs import JOBS

# A job that never ran may not be wanted here; what must run shows in what it leaves undone. One that fell silent is
# recorded as crashed by its next run alone, and that may be a period away.
_LAST: LiteralString = """
    SELECT wanted.name, coalesce(r.outcome, 'crashed'), coalesce(r.message, %s), r.started_at
    FROM unnest(%s::text[], %s::int[]) AS wanted(name, every_s)
    CROSS JOIN LATERAL (SELECT outcome, message, started_at, heartbeat_at FROM console.job_run
                        WHERE job = wanted.name AND NOT dry_run AND outcome IS DISTINCT FROM 'skipped'
                        ORDER BY started_at DESC LIMIT 1) r
    WHERE CASE WHEN r.outcome IS NULL THEN r.heartbeat_at < clock_timestamp() - %s
               ELSE r.outcome IN ('failed', 'crashed', 'partial')
                    OR r.started_at < now() - make_interval(secs => 2 * wanted.every_s + 600) END
"""


async def of_jobs(connection: Connection) -> list[Attention]:
    """Those whose last run went wrong, and those that are overdue by more than a period and ten minutes."""
    asked = (CRASHED, [job.name for job in JOBS], [job.every_s for job in JOBS], SILENCE)
    return [_line(*row) for row in await (await connection.execute(_LAST, asked)).fetchall()]


def _line(job: str, outcome: str, message: str | None, began: datetime) -> Attention:
    if outcome in ("failed", "crashed", "partial"):
        sentence = f"{job} {'did not do all' if outcome == 'partial' else outcome}: {message}"
    else:
        sentence = f"{job} is overdue: it ran last {began:%Y-%m-%d %H:%M}; is `opsdeck jobs run --all-due` in cron?"
    return Attention("warn", sentence, f"jobs:{job}", began)

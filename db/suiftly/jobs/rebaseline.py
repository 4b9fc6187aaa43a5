"""After a restore into another cluster: a cursor that means something again, and a recount of what the log can prove.

Transaction ids belong to a cluster. In a restored log they are foreign: a row may carry one that this cluster has yet
to give out, and would then be counted again, and shown by every tail again and again. So three things happen, each in
steps that can be repeated after a crash:

1. Rows whose xid is not in the past of this cluster get FirstNormalTransactionId, which is in everybody's past.
2. The cursor is set to now, with `recount_from` before the oldest hour of the log, whichever that is by then. Until it
   is NULL again nothing is counted and no part of the log is dropped.
3. Hour by hour the log's rows before that cursor are recounted, and `recount_from` moves with each.

A recount only raises: the log may have lost rows that were counted before the restore. Billed records stay untouched;
what the log proves above them becomes an open record, as with late rows.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import LiteralString

from db.database import Connection
from db.errors import Refused
from db.jobs.job import Run
from db.suiftly.metering import no_cursor

Recount = Callable[[Connection, datetime, str], Awaitable[Counter[str]]]

_HOUR = timedelta(hours=1)
_EVERYTHING = "9223372036854775807:9223372036854775807:"  # a snapshot in which every xid is past: for dry runs
_LOCK: LiteralString = """
    SELECT s.snap::text, s.recount_from FROM console.capture_state s WHERE s.name = %s FOR UPDATE
"""


async def rebaseline(run: Run, cursor: str, recount: Recount) -> str:
    """Does it for one cursor. Raises Refused when its cursor is sound."""
    async with run.step() as connection:
        foreign = await _foreign(connection, cursor)
    if foreign:
        await _settle_foreign_rows(run)
        await _set_cursor(run, cursor)
    hour = await _hour_with_rows(run, None if run.dry_run else await _recount_from(run, cursor))
    run.begin("hours")
    while hour is not None:
        hour = await _recount_hour(run, cursor, recount, hour)
    async with run.step() as connection:
        await connection.execute("UPDATE console.capture_state SET recount_from = NULL WHERE name = %s", (cursor,))
    verb = "would recount" if run.dry_run else "recounted"
    raised, kept = run.counts["raised"], run.counts["kept"]
    return f"{verb} {run.counts['hours']} hour(s): {raised:,} record(s) raised, {kept:,} kept above what the log proves"


async def _foreign(connection: Connection, cursor: str) -> bool:
    """Whether the cursor is of another cluster; False when only a recount has to go on."""
    row = await (
        await connection.execute(
            """SELECT s.system_identifier <> c.system_identifier, s.recount_from
               FROM console.capture_state s, pg_control_system() c WHERE s.name = %s""",
            (cursor,),
        )
    ).fetchone()
    if row is None:
        raise no_cursor(cursor)
    if not row[0] and row[1] is None:
        raise Refused("this database was not restored from another cluster: its cursor is sound; run it plainly")
    return bool(row[0])


# Rows this statement can see although its snapshot says that their xid is not past: they cannot be of this cluster.
_FOREIGN: LiteralString = """
    timestamp >= %(hour)s AND timestamp < %(hour)s + interval '1 hour'
    AND NOT pg_visible_in_snapshot(xid, pg_current_snapshot())
"""


async def _settle_foreign_rows(run: Run) -> None:
    hour = await _hour_with_rows(run, None)
    while hour is not None:
        async with run.step() as connection:
            settled = await _settle_hour(connection, hour)
        await run.report(f"settling rows of {hour:%Y-%m-%d %H}:00", settled_rows=settled)
        hour = await _hour_with_rows(run, hour + _HOUR)


async def _settle_hour(connection: Connection, hour: datetime) -> int:
    # Asked first: on a compressed chunk an UPDATE decompresses before it knows whether there is anything to do.
    query: LiteralString = "SELECT EXISTS (SELECT FROM haproxy_raw_logs WHERE " + _FOREIGN + ")"
    row = await (await connection.execute(query, {"hour": hour})).fetchone()
    if row is None or not row[0]:
        return 0
    # TimescaleDB refuses to decompress more than 100,000 rows for one change unless told.
    await connection.execute(
        "SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true)"
        " WHERE console.log_is_hypertable()"
    )
    cursor = await connection.execute("UPDATE haproxy_raw_logs SET xid = '3' WHERE " + _FOREIGN, {"hour": hour})
    return cursor.rowcount


async def _set_cursor(run: Run, cursor: str) -> None:
    async with run.step() as connection:
        await connection.execute(_LOCK, (cursor,))
        await connection.execute(
            """UPDATE console.capture_state s
               SET snap = pg_current_snapshot(), system_identifier = c.system_identifier, rows = 0,
                   baselined_at = clock_timestamp(), caught_up_at = NULL, recount_from = 'epoch'
               FROM pg_control_system() c WHERE s.name = %s""",
            (cursor,),
        )


async def _recount_from(run: Run, cursor: str) -> datetime | None:
    async with run.step() as connection:
        row = await (await connection.execute(_LOCK, (cursor,))).fetchone()
    return row[1] if row else None


async def _hour_with_rows(run: Run, since: datetime | None) -> datetime | None:
    """The first UTC hour from `since` on in which the log has rows."""
    async with run.step() as connection:
        row = await (
            await connection.execute(
                """SELECT date_trunc('hour', min(timestamp), 'UTC') FROM haproxy_raw_logs
                   WHERE timestamp >= coalesce(%s::timestamptz, '-infinity')""",
                (since,),
            )
        ).fetchone()
    return row[0] if row else None


async def _recount_hour(run: Run, cursor: str, recount: Recount, hour: datetime) -> datetime | None:
    async with run.step() as connection:
        row = await (await connection.execute(_LOCK, (cursor,))).fetchone()
        snap = _EVERYTHING if run.dry_run or row is None else row[0]
        counts = await recount(connection, hour, snap)
        await connection.execute(
            "UPDATE console.capture_state SET recount_from = %s WHERE name = %s", (hour + _HOUR, cursor)
        )
    await run.report(f"recounted {hour:%Y-%m-%d %H}:00", done=1, hours=1, **counts)
    return await _hour_with_rows(run, hour + _HOUR)

"""What keeps the server going: freezing, vacuum, replication, TimescaleDB's chunks and jobs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, TypeVar

from psycopg.rows import class_row

from db.database import Connection

_Row = TypeVar("_Row")
WRAPAROUND = 2**31  # transactions; the server stops writing some three million before it

_AGES: LiteralString = """
    SELECT age(datfrozenxid), mxid_age(datminmxid), current_setting('autovacuum_freeze_max_age')::bigint,
           current_setting('autovacuum')::bool, pg_is_in_recovery(), clock_timestamp(), pg_database_size(oid)
    FROM pg_database WHERE datname = current_database()
"""
_VACUUMS: LiteralString = """
    SELECT pid, coalesce(relid::regclass::text, 'a table hidden from this role') AS "table",
           coalesce(phase, '') AS phase,
           round(100 * heap_blks_scanned / nullif(heap_blks_total, 0))::int AS percent
    FROM pg_stat_progress_vacuum WHERE datname = current_database() ORDER BY pid LIMIT 20
"""
_WRITTEN: LiteralString = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END"
_STANDBYS: LiteralString = (
    """
    SELECT coalesce(application_name, '') AS name, coalesce(state, '') AS state,
           coalesce(sync_state, '') AS sync, extract(epoch FROM replay_lag)::float8 AS behind_s,
           pg_wal_lsn_diff("""
    + _WRITTEN
    + """, replay_lsn)::bigint AS behind_bytes
    FROM pg_stat_replication ORDER BY pid LIMIT 20
"""
)
_SLOTS: LiteralString = (
    """
    SELECT slot_name::text AS name, slot_type AS kind, active, coalesce(wal_status, '') AS status,
           pg_wal_lsn_diff("""
    + _WRITTEN
    + """, restart_lsn)::bigint AS kept_bytes
    FROM pg_replication_slots ORDER BY slot_name LIMIT 20
"""
)
_PREPARED: LiteralString = """
    SELECT gid AS name, owner::text AS owner, prepared AS since
    FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared LIMIT 20
"""
_TIMESCALE: LiteralString = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
_HYPERTABLES: LiteralString = """
    SELECT h.hypertable_schema || '.' || h.hypertable_name AS name, c.*, s.*
    FROM timescaledb_information.hypertables h
         CROSS JOIN LATERAL (
             SELECT count(*) AS chunks, count(*) FILTER (WHERE is_compressed) AS compressed, min(range_start) AS oldest
             FROM timescaledb_information.chunks c
             WHERE (c.hypertable_schema, c.hypertable_name) = (h.hypertable_schema, h.hypertable_name)) c
         CROSS JOIN LATERAL (
             SELECT sum(before_compression_total_bytes)::bigint AS bytes_before,
                    sum(after_compression_total_bytes)::bigint AS bytes_after
             FROM hypertable_compression_stats(format('%I.%I', h.hypertable_schema, h.hypertable_name)::regclass)) s
    ORDER BY 1 LIMIT 20
"""
_JOBS: LiteralString = """
    SELECT j.job_id AS id, j.application_name AS name, j.scheduled, s.last_run_status AS outcome,
           s.last_run_started_at AS last_at, coalesce(s.total_failures, 0) AS failures
    FROM timescaledb_information.jobs j LEFT JOIN timescaledb_information.job_stats s USING (job_id)
    ORDER BY j.job_id LIMIT 20
"""


@dataclass(frozen=True, slots=True)
class Vacuum:
    """One that is under way."""

    pid: int
    table: str
    phase: str
    percent: int | None


@dataclass(frozen=True, slots=True)
class Standby:
    """A server that is fed by this one."""

    name: str
    state: str  # "": the role may not see how it does
    sync: str
    behind_s: float | None
    behind_bytes: int | None


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in the WAL that is kept for someone."""

    name: str
    kind: str
    active: bool
    status: str
    kept_bytes: int | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A transaction that waits for the second phase of its commit, holding all its locks."""

    name: str
    owner: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Hypertable:
    """A table in chunks."""

    name: str
    chunks: int
    compressed: int
    oldest: datetime | None
    bytes_before: int | None  # of the compressed ones, when they were compressed; None: none is
    bytes_after: int | None


@dataclass(frozen=True, slots=True)
class TimescaleJob:
    """A job that TimescaleDB runs, or would."""

    id: int
    name: str
    scheduled: bool
    outcome: str | None
    last_at: datetime | None
    failures: int


@dataclass(frozen=True, slots=True)
class Upkeep:
    """All of it, as of `now`."""

    frozen_age: int
    multixact_age: int
    freeze_at: int  # the age at which the server freezes by itself
    autovacuum: bool
    is_standby: bool
    now: datetime
    bytes: int
    vacuums: tuple[Vacuum, ...]
    standbys: tuple[Standby, ...]
    slots: tuple[Slot, ...]
    prepared: tuple[Prepared, ...]
    timescale: str | None  # its version
    hypertables: tuple[Hypertable, ...]
    timescale_jobs: tuple[TimescaleJob, ...]


async def upkeep(connection: Connection) -> Upkeep:
    """How well it is kept."""
    ages: tuple[Any, ...] | None = await (await connection.execute(_AGES)).fetchone()
    assert ages is not None  # noqa: S101 - one is connected to a database that is there
    timescale = await (await connection.execute(_TIMESCALE)).fetchone()
    return Upkeep(
        *ages,
        vacuums=await _all(connection, Vacuum, _VACUUMS),
        standbys=await _all(connection, Standby, _STANDBYS),
        slots=await _all(connection, Slot, _SLOTS),
        prepared=await _all(connection, Prepared, _PREPARED),
        timescale=timescale[0] if timescale else None,
        hypertables=await _all(connection, Hypertable, _HYPERTABLES) if timescale else (),
        timescale_jobs=await _all(connection, TimescaleJob, _JOBS) if timescale else (),
    )


async def _all(connection: Connection, kind: type[_Row], query: LiteralString) -> tuple[_Row, ...]:
    cursor = connection.cursor(row_factory=class_row(kind))
    await cursor.execute(query)
    return tuple(await cursor.fetchall())

"""What `opsdeck doctor` looks at: each check says in a sentence what it found."""

from dataclasses import dataclass
from enum import StrEnum

from db.database import Connection, Database
from db.migrate import schema_state
from db.suiftly.control import CAN_WRITE
from db.suiftly.traffic import Traffic


class State(StrEnum):
    """GOOD is fine, WARN wants a look, BAD makes the doctor exit 1."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    sentence: str


async def health(database: Database) -> tuple[Check, ...]:
    """All checks. Raises Unavailable when there is no database to look at."""
    state = await schema_state(database)
    schema = Check("schema", State.GOOD if state.current else State.BAD, state.sentence)
    async with database.reading() as connection:
        server = await _server(connection)
        if not state.current:
            return server, schema
        looks = (_role, _log, _partitions, _metering)
        checks = (server, schema, *[await look(connection) for look in looks])
    overview = await Traffic(database).overview()
    attention = tuple(Check("attention", State(line.severity), line.sentence) for line in overview.attention)
    return checks + (attention or (Check("attention", State.GOOD, "nothing needs a look"),))


async def _server(connection: Connection) -> Check:
    row = await (
        await connection.execute(
            """SELECT current_setting('server_version_num')::int, current_setting('server_version'),
                      (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'), pg_is_in_recovery()"""
        )
    ).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    number, version, timescale, standby = row
    kind = f"TimescaleDB {timescale}" if timescale else "plain partitions"
    if number < 150000:
        return Check("server", State.BAD, f"PostgreSQL {version} is too old; opsdeck needs 15 or newer")
    if standby:
        return Check("server", State.WARN, f"PostgreSQL {version} is a standby: nothing can be changed here")
    return Check("server", State.GOOD, f"PostgreSQL {version}, {kind}")


async def _role(connection: Connection) -> Check:
    row = await (await connection.execute("SELECT current_user, " + CAN_WRITE)).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    role, can_write = row
    if can_write:
        return Check("role", State.GOOD, f"{role} may change things")
    return Check("role", State.WARN, f"{role} may only read")


async def _log(connection: Connection) -> Check:
    row = await (
        await connection.execute(
            """SELECT extract(epoch FROM now() - max(timestamp))::float8 FROM haproxy_raw_logs
               WHERE timestamp >= now() - interval '10 minutes' AND timestamp < now() + interval '10 minutes'"""
        )
    ).fetchone()
    age = row[0] if row else None
    if age is None:
        return Check("request log", State.WARN, "no request was logged in the last 10 minutes")
    if age < -5:
        return Check("request log", State.WARN, f"the newest row is {-age:.0f} s ahead: a gateway's clock is off")
    if age > 60:
        return Check("request log", State.WARN, f"the newest row is {age:.0f} s old")
    return Check("request log", State.GOOD, f"the newest row is {max(age, 0):.0f} s old")


async def _metering(connection: Connection) -> Check:
    """How much of the log's retention passed without counting: what is dropped uncounted is never paid."""
    row = await (
        await connection.execute(
            """SELECT s.system_identifier = c.system_identifier,
                      extract(epoch FROM now() - coalesce(s.caught_up_at, s.baselined_at))::float8,
                      extract(epoch FROM m.retention)::float8
               FROM console.capture_state s, pg_control_system() c, console.metering m WHERE s.name = 'usage'"""
        )
    ).fetchone()
    if row is None:
        return Check("metering", State.BAD, "its cursor is missing; run `opsdeck migrate`")
    same_cluster, age, retention = row
    if not same_cluster:
        return Check("metering", State.BAD, "this database was restored from another cluster; metering stands still")
    share = age / retention
    sentence = f"caught up {age / 60:,.0f} min ago, {100 * share:.0f} % of the log's retention"
    if share < 0.25:
        return Check("metering", State.GOOD, sentence)
    # From 100 % on maintain-partitions keeps hours that should go, and the disk fills.
    urgency = "; the log soon outgrows its retention" if share >= 0.75 else ""
    state = State.BAD if share >= 0.5 else State.WARN
    return Check("metering", state, f"{sentence}{urgency}; run `opsdeck jobs run aggregate-usage`")


async def _partitions(connection: Connection) -> Check:
    row = await (await connection.execute("SELECT console.log_is_hypertable()")).fetchone()
    if row and row[0]:
        return Check("partitions", State.GOOD, "the hypertable makes its own chunks")
    # Partition names carry their hour, as console.ensure_log_partitions() writes them.
    row = await (
        await connection.execute(
            """SELECT count(*) FROM pg_class
               WHERE relnamespace = 'public'::regnamespace AND relname ~ '^haproxy_raw_logs_\\d{10}$'
                 AND relname >= 'haproxy_raw_logs_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDDHH24')"""
        )
    ).fetchone()
    hours = int(row[0]) if row else 0
    if hours < 6:
        return Check("partitions", State.BAD, f"only {hours} hourly partition(s) ahead; rows will land in the DEFAULT")
    return Check("partitions", State.GOOD if hours >= 24 else State.WARN, f"{hours} hourly partitions ahead")

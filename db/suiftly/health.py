"""What `opsdeck doctor` looks at: each check says in a sentence what it found."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from time import monotonic

from db.chain.errors import ChainError, ErrorKind
from db.database import Connection, Database
from db.errors import ReplicaUnavailable, TimedOut
from db.migrate import schema_state
from db.replica import replica_state
from db.suiftly.attention import Attention
from db.suiftly.attention.rules import HOURS_AHEAD, PARTITIONS_AHEAD, few_hours_ahead
from db.suiftly.control import CAN_WRITE
from db.suiftly.escrow.books import EscrowBooks
from db.suiftly.escrow.contract import EscrowChain
from db.suiftly.gateways import Gateways, fleet_words
from db.suiftly.metering import cursor_states
from db.suiftly.overview import Traffic
from db.suiftly.reconcile import Reconciliation

RECONCILE_S = 5.0  # what a visit of the doctor may take for it


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


async def health(
    database: Database, watched: Callable[[], Awaitable[tuple[Attention, ...]]] | None = None
) -> tuple[Check, ...]:
    """All checks; `watched` brings lines that belong to what needs a look.

    Raises Unavailable when there is no primary to look at; a replica that is gone is a finding.
    """
    state = await schema_state(database)
    schema = Check("schema", State.GOOD if state.current else State.BAD, state.sentence)
    async with database.reading() as connection:
        server = await _server(connection)
        if not state.current:
            return server, schema
        looks = (_role, _log, _partitions)
        checks = [server, schema, *[await look(connection) for look in looks], *await _cursors(connection)]
    if all(check.state is not State.BAD for check in checks if check.name == "metering"):
        checks.append(await _reconciled(database))
    checks.append(await _gateways(database))
    if (replica := await _replica(database)) is not None:
        checks.append(replica)
        if replica.state is State.BAD:
            return tuple(checks)
    lines = (await Traffic(database).overview()).attention
    if watched is not None:
        lines += await watched()
    # What a check said already is not said again.
    told = {check.sentence for check in checks} | {f"{check.name}: {check.sentence}" for check in checks}
    attention = [Check("attention", State(line.severity), line.sentence) for line in lines if line.sentence not in told]
    return (*checks, *(attention or [Check("attention", State.GOOD, "nothing needs a look")]))


async def chain_check(chain: EscrowChain, books: EscrowBooks) -> Check:
    """How the node answers and how far it was read. What waits for somebody stands in the attention list."""
    inbox = await books.inbox()
    try:
        node = await chain.reader.service_info()
    except ChainError as error:
        wrong = error.kind is ErrorKind.WRONG_CHAIN
        return Check("chain", State.BAD if wrong else State.WARN, f"{error.kind}: {error}")
    if inbox.cursor is None:
        return Check("chain", State.WARN, f"{node.chain} answers, and nothing was read yet; run `opsdeck chain sync`")
    sentence = f"{node.chain} answers; read up to checkpoint {inbox.cursor.covered:,} of {node.tip:,}"
    return Check("chain", State.GOOD, sentence)


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


async def _replica(database: Database) -> Check | None:
    try:
        replica = await replica_state(database)
    except ReplicaUnavailable as error:
        return Check("replica", State.BAD, f"{database.replica}, where the log is read, cannot be used: {error}")
    if replica is None:
        return None
    if replica.trouble:
        return Check("replica", State.BAD, f"{replica.place}, where the log is read, {replica.trouble}")
    sentence = f"the log is read on {replica.place}, a standby: {replica.delay}"
    return Check("replica", State.WARN if replica.late else State.GOOD, sentence)


async def _gateways(database: Database) -> Check:
    """In one line; what is bad about one of them stands in the attention list."""
    states = await Gateways(database).states()
    worst = State.WARN if any(one.trouble for one in states) else State.GOOD
    return Check("gateways", worst, fleet_words(states))


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
               WHERE timestamp >= now() - interval '10 minutes' AND timestamp < now()"""
        )
    ).fetchone()
    age = row[0] if row else None
    if age is None:
        return Check("request log", State.WARN, "no request was logged in the last 10 minutes")
    if age > 60:
        return Check("request log", State.WARN, f"the newest row is {age:.0f} s old")
    return Check("request log", State.GOOD, f"the newest row is {age:.0f} s old")


async def _cursors(connection: Connection) -> list[Check]:
    return [Check(one.what, State(one.severity), one.sentence) for one in await cursor_states(connection)]


async def _reconciled(database: Database) -> Check:
    """Usage records held against the log, the newest hours first, as many as fit into RECONCILE_S."""
    reconciliation = Reconciliation(database)
    mark = await reconciliation.watermark()
    hour = mark.now.replace(minute=0, second=0, microsecond=0)
    oldest, until, checked, wrong = mark.oldest or hour, monotonic() + RECONCILE_S, 0, 0
    while hour >= oldest and (left := until - monotonic()) > 0:
        try:
            found = await reconciliation.check(hour, rule=mark.rule, statement_s=left)
        except TimedOut:
            break
        wrong += len(found.differences)
        checked += 1
        hour -= timedelta(hours=1)
    if wrong:
        sentence = f"{wrong:,} usage records differ from the log; run `opsdeck usage reconcile`"
        return Check("reconcile", State.BAD, sentence)
    if not checked and hour >= oldest:
        sentence = f"an hour of the log takes more than {RECONCILE_S:.0f} s; `opsdeck usage reconcile` checks it"
        return Check("reconcile", State.WARN, sentence)
    rest = "" if hour < oldest else "; `opsdeck usage reconcile` checks the rest"
    return Check("reconcile", State.GOOD, f"usage of {_hours(checked)} is what the log says{rest}")


def _hours(checked: int) -> str:
    return "the last hour" if checked == 1 else f"the last {checked} hours"


async def _partitions(connection: Connection) -> Check:
    row = await (await connection.execute("SELECT console.log_is_hypertable()")).fetchone()
    if row and row[0]:
        return Check("partitions", State.GOOD, "the hypertable makes its own chunks")
    row = await (await connection.execute(HOURS_AHEAD)).fetchone()
    hours = int(row[0]) if row else 0
    if hours >= PARTITIONS_AHEAD:
        return Check("partitions", State.GOOD, f"{hours} hourly partitions ahead")
    line = few_hours_ahead(hours)
    return Check("partitions", State(line.severity), line.sentence)

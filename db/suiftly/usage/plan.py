"""Where the numbers of a usage chart are read: rollups of the fleet or of customers, or the log itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from db.database import Connection
from db.errors import Refused
from db.suiftly.usage.latency import SUMS
from db.suiftly.usage.rollups import RolledUp, not_rolled_up, rolled_up
from db.suiftly.usage.sums import Sums
from db.suiftly.usage.window import DAY, HOUR, MINUTE, UsageQuestion, Window, window_of

LOG_SPAN: Final = {False: HOUR, True: DAY}
"""How much of the log one question reads at most; of one customer more, whose rows an index finds."""
CUSTOMER_MINUTES: Final = 3 * HOUR
"""Up to this a customer is charted by minute, from the log."""

_RANGE: LiteralString = "bucket >= %(start)s AND bucket < %(end)s"
_STEP: LiteralString = "date_bin(%(step)s, bucket, %(start)s)"
_SLOT: LiteralString = "width_bucket(greatest(time_total, 0), console.latency_bounds()) - 1"
_LOG_COLUMNS: LiteralString = """
    timestamp, customer_id, network, service_type, server_id, traffic_type, status_code, bytes_sent, time_total, repeat
"""
_SUMS: LiteralString = """
    sum(guaranteed)::bigint, sum(burst)::bigint, sum(rejected)::bigint, sum(invalid)::bigint,
    sum(server_error)::bigint,
    sum(requests - guaranteed - burst - rejected - invalid - server_error)::bigint,
    sum(coalesce(client_errors, rejected + invalid))::bigint, sum(coalesce(server_errors, server_error))::bigint,
    sum(bytes)::bigint
"""


def _fleet(table: LiteralString, condition: LiteralString) -> LiteralString:
    return (
        "SELECT " + _STEP + ", traffic_type, status_class, sum(requests)::bigint, sum(bytes)::bigint FROM console."
        + table + " WHERE " + _RANGE + " AND (" + condition + ") GROUP BY 1, 2, 3"
    )  # fmt: skip


def _fleet_latencies(table: LiteralString, condition: LiteralString) -> LiteralString:
    return (
        "SELECT " + _STEP + ", " + SUMS + " FROM console." + table + " WHERE " + _RANGE
        + " AND traffic_type IN (1, 2) AND (" + condition + ") GROUP BY 1"
    )  # fmt: skip


def _customer(condition: LiteralString) -> LiteralString:
    return (
        "SELECT " + _STEP + ", " + _SUMS + ", " + SUMS + " FROM console.traffic_customer_hour WHERE " + _RANGE
        + " AND (" + condition + ") GROUP BY 1"
    )  # fmt: skip


def _from_log(rows: LiteralString, condition: LiteralString) -> LiteralString:
    return (
        "SELECT date_bin(%(step)s, timestamp, %(start)s), traffic_type, (status_code / 100)::smallint, " + _SLOT
        + ", sum(repeat)::bigint, sum(bytes_sent)::bigint FROM (" + rows + ") log WHERE timestamp >= %(start)s"
        + " AND timestamp < %(end)s AND (" + condition + ") GROUP BY 1, 2, 3, 4"
    )  # fmt: skip


_LOG: LiteralString = "SELECT " + _LOG_COLUMNS + " FROM haproxy_raw_logs"
# As the rollups have customers: 0 for one that is not in the table.
KNOWN_LIVE: LiteralString = (
    "SELECT timestamp, coalesce(c.customer_id, 0) AS customer_id, network, service_type, server_id, traffic_type,"
    " status_code, bytes_sent, time_total, repeat FROM (" + not_rolled_up(_LOG_COLUMNS) + ") l"
    " LEFT JOIN public.customers c USING (customer_id)"
)


@dataclass(frozen=True, slots=True)
class Kept:
    """How far back one can ask, and how far the rollups are."""

    rollups: RolledUp
    minutes_from: datetime
    hours_from: datetime
    log_from: datetime
    days_from: datetime  # the first day on which anything was rolled up

    @property
    def now(self) -> datetime:
        return self.rollups.now

    def known_from(self, kept_from: datetime) -> datetime:
        """Of rollups kept from then on. Of the time before the first day nothing is known, which is not zero."""
        return max(kept_from, self.days_from)


async def what_is_kept(connection: Connection) -> Kept:
    """As this transaction sees it."""
    rollups = await rolled_up(connection)
    row = await (
        await connection.execute(
            """SELECT date_trunc('hour', now() - minutes_kept, 'UTC'), date_trunc('hour', now() - hours_kept, 'UTC'),
                      greatest(now() - retention, log_complete_from),
                      coalesce((SELECT min(bucket) FROM console.traffic_day), now()) FROM console.metering"""
        )
    ).fetchone()
    assert row is not None  # noqa: S101 - the migration writes the row
    return Kept(rollups, *row)


@dataclass(frozen=True, slots=True)
class Count:
    """A query whose rows begin with the step that they belong to, and how the rest of a row is added to its sums."""

    query: LiteralString
    add: Callable[[Sums, Sequence[Any]], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to count. The queries take start, end, step and `parameters`.

    Those of `before` leave latencies of the fleet out, which are most of
    the work, and what is not rolled up yet.
    """

    window: Window
    origin: str  # in words
    grain: timedelta  # the least step there is
    oldest: datetime  # what is kept
    live: bool  # whether the rollups have to be up to date
    parameters: dict[str, object]
    now: tuple[Count, ...]
    before: tuple[Count, ...]


def plan_for(question: UsageQuestion, kept: Kept, columns: int) -> Plan:
    """The coarsest rollup that has the steps, or the log. Raises Refused where neither has what is asked for."""
    asked = question.wanted.asked
    if "customer" not in asked:
        return _of_fleet(question, kept, columns)
    start = (question.end or kept.now) - question.span
    if "server" in asked or (question.span <= CUSTOMER_MINUTES and start >= kept.log_from):
        return _of_log(question, kept, columns)
    if start < kept.hours_from:
        raise Refused(f"customers by hour are kept since {kept.hours_from:%Y-%m-%d}; begin later")
    condition, parameters = question.wanted.where()
    counted = (Count(_customer(condition), Sums.add_sums),)
    return Plan(
        window_of(question, kept.now, columns=columns, finest=HOUR),
        "rolled up by hour",
        HOUR,
        kept.known_from(kept.hours_from),
        live=True,
        parameters=parameters | kept.rollups.parameters(),
        now=(*counted, Count(_from_log(KNOWN_LIVE, condition), Sums.add_timed)),
        before=counted,
    )


def _of_fleet(question: UsageQuestion, kept: Kept, columns: int) -> Plan:
    table = fleet_table(question, kept, columns)
    condition, parameters = question.wanted.where()
    counted = (Count(_fleet(table.name, condition), Sums.add_group),)
    return Plan(
        table.window,
        f"rolled up by {table.unit}",
        table.grain,
        table.oldest,
        live=True,
        parameters=parameters | kept.rollups.parameters(),
        now=(
            *counted,
            Count(_fleet_latencies(table.name, condition), Sums.add_slots),
            Count(_from_log(not_rolled_up(_LOG_COLUMNS), condition), Sums.add_timed),
        ),
        before=counted,
    )


def _of_log(question: UsageQuestion, kept: Kept, columns: int) -> Plan:
    start = (question.end or kept.now) - question.span
    if question.span > LOG_SPAN[True] or start < kept.log_from:
        raise Refused(
            "a customer by server is in the log only, where one question reads 24 h of what it keeps; "
            "narrow the window, or leave the server out"
        )
    condition, parameters = question.wanted.where()
    counted = (Count(_from_log(_LOG, condition), Sums.add_timed),)
    window = window_of(question, kept.now, columns=columns, finest=MINUTE)
    return Plan(window, "counted in the log", MINUTE, kept.log_from, False, parameters, counted, counted)


@dataclass(frozen=True, slots=True)
class FleetTable:
    """A rollup of the fleet, and the window in its steps."""

    name: LiteralString
    unit: str
    grain: timedelta
    oldest: datetime
    window: Window


def fleet_table(question: UsageQuestion, kept: Kept, columns: int) -> FleetTable:
    """The coarsest that has the steps."""
    start = (question.end or kept.now) - question.span
    finest = MINUTE if start >= kept.minutes_from else HOUR if start >= kept.hours_from else DAY
    window = window_of(question, kept.now, columns=columns, finest=finest)
    if window.step >= DAY:
        return FleetTable("traffic_day", "day", DAY, kept.days_from, window)
    if window.step >= HOUR:
        return FleetTable("traffic_hour", "hour", HOUR, kept.known_from(kept.hours_from), window)
    return FleetTable("traffic_minute", "minute", MINUTE, kept.known_from(kept.minutes_from), window)

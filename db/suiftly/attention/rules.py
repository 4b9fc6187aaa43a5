"""The rules: a cheap query each, whose rows are lines. Nothing is kept: a line is there while its rule finds it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from db.database import Connection
from db.suiftly.attention.line import Attention
from db.suiftly.keys.format import format_fingerprint
from db.suiftly.log.codes import server_label
from db.suiftly.money import in_dollars

RECENT = timedelta(minutes=5)
CHAIN_LATE = timedelta(minutes=10)
PARTITIONS_AHEAD = 24
"""Hours of the log made ahead of time; below, maintain-partitions is not run."""
PARTITIONS_LEAST = 6
"""Below, rows soon land in the DEFAULT."""
# Partition names carry their hour, as console.ensure_log_partitions() writes them.
HOURS_AHEAD: LiteralString = """
    SELECT count(*) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname ~ '^haproxy_raw_logs_\\d{10}$'
      AND relname >= 'haproxy_raw_logs_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDDHH24')
"""
"""How many hours of the log are made from this one on; a hypertable makes its own."""
BOUNDS = {"window": RECENT, "late": CHAIN_LATE, "hours": PARTITIONS_AHEAD}


@dataclass(frozen=True, slots=True)
class Rule:
    """What to look for, and the line that a row of it makes."""

    query: LiteralString
    line: Callable[..., Attention]


_STILL_SERVED = """
    SELECT k.api_key_fp, k.revoked_at, sum(r.repeat)::bigint
    FROM api_keys k JOIN haproxy_raw_logs r ON r.customer_id = k.customer_id AND r.api_key_fp = k.api_key_fp
    WHERE NOT k.is_active AND k.revoked_at > now() - interval '1 day'
      AND r.timestamp >= now() - %(window)s AND r.timestamp < now()
      AND r.timestamp > k.revoked_at + (SELECT gateway_allowance FROM console.metering) AND r.traffic_type IN (1, 2)
    GROUP BY 1, 2 ORDER BY 3 DESC
"""
_SUSPENDED_SERVED = """
    SELECT c.customer_id, c.updated_at, sum(r.repeat)::bigint
    FROM customers c JOIN haproxy_raw_logs r ON r.customer_id = c.customer_id
    WHERE c.status IN ('suspended', 'closed') AND r.timestamp >= now() - %(window)s AND r.timestamp < now()
      AND r.timestamp > c.updated_at + (SELECT gateway_allowance FROM console.metering) AND r.traffic_type IN (1, 2)
    GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 5
"""

_SHOULD_HAVE_ENDED = """
    SELECT e.api_key_fp, e.ends_at FROM console.key_end e JOIN api_keys k USING (api_key_fp)
    WHERE e.ends_at < now() - interval '5 minutes' AND k.is_active ORDER BY e.ends_at LIMIT 5
"""

_ON_NO_BOOKS = """
    SELECT count(*) FILTER (WHERE outcome = 'conflict'), count(*) FILTER (WHERE outcome = 'unmatched'), min(at)
    FROM console.chain_event WHERE outcome IN ('unmatched', 'conflict') HAVING count(*) > 0
"""
_BILLS_FAILED = """
    SELECT count(*), sum(amount_usd_cents)::bigint, min(created_at),
           to_char(min(billing_period_start) AT TIME ZONE 'UTC', 'YYYY-MM')
    FROM billing_records WHERE status = 'failed' AND type = 'charge' HAVING count(*) > 0
"""
_FEW_HOURS_AHEAD = HOURS_AHEAD + " HAVING NOT console.log_is_hypertable() AND count(*) < %(hours)s"
# Rows come late for many reasons, but none comes from the future. The bound keeps it to two partitions.
_CLOCKS = """
    SELECT server_id, extract(epoch FROM max(timestamp) - now())::int FROM haproxy_raw_logs
    WHERE timestamp > now() + interval '5 s' AND timestamp < now() + interval '1 hour'
    GROUP BY 1 ORDER BY 2 DESC LIMIT 5
"""
_MAINTENANCE = "SELECT updated_at FROM system_control WHERE id = 1 AND maintenance_mode"

# Once read, the chain is read once a minute. The last run tells why it is not, where it is one that failed.
_CHAIN_LATE = """
    SELECT r.outcome, r.message, extract(epoch FROM now() - c.updated_at)::bigint / 60, c.updated_at
    FROM console.chain_cursor c
    LEFT JOIN LATERAL (SELECT outcome, message FROM console.job_run
                       WHERE job = 'sync-chain' AND NOT dry_run AND outcome IN ('succeeded', 'failed', 'crashed')
                       ORDER BY started_at DESC LIMIT 1) r ON true
    WHERE c.stream = 'escrow' AND (c.updated_at < now() - %(late)s OR r.outcome <> 'succeeded')
"""


async def still_served(connection: Connection) -> list[tuple[int, datetime, int]]:
    """Keys revoked within a day and served in the last RECENT, past the allowance: fingerprint, when, requests."""
    return await (await connection.execute(_STILL_SERVED + " LIMIT 100", BOUNDS)).fetchall()


async def chain_late(connection: Connection) -> str | None:
    """Why the mirror of the chain is not up to date; None when it is, or was never begun."""
    found = await (await connection.execute(_CHAIN_LATE, BOUNDS)).fetchone()
    return None if found is None else _chain_words(*found[:3])


def _chain_words(outcome: str | None, message: str, minutes: int) -> str:
    if outcome in (None, "succeeded"):
        return f"the chain was last read {minutes:,} min ago: nobody runs sync-chain"
    return f"sync-chain failed: {message}"


def _served(fp: int, revoked: datetime, requests: int) -> Attention:
    sentence = f"revoked key {format_fingerprint(fp)} is still served: {requests} request(s) in 5 min"
    return Attention("bad", sentence, f"key:{fp}", revoked)


def _not_active(customer: int, since: datetime, requests: int) -> Attention:
    sentence = f"customer {customer} is not active but served: {requests} request(s)"
    return Attention("bad", sentence, f"customer:{customer}", since)


def _not_ended(fp: int, ended: datetime) -> Attention:
    sentence = f"rotated key {format_fingerprint(fp)} should have ended: nobody runs end-rotated-keys"
    return Attention("bad", sentence, f"key:{fp}", ended)


def _on_no_books(conflicts: int, unmatched: int, since: datetime) -> Attention:
    sentence = f"escrow events on no books: {conflicts:,} in conflict, {unmatched:,} of no known customer"
    return Attention("warn", sentence, "chain", since)


def _late(outcome: str | None, message: str, minutes: int, read_at: datetime) -> Attention:
    return Attention("warn", _chain_words(outcome, message, minutes), "jobs:sync-chain", read_at)


def _bills_failed(bills: int, cents: int, since: datetime, month: str) -> Attention:
    """Opens the oldest of them: billing shows a month at a time."""
    sentence = f"{bills:,} bill(s) failed: {in_dollars(cents)} is not paid; retry, or record the payment"
    return Attention("warn", sentence, f"billing:{month} failed", since)


def few_hours_ahead(hours: int) -> Attention:
    """So many hours of the log are made, and more should be."""
    sentence = f"the log's hours are made only {hours} h ahead; run `opsdeck jobs run maintain-partitions`"
    return Attention("bad" if hours < PARTITIONS_LEAST else "warn", sentence, "jobs:maintain-partitions")


def _clock(server: int, seconds: int) -> Attention:
    name = server_label(server)
    return Attention(
        "warn", f"{name} logs {seconds} s ahead of the database: its clock is off", f"requests:server:{name}"
    )


def _maintenance(since: datetime) -> Attention:
    return Attention("warn", "maintenance mode is on: new signups are paused", "control", since)


RULES = (
    Rule(_STILL_SERVED + " LIMIT 5", _served),
    Rule(_SUSPENDED_SERVED, _not_active),
    Rule(_SHOULD_HAVE_ENDED, _not_ended),
    Rule(_FEW_HOURS_AHEAD, few_hours_ahead),
    Rule(_CLOCKS, _clock),
    Rule(_BILLS_FAILED, _bills_failed),
    Rule(_ON_NO_BOOKS, _on_no_books),
    Rule(_CHAIN_LATE, _late),
    Rule(_MAINTENANCE, _maintenance),
)

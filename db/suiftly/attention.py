"""What needs a look: each line says it in a sentence and names the subject that it opens."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from db.database import Connection
from db.suiftly.gateways import GatewayState, GatewayVault, read_reports
from db.suiftly.key_format import format_fingerprint
from db.suiftly.metering import cursor_states

RECENT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Attention:
    """One thing that needs a look, and the subject it opens ("key:42", "jobs:clean-up", "control")."""

    severity: str  # "bad" or "warn"
    sentence: str
    subject: str
    since: datetime | None = None


_STILL_SERVED = """
    SELECT k.api_key_fp, k.revoked_at, sum(r.repeat)::bigint
    FROM api_keys k JOIN haproxy_raw_logs r ON r.customer_id = k.customer_id AND r.api_key_fp = k.api_key_fp
    WHERE NOT k.is_active AND k.revoked_at > now() - interval '1 day'
      AND r.timestamp >= now() - %(window)s AND r.timestamp < now()
      AND r.timestamp > k.revoked_at + (SELECT gateway_allowance FROM console.metering) AND r.traffic_type IN (1, 2)
    GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 100
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
    FROM console.chain_event WHERE outcome IN ('unmatched', 'conflict')
"""

# Once read, the chain is read once a minute. The last run tells why it is not, where it is one that failed.
_CHAIN_LATE = """
    SELECT extract(epoch FROM now() - c.updated_at)::bigint / 60, c.updated_at, r.outcome, r.message
    FROM console.chain_cursor c
    LEFT JOIN LATERAL (SELECT outcome, message FROM console.job_run
                       WHERE job = 'sync-chain' AND NOT dry_run AND outcome IN ('succeeded', 'failed', 'crashed')
                       ORDER BY started_at DESC LIMIT 1) r ON true
    WHERE c.stream = 'escrow' AND (c.updated_at < now() - %(late)s OR r.outcome <> 'succeeded')
"""
CHAIN_LATE = timedelta(minutes=10)

_BOUNDS = {"window": RECENT}


async def still_served(connection: Connection) -> list[tuple[int, datetime, int]]:
    """Keys revoked within a day and served in the last RECENT, past the allowance: fingerprint, when, requests."""
    return await (await connection.execute(_STILL_SERVED, _BOUNDS)).fetchall()


async def chain_late(connection: Connection) -> list[tuple[str, datetime]]:
    """Why the mirror of the chain is not up to date, and since when; empty when it is, or was never begun."""
    found = await (await connection.execute(_CHAIN_LATE, {"late": CHAIN_LATE})).fetchall()
    return [
        (
            f"sync-chain failed: {message}"
            if outcome not in (None, "succeeded")
            else f"the chain was last read {minutes:,} min ago: nobody runs sync-chain",
            at,
        )
        for minutes, at, outcome, message in found
    ]


async def attention(connection: Connection) -> tuple[Attention, ...]:
    """The whole list, worst first within each kind."""
    lines = [
        Attention(state.severity, f"{state.what}: {state.sentence}", f"jobs:{state.job}")
        for state in await cursor_states(connection)
        if state.severity != "good"
    ]
    lines += [
        Attention(
            "bad",
            f"revoked key {format_fingerprint(fp)} is still served: {count} request(s) in 5 min",
            f"key:{fp}",
            since,
        )
        for fp, since, count in (await still_served(connection))[:5]
    ]
    lines += [
        Attention("bad", f"customer {id_} is not active but served: {count} request(s)", f"customer:{id_}", since)
        for id_, since, count in await (await connection.execute(_SUSPENDED_SERVED, _BOUNDS)).fetchall()
    ]
    lines += [
        Attention(
            "bad",
            f"rotated key {format_fingerprint(fp)} should have ended: nobody runs end-rotated-keys",
            f"key:{fp}",
            ended,
        )
        for fp, ended in await (await connection.execute(_SHOULD_HAVE_ENDED)).fetchall()
    ]
    lines += _of_gateways(await read_reports(connection))
    events = await (await connection.execute(_ON_NO_BOOKS)).fetchone()
    if events and (events[0] or events[1]):
        sentence = f"escrow events on no books: {events[0]:,} in conflict, {events[1]:,} of no known customer"
        lines.append(Attention("warn", sentence, "chain", events[2]))
    lines += [Attention("warn", sentence, "jobs:sync-chain", since) for sentence, since in await chain_late(connection)]
    row = await (
        await connection.execute("SELECT maintenance_mode, updated_at FROM system_control WHERE id = 1")
    ).fetchone()
    if row and row[0]:
        lines.append(Attention("warn", "maintenance mode is on: new signups are paused", "control", row[1]))
    return tuple(lines)


def _of_gateways(reports: list[GatewayVault]) -> Iterator[Attention]:
    """One line for those that are late or in error, one for those that fell silent."""
    for severity in ("bad", "warn"):
        silent = severity == "warn"
        these = [one for one in reports if one.trouble and (one.state is GatewayState.UNKNOWN) == silent]
        if these:
            more = f"; and {len(these) - 1} more" if len(these) > 1 else ""
            since = these[0].seen_at if silent else these[0].behind_since
            yield Attention(severity, f"{these[0].trouble}{more}", "control:gateways", since)

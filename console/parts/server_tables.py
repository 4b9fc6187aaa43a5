"""The views of the database screen besides its sessions: sizes, indexes, statements, upkeep."""

from collections.abc import Callable
from datetime import UTC, datetime

from console.parts.server_sessions import GRANT, HIDDEN
from console.words import ago, short
from db.source import WRAPAROUND, IndexUse, StatementCost, TableSize, Upkeep
from widgets.facts import Fact
from widgets.keyset_table import Column, KeysetTable
from widgets.tone import Tone

_LAG_S, _KEPT = 10.0, 10**9
_STATEMENTS_MISSING = (
    "Nothing counts statements here: put pg_stat_statements into shared_preload_libraries, then CREATE EXTENSION it."
)


def size(count: int | None) -> str:
    """Bytes as operators read them; "-" when unknown."""
    return "-" if count is None else f"{short(count)}B"


def tables_table() -> KeysetTable[TableSize]:
    return KeysetTable(
        (
            Column("table", 20, lambda row: row.name, flex=True),
            Column("parts", 6, lambda row: f"{row.parts:,}" if row.parts else "-", align="right"),
            Column("rows, about", 11, lambda row: short(row.rows), align="right"),
            Column("size", 8, lambda row: size(row.bytes), align="right"),
            Column("of it indexes", 13, lambda row: size(row.index_bytes), align="right"),
            Column("dead rows", 9, _dead, align="right"),
            Column("vacuumed", 11, lambda row: _since(row.vacuumed_at), hide_below=90),
            Column("analyzed", 11, lambda row: _since(row.analyzed_at), hide_below=90),
        ),
        lambda row: row.name,
        "No tables.",
        id="tables",
    )


def indexes_table() -> KeysetTable[IndexUse]:
    return KeysetTable(
        (
            Column("table", 29, lambda row: row.table),
            Column("index on", 16, lambda row: row.definition, flex=True),
            Column("parts", 6, lambda row: f"{row.parts:,}" if row.parts > 1 else "-", align="right", hide_below=90),
            Column("size", 8, lambda row: size(row.bytes), align="right"),
            Column("scans", 7, lambda row: short(row.scans), align="right"),
            Column("", 9, _use),
        ),
        lambda row: (row.table, row.definition, row.is_unique),
        "No indexes.",
        id="indexes",
    )


def statements_table() -> KeysetTable[StatementCost]:
    return KeysetTable(
        (
            Column("total", 9, lambda row: duration(row.total_ms), align="right"),
            Column("mean", 9, lambda row: duration(row.mean_ms), align="right"),
            Column("calls", 8, lambda row: short(row.calls), align="right"),
            Column("rows", 8, lambda row: short(row.rows), align="right"),
            Column("owner", 10, lambda row: row.owner, hide_below=90),
            Column("statement", 20, statement_text, flex=True),
        ),
        lambda row: (row.owner, row.statement),
        _STATEMENTS_MISSING,
        id="statements",
    )


def upkeep_facts(found: Upkeep) -> list[Fact]:
    """What has to be kept up, and how well it is."""
    share = found.frozen_age / WRAPAROUND
    late = found.frozen_age > 2 * found.freeze_at
    facts: list[Fact] = [
        ("database", f"{size(found.bytes)}{', a standby' if found.is_standby else ''}"),
        ("wraparound", f"{short(found.frozen_age)} transactions old, {share:.1%} of the way; multixacts "
         f"{short(found.multixact_age)}; frozen at {short(found.freeze_at)}", Tone.WARN if late else Tone.PLAIN),
        ("autovacuum", "on" if found.autovacuum else "▲ off: nothing is cleared away by itself",
         Tone.PLAIN if found.autovacuum else Tone.BAD),
    ]  # fmt: skip
    for one in found.vacuums:
        done = f": {one.phase}" * bool(one.phase) + ("" if one.percent is None else f", {one.percent} %")
        facts.append(("vacuum", f"{one.table}{done} (pid {one.pid})", Tone.ACCENT))
    for server in found.standbys:
        lag = "" if server.behind_s is None else f", {server.behind_s:,.1f} s"
        slow = (server.behind_s or 0) > _LAG_S
        text = f"{server.state} {server.sync}, {size(server.behind_bytes)} behind{lag}"
        if not server.state:
            text = f"how far behind is hidden from this role; {GRANT}"
        facts.append(("replica", f"{server.name}: {text}", Tone.WARN if slow else Tone.PLAIN))
    for slot in found.slots:
        idle = not slot.active or (slot.kept_bytes or 0) > _KEPT
        text = f"{slot.name} ({slot.kind}): {'in use' if slot.active else '▲ nobody reads it'}, "
        facts.append(
            ("slot", f"{text}keeps {size(slot.kept_bytes)} of WAL {slot.status}", Tone.WARN if idle else Tone.PLAIN)
        )
    if not found.standbys and not found.slots:
        facts.append(("replication", "nobody is fed from here, or it is hidden from this role", Tone.DIM))
    for held in found.prepared:
        facts.append(
            ("prepared", f"▲ {held.name} ({held.owner}), {ago(held.since, found.now)}: holds its locks", Tone.WARN)
        )
    return [*facts, *_timescale(found)]


def _timescale(found: Upkeep) -> list[Fact]:
    if found.timescale is None:
        return [("TimescaleDB", "not here", Tone.DIM)]
    facts: list[Fact] = [("TimescaleDB", found.timescale)]
    for table in found.hypertables:
        oldest = f", from {ago(table.oldest, found.now)}" if table.oldest else ""
        shrunk = f" from {size(table.bytes_before)} to {size(table.bytes_after)}" if table.bytes_before else ""
        facts.append(("chunks", f"{table.name}: {table.chunks}{oldest}; {table.compressed} compressed{shrunk}"))
    for job in found.timescale_jobs:
        failed = job.outcome == "Failed"
        when = f"{job.outcome or 'never run'} {ago(job.last_at, found.now) if job.last_at else ''}".strip()
        off = "" if job.scheduled else "; not scheduled"
        text = f"{job.name}: {when}{f'; failed {job.failures} times' * bool(job.failures)}{off}"
        facts.append(("job", f"▲ {text}" if failed else text, Tone.WARN if failed else Tone.DIM))
    return facts


def _since(at: datetime | None) -> tuple[str, Tone]:
    return (ago(at, datetime.now(UTC)), Tone.PLAIN) if at else ("never", Tone.DIM)


def _dead(row: TableSize) -> tuple[str, Tone]:
    many = row.dead > 10_000 and row.dead > 0.2 * row.rows
    return short(row.dead), Tone.WARN if many else Tone.PLAIN


def _use(row: IndexUse) -> tuple[str, Tone]:
    if row.invalid:
        return "▲ invalid", Tone.BAD
    return ("unused", Tone.NOTICE) if row.unused else ("unique" if row.is_unique else "", Tone.DIM)


def statement_text(row: StatementCost) -> tuple[str, Tone]:
    """The text, or why there is none."""
    return (row.statement, Tone.PLAIN) if row.statement else (HIDDEN, Tone.DIM)


def duration(milliseconds: float) -> str:
    """Milliseconds below a second."""
    return f"{milliseconds / 1000:,.1f} s" if milliseconds >= 1000 else f"{milliseconds:,.1f} ms"


COUNTED: dict[str, Callable[[int], str]] = {
    "tables": lambda count: f"{count} tables, the biggest first; partitions and chunks under their table",
    "indexes": lambda count: f"{count} indexes, the biggest first; scans since the counters were reset",
    "statements": lambda count: f"{count} statements, the dearest in all first",
}
"""What stands above a table of so many rows."""

"""One session, table, index or statement of the database screen in full."""

from collections.abc import Iterable, Sequence

from console.parts.server_sessions import named, session_facts
from console.parts.server_tables import duration, size, statement_text
from console.words import ago, moment, short
from db.source import IndexUse, Session, Sessions, StatementCost, TableSize, Upkeep
from widgets.facts import Fact
from widgets.tone import Tone

_MOST = 30  # lines of one kind


def session_details(row: Session, found: Sessions) -> tuple[str, list[Fact]]:
    """Its whole statement, whom it waits for and who waits for it, with what they do."""
    facts: list[Fact] = [
        ("database", f"{row.database or '-'}, as {row.owner or 'the server'}"),
        (
            "transaction",
            f"open since {ago(row.transaction_since, found.now)}" if row.transaction_since else "none open",
        ),
        *session_facts(row, found.now),
    ]
    if row.holds_capture:
        facts.append(("log", "the oldest that wrote something: no row of the log written since counts before it ends",
                      Tone.WARN))  # fmt: skip
    if row.holds_vacuum:
        facts.append(("vacuum", "the oldest snapshot: no row deleted since is freed before it ends", Tone.WARN))
    by_pid = {one.pid: one for one in found.rows}
    facts += [_other("behind", pid, by_pid.get(pid), found, Tone.WARN) for pid in sorted(set(row.blocked_by))]
    waiting = [one for one in found.rows if row.pid in one.blocked_by]
    facts += [_other("blocks", one.pid, one, found, Tone.BAD) for one in waiting[:_MOST]]
    return f"Session {row.pid}: {row.application or row.kind}", facts


def _other(how: str, pid: int, other: Session | None, found: Sessions, tone: Tone) -> Fact:
    if other is None:
        return (how, named((pid,)), tone)
    since = ago(other.transaction_since, found.now)
    words = (f"{pid} {other.application or other.kind} of {other.owner}", other.state or "state hidden")
    behind = f", and {other.blocks} wait for that one" if how == "blocks" and other.blocks else ""
    return (
        how,
        f"{', '.join(words)}, transaction since {since}{behind}: {other.statement or 'statement hidden'}",
        tone,
    )


def table_details(row: TableSize, indexes: Iterable[IndexUse], upkeep: Upkeep) -> tuple[str, list[Fact]]:
    """What of it is data, what index, how well it is kept, and each index with its use."""
    data = row.bytes - row.index_bytes
    facts: list[Fact] = [
        ("size", f"{size(row.bytes)}: {size(data)} data, {size(row.index_bytes)} indexes"
         + (f"; in {row.parts:,} parts" if row.parts else "")),
        ("rows", f"{row.rows:,} by the planner's estimate; {row.dead:,} dead ones to be cleared away"),
        ("vacuumed", moment(row.vacuumed_at) if row.vacuumed_at else "never since the counters were reset"),
        ("analyzed", moment(row.analyzed_at) if row.analyzed_at else "never since the counters were reset"),
        ("frozen", f"its oldest part {row.frozen_age:,} transactions ago"),
    ]  # fmt: skip
    for table in upkeep.hypertables:
        if table.name in (row.name, f"public.{row.name}") and table.bytes_before is not None:
            facts.append(("compressed", f"{table.compressed} of {table.chunks} chunks, from {size(table.bytes_before)} "
                          f"to {size(table.bytes_after)}, which is not in the size above"))  # fmt: skip
    facts += [
        ("index", f"{size(one.bytes)}, {short(one.scans)} scans{', unique' * one.is_unique}: {one.definition}",
         Tone.BAD if one.invalid else Tone.NOTICE if one.unused else Tone.PLAIN)
        for one in indexes if one.table == row.name
    ][:_MOST]  # fmt: skip
    return f"Table {row.name}", facts


def index_details(row: IndexUse) -> tuple[str, list[Fact]]:
    """Its whole definition, and how it is used."""
    each = f", {short(row.entries_read / row.scans)} a scan" if row.scans else ""
    use = "it only costs: no scan since the counters were reset" if row.unused else "in use"
    if row.is_unique:
        use = "keeps rows apart"
    if row.invalid:
        use = "invalid: a build that failed left it behind; REINDEX CONCURRENTLY or DROP it"
    facts: list[Fact] = [
        ("definition", row.definition),
        ("size", f"{size(row.bytes)}" + (f" in {row.parts:,} parts" if row.parts > 1 else "")),
        ("scans", f"{row.scans:,}; entries read {row.entries_read:,}{each}"),
        ("use", use, Tone.BAD if row.invalid else Tone.NOTICE if row.unused else Tone.PLAIN),
    ]
    return f"Index on {row.table}", facts


def statement_details(row: StatementCost, shown: Sequence[StatementCost]) -> tuple[str, list[Fact]]:
    """Its whole text, and its share."""
    total = sum(one.total_ms for one in shown) or 1.0
    text, tone = statement_text(row)
    facts: list[Fact] = [
        ("owner", row.owner or "-"),
        ("took", f"{duration(row.total_ms)} in all, {row.total_ms / total:.0%} of what those listed took"),
        ("calls", f"{row.calls:,}, {duration(row.mean_ms)} each; {row.rows:,} rows, "
         f"{short(row.rows / (row.calls or 1))} a call"),
        ("statement", text, tone),
    ]  # fmt: skip
    return "Statement", facts

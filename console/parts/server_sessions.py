"""The sessions of the database screen: their table, and what is said of them."""

from collections.abc import Iterable
from datetime import datetime

from console.words import ago, moment
from db.source import Session, Sessions
from widgets.facts import Fact
from widgets.keyset_table import Column, KeysetTable
from widgets.tone import Tone

GRANT = "pg_monitor shows it"
HIDDEN = f"hidden from this role; {GRANT}"
_LONG_S = 60.0  # a transaction that is older is worth a look
_STATES = {"active": Tone.GOOD, "idle": Tone.DIM, "idle in transaction": Tone.NOTICE, "": Tone.DIM}


def sessions_table() -> KeysetTable[tuple[Session, datetime]]:
    """Rows carry the moment they are of, so that ages are painted anew."""
    return KeysetTable(
        (
            Column("pid", 7, lambda row: str(row[0].pid), align="right"),
            Column("owner", 10, lambda row: row[0].owner or "server"),
            Column("application", 12, _application, flex=True),
            Column("state", 19, _state),
            Column("open for", 9, _transaction),
            Column("in the way", 13, _in_the_way),
            Column("database", 12, lambda row: row[0].database or row[0].kind, hide_below=100),
        ),
        lambda row: (row[0].pid, row[0].started),
        "Nobody else is connected.",
        id="sessions",
    )


def sessions_facts(found: Sessions) -> list[Fact]:
    """How many, of what kind, and what the oldest transactions hold up."""
    states = ", ".join(f"{count} {state}" for state, count in found.by_state)
    owners = ", ".join(f"{owner or 'hidden'} {count}" for owner, count in found.by_owner[:8])
    full = found.connections >= 0.8 * found.most_connections
    facts: list[Fact] = [
        ("connections", f"{found.connections} of {found.most_connections}: {states or 'no other'}",
         Tone.WARN if full else Tone.PLAIN),
        ("by owner", owners or "-", Tone.DIM),
    ]  # fmt: skip
    if found.hidden:
        facts.append(
            ("hidden", f"what {found.hidden} of them do, and what they hold up: this role may not see it; {GRANT}",
             Tone.NOTICE)
        )  # fmt: skip
    if found.blocked:
        roots = {pid for row in found.blocked for pid in row.blocked_by} - {row.pid for row in found.blocked}
        behind = named(roots) if roots else "each other"
        facts.append(("blocked", f"▲ {len(found.blocked)} wait for a lock behind {behind}", Tone.WARN))
    else:
        facts.append(("blocked", "nobody waits for a lock", Tone.DIM))
    facts.append(_held("log", found.holds_capture, found, "its rows count once it commits"))
    facts.append(_held("vacuum", found.holds_vacuum, found, "nothing deleted since is freed"))
    return facts


def named(pids: Iterable[int]) -> str:
    """Sessions by number; zero is a prepared transaction, which has none."""
    return ", ".join(str(pid) if pid else "a prepared transaction (see upkeep)" for pid in sorted(set(pids)))


def session_facts(row: Session, now: datetime) -> list[Fact]:
    """One session in full."""
    waits = [f"behind {named(row.blocked_by)}"] if row.blocked_by else []
    waits += [row.waits_for] if row.waits_for else []
    hidden = row.kind == "hidden"
    none: str = HIDDEN if hidden else "none"
    return [
        ("session", f"{row.pid}, {row.kind}, since {moment(row.started)}"),
        ("statement", row.statement or none, Tone.PLAIN if row.statement else Tone.DIM),
        ("began", f"{ago(row.statement_since, now)}; {row.state or 'state hidden'} since {ago(row.state_since, now)}"),
        ("waits", "; ".join(waits) or ("for no lock" if hidden else "for nothing"),
         Tone.WARN if row.blocked_by else Tone.DIM),
    ]  # fmt: skip


def _held(what: str, row: Session | None, found: Sessions, means: str) -> Fact:
    name = f"oldest for {what}"
    shown = " that is shown" if found.hidden else ""
    if row is None or row.transaction_since is None:
        return (name, f"no transaction of another is open{shown}", Tone.DIM)
    long = (found.now - row.transaction_since).total_seconds() > _LONG_S
    words = f"{row.pid} ({row.owner or row.kind}){shown}, began {ago(row.transaction_since, found.now)}: {means}"
    return (name, f"▲ {words}" if long else words, Tone.WARN if long else Tone.DIM)


def _application(row: tuple[Session, datetime]) -> tuple[str, Tone]:
    session, _ = row
    return session.application or session.kind, Tone.DIM if session.of_console else Tone.PLAIN


def _state(row: tuple[Session, datetime]) -> tuple[str, Tone]:
    return row[0].state or "hidden", _STATES.get(row[0].state, Tone.WARN)


def _transaction(row: tuple[Session, datetime]) -> tuple[str, Tone]:
    session, now = row
    if session.transaction_since is None:
        return "-", Tone.DIM
    long = (now - session.transaction_since).total_seconds() > _LONG_S
    return ago(session.transaction_since, now).removesuffix(" ago"), Tone.WARN if long else Tone.PLAIN


def _in_the_way(row: tuple[Session, datetime]) -> tuple[str, Tone]:
    session, _ = row
    if session.blocks:
        return f"▲ blocks {session.blocks}", Tone.WARN if session.blocked_by else Tone.BAD
    if session.blocked_by:
        first, *more = sorted(set(session.blocked_by))
        return f"behind {first or 'prepared'}" + (f" +{len(more)}" if more else ""), Tone.WARN
    return "", Tone.DIM

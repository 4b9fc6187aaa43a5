"""opsdeck database show | terminate"""

from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime

from console import failures
from console.cli import change
from console.cli.change import add_verb
from console.cli.context import Context, Subparsers, add_command
from console.cli.output import emit, narrate, table, to_json
from db.source import Sessions, TerminateBackend


def add(commands: Subparsers) -> None:
    verbs = add_command(commands, "database", "look at PostgreSQL itself, end a session").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    show = add_command(verbs, "show", "show sessions, sizes, index use, statements and upkeep")
    show.add_argument("--json", action="store_true", help="one JSON document")
    show.set_defaults(run=show_database)
    end = add_verb(verbs, "terminate", "end the session of a client; what it wrote is rolled back")
    end.add_argument("pid", metavar="PID", type=_pid, help="its number, as `opsdeck database show` tells it")
    end.add_argument(
        "--started", metavar="TIME", type=_moment, required=True, help="when it connected: numbers are used again"
    )
    end.set_defaults(run=terminate)


def _pid(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:11]) < 2**31:
        raise ArgumentTypeError(f"{text!r} is no pid; copy it from `opsdeck database show`")
    return int(text)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no time; copy it from `opsdeck database show`") from None


async def show_database(context: Context, options: Namespace) -> int:
    async with context.source() as source:
        server = source.server
        sessions, upkeep = await server.sessions(), await server.upkeep()
        tables, indexes, statements = await server.tables(), await server.indexes(), await server.statements()
    if options.json:
        found = {"sessions": sessions, "tables": tables, "indexes": indexes, "statements": statements, "upkeep": upkeep}
        emit(to_json(found))
        return failures.DONE
    _print_sessions(sessions)
    _print("table size", ("name", "parts", "rows", "bytes", "index_bytes", "dead", "vacuumed_at"), tables[:20])
    _print("index", ("table", "definition", "bytes", "scans", "unused", "invalid"), indexes[:20])
    _print("statement", ("owner", "calls", "total_ms", "mean_ms", "statement"),
           [replace(row, statement=row.statement[:100]) for row in (statements or ())[:20]])  # fmt: skip
    ages = ("frozen_age", "multixact_age", "freeze_at", "autovacuum", "is_standby", "bytes", "timescale")
    _print("upkeep", ages, (upkeep,))
    for several in (upkeep.vacuums, upkeep.standbys, upkeep.slots, upkeep.prepared, upkeep.hypertables):
        _print("upkeep", tuple(field.name for field in fields(several[0])) if several else (), several)
    return failures.DONE


def _print(what: str, names: tuple[str, ...], rows: Sequence[object]) -> None:
    """A table of its own; nothing where there are no rows."""
    if rows:
        emit("")
        emit(table((f"{what}: {names[0]}", *names[1:]), [[getattr(row, name) for name in names] for row in rows]))


def _print_sessions(sessions: Sessions) -> None:
    headers = ("pid", "started", "owner", "application", "state", "transaction (UTC)", "behind", "blocks", "statement")
    rows = [
        (
            row.pid,
            row.started and row.started.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            row.owner,
            row.application,
            row.state or "hidden",
            row.transaction_since,
            ",".join(map(str, sorted(set(row.blocked_by)))),
            row.blocks or "",
            row.statement[:60],
        )
        for row in sessions.rows
    ]
    emit(table(headers, rows))
    narrate(f"{sessions.connections} of {sessions.most_connections} connections")


async def terminate(context: Context, options: Namespace) -> int:
    change.check(context, options)
    async with context.source() as source:
        return await change.carry_out(context, options, source, TerminateBackend(options.pid, options.started))

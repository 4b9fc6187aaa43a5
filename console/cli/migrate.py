"""opsdeck migrate"""

from argparse import Namespace

from console import failures
from console.cli.context import Context, Subparsers, add_command
from console.cli.output import emit, narrate
from db.migrate import migrate, missing_roles, schema_state


def add(commands: Subparsers) -> None:
    parser = add_command(commands, "migrate", "create or update opsdeck's schema")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 unless the schema is current")
    parser.set_defaults(run=run_migrate)


async def run_migrate(context: Context, options: Namespace) -> int:
    async with context.database() as database:
        if options.check:
            state = await schema_state(database)
            emit(state.sentence)
            return failures.DONE if state.current else failures.FAILED
        for name in await migrate(database):
            narrate(f"applied {name}")
        if missing := await missing_roles(database):
            create = "; ".join(f"CREATE ROLE {name} NOLOGIN" for name in missing)
            narrate(f"this login may not create roles; have it done, then migrate again: {create}")
        emit((await schema_state(database)).sentence)
    return failures.DONE

"""The `opsdeck` command: the one place where settings, database, source and console meet."""

import asyncio
import gc
import logging
import os
import sys

from console import failures
from console.cli import parse, password_free
from console.cli.context import Context, open_database, open_source, own_command, require_terminal
from console.cli.output import narrate
from console.settings import Settings, UsageError
from db.database import Database
from db.errors import DatabaseError, NotLetIn, SchemaMismatch, Unavailable
from db.migrate import schema_state

_HIDDEN_DSN = "OPSDECK_DSN_OPTION"  # --dsn on its way to the second start; it still wins over everything


async def _open_console(settings: Settings) -> int:
    """The full-screen console on one database. Raises UsageError when there is no terminal for it."""
    require_terminal()
    from console.app import OpsDeck

    _collect_seldom()
    database = open_database(settings)
    await database.open()
    try:
        await _check_schema(database)
        source = open_source(settings, database)
        try:
            return await OpsDeck(source, settings).run_until_quit()
        finally:
            await source.close()
    finally:
        await database.close()


def _collect_seldom() -> None:
    """A key must not wait for the collector: a screen is some 100,000 objects, and the rows of a busy log make it look
    through all of them again and again."""
    gc.freeze()  # what was imported stays
    gc.set_threshold(50_000, 20, 20)


async def _check_schema(database: Database) -> None:
    """Raises SchemaMismatch with what is missing. A database that does not answer yet is the console's to wait for."""
    try:
        state = await schema_state(database)
    except NotLetIn:
        raise
    except Unavailable:
        return
    if not state.current:
        raise SchemaMismatch(state.sentence)


async def _run(arguments: list[str]) -> int:
    options = parse(arguments)
    hidden = os.environ.pop(_HIDDEN_DSN, None)
    if hidden is not None:
        options.dsn = hidden
    context = Context(options, _open_console)
    if options.command is None:
        return await _open_console(context.settings())
    return int(await options.run(context, options))


def _hide_password(arguments: list[str]) -> None:
    """Starts over with a DSN that carries a password in the environment, where `ps` does not show it."""
    rest, dsn = password_free(arguments)
    if dsn is not None:
        os.execve(sys.executable, own_command(*rest), os.environ | {_HIDDEN_DSN: dsn})  # noqa: S606


def main() -> int:
    """Runs the command line of this process and returns its exit code."""
    # Libraries log to stderr when nobody else listens, which is where the console draws.
    logging.basicConfig(handlers=[logging.NullHandler()])
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="replace")  # a terminal that has no "·" still gets the rest of the line
    arguments = sys.argv[1:]
    _hide_password(arguments)
    try:
        code = asyncio.run(_run(arguments))
        sys.stdout.flush()
    except (DatabaseError, UsageError) as error:
        failure = failures.word(error)
        narrate(f"opsdeck: {failure.text}")
        return failure.exit_code
    except (KeyboardInterrupt, asyncio.CancelledError):
        return failures.INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`). Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return failures.DONE
    return code


if __name__ == "__main__":
    sys.exit(main())

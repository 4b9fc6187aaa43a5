"""The `opsdeck` command: the one place where settings, database, source and console meet."""

import asyncio
import logging
import os
import sys

from console import failures
from console.cli import parse, password_free
from console.cli.context import Context, open_database
from console.cli.output import narrate
from console.settings import ENVIRONMENT_DSN, Settings, UsageError
from db.errors import DatabaseError
from db.source import Source


async def _open_console(settings: Settings) -> int:
    """The full-screen console on one database. Raises UsageError when there is no terminal for it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the console needs a terminal; in a script use the commands, see opsdeck --help")
    if os.environ.get("TERM", "dumb") in ("dumb", ""):
        raise UsageError("TERM=dumb cannot show the console; set TERM, or use the commands, see opsdeck --help")
    from console.app import OpsDeck

    database = open_database(settings)
    await database.open()
    try:
        return await OpsDeck(Source(database), settings).run_until_quit()
    finally:
        await database.close()


async def _run(arguments: list[str]) -> int:
    options = parse(arguments)
    context = Context(options, _open_console)
    if options.command is None:
        return await _open_console(context.settings())
    return int(await options.run(context, options))


def _hide_password(arguments: list[str]) -> None:
    """Starts over with a DSN that carries a password in the environment, where `ps` does not show it."""
    rest, dsn = password_free(arguments)
    if dsn is not None:
        environment = os.environ | {ENVIRONMENT_DSN: dsn}
        os.execve(sys.executable, [sys.executable, "-m", "console", *rest], environment)  # noqa: S606


def main() -> int:
    """Runs the command line of this process and returns its exit code."""
    # Libraries log to stderr when nobody else listens, which is where the console draws.
    logging.basicConfig(handlers=[logging.NullHandler()])
    arguments = sys.argv[1:]
    _hide_password(arguments)
    try:
        code = asyncio.run(_run(arguments))
        sys.stdout.flush()
    except (DatabaseError, UsageError) as error:
        failure = failures.word(error)
        narrate(f"opsdeck: {failure.text}")
        return failure.exit_code
    except KeyboardInterrupt:
        return failures.INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`). Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return failures.DONE
    return code


if __name__ == "__main__":
    sys.exit(main())

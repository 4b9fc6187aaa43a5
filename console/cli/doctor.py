"""opsdeck doctor"""

from argparse import Namespace

from console import failures
from console.cli.context import Context, Subparsers, add_command
from console.cli.output import emit, to_json
from db.source import State

_SIGNS = {State.GOOD: "ok  ", State.WARN: "warn", State.BAD: "BAD "}


def add(commands: Subparsers) -> None:
    parser = add_command(commands, "doctor", "look at everything once; exit 1 when something is bad")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=run_doctor)


async def run_doctor(context: Context, options: Namespace) -> int:
    async with context.source() as source:
        checks = await source.health()
    if options.json:
        emit(to_json({"checks": checks}))
    else:
        for check in checks:
            emit(f"{_SIGNS[check.state]}  {check.name:<12} {check.sentence}")
    return failures.FAILED if any(check.state is State.BAD for check in checks) else failures.DONE

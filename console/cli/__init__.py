"""The `opsdeck` command line: one module per command group. Nothing here imports Textual."""

from argparse import SUPPRESS, ArgumentParser, Namespace
from typing import NoReturn

from console.cli import (
    approvals,
    audit,
    billing,
    chain,
    control,
    customers,
    database,
    demo,
    doctor,
    export,
    jobs,
    keys,
    migrate,
    simulate,
    tail,
    usage,
    vault,
)
from console.settings import UsageError, has_password

_GROUPS = (
    demo,
    customers,
    keys,
    tail,
    export,
    audit,
    approvals,
    usage,
    billing,
    chain,
    control,
    jobs,
    vault,
    doctor,
    database,
    migrate,
    simulate,
)


_DESCRIPTION = """The terminal operations console for Suiftly. Without a command it opens full screen."""


class _Parser(ArgumentParser):
    """Says what is wrong in one sentence instead of printing the usage first."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def _shared() -> ArgumentParser:
    """Options that may stand before or behind the command's name."""
    parser = ArgumentParser(add_help=False, argument_default=SUPPRESS)
    shared = parser.add_argument_group("which database")
    shared.add_argument("--profile", metavar="P", help="a profile of the configuration file (the one called default)")
    shared.add_argument("--dsn", metavar="DSN", help="the database (also OPSDECK_DATABASE_URL)")
    shared.add_argument("--read-only", action="store_true", help="change nothing: only read-only connections")
    return parser


def parse(arguments: list[str]) -> Namespace:
    """Reads the command line. `run` is missing when the console itself is meant. Raises UsageError."""
    parser = _Parser(prog="opsdeck", description=_DESCRIPTION, parents=[_shared()], allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_CommandParser)
    for group in _GROUPS:
        group.add(commands)
    return parser.parse_args(arguments)


class _CommandParser(_Parser):
    """Every command takes the shared options too."""

    def __init__(self, *, parents: list[ArgumentParser] | None = None, **known: object) -> None:
        # An abbreviated --ds would carry a password past password_free().
        super().__init__(parents=[*(parents or []), _shared()], allow_abbrev=False, **known)  # type: ignore[arg-type]


def password_free(arguments: list[str]) -> tuple[list[str], str | None]:
    """The arguments without --dsn, and its value, when a --dsn carries a password; else unchanged and None."""
    rest: list[str] = []
    told: list[str] = []
    given = iter(arguments)
    for argument in given:
        if argument == "--dsn":
            told += [next(given, "")]
        elif argument.startswith("--dsn="):
            told += [argument.removeprefix("--dsn=")]
        else:
            rest += [argument]
    return (rest, told[-1]) if any(map(has_password, told)) else (arguments, None)

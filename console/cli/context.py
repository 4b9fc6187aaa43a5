"""What a command is handed besides its own options."""

import os
import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

from console.api_secret import api_secret
from console.settings import ChainTable, Settings, UsageError, configuration_path, load_settings
from db.chain.reader import ChainReader
from db.chain.values import parse_object_id
from db.database import Database, Limits
from db.source import EscrowChain, PriceBookError, Source, VaultPlace, load_prices

Subparsers: TypeAlias = "_SubParsersAction[ArgumentParser]"
OpenConsole = Callable[[Settings], Awaitable[int]]


def add_command(commands: Subparsers, name: str, summary: str, more: str = "") -> ArgumentParser:
    """A command whose own --help says what the list of commands says of it, and more."""
    return commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}. {more}".strip())


def open_database(settings: Settings) -> Database:
    """A Database as the settings say; the caller opens and closes it."""
    profile = settings.profile
    return Database(
        settings.dsn.get_secret_value(),
        replica_dsn=None if settings.replica_dsn is None else settings.replica_dsn.get_secret_value(),
        limits=Limits(statement_s=profile.statement_timeout_s),
        read_only=settings.read_only,
        pgbouncer=profile.pgbouncer,
    )


def open_source(settings: Settings, database: Database) -> Source:
    """The Source of an open database, with price book, API secret and vaults of the settings. Raises UsageError."""
    profile, path = settings.profile, settings.profile.price_book
    try:
        prices = load_prices(path and configuration_path().parent / path.expanduser(), profile.price_preset)
    except PriceBookError as error:
        raise UsageError(str(error)) from error
    vault = settings.vault
    keys = None if vault.keys is None else vault.keys.get_secret_value()
    place = VaultPlace(vault.directory, vault.key_file, keys, vault.loss_percent)
    return Source(
        database,
        prices=prices,
        secret=api_secret(settings),
        vault=place,
        chain=escrow_chain(profile.chain),
        disk_gb=profile.disk_gb,
    )


def escrow_chain(table: ChainTable | None) -> EscrowChain | None:
    """The chain of a profile, connected when it is asked first; None when it has none."""
    if table is None:
        return None
    packages = tuple(parse_object_id(package) for package in table.packages)
    return EscrowChain(ChainReader(table.config()), packages, table.start_checkpoint, table.charges_move_usdc)


def own_command(*arguments: str) -> list[str]:
    """The command line that starts this program again, as it was started.

    Not `-m console`: that would run whatever is called console in the current folder.
    """
    started = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv[1:])]
    return [sys.executable, *started, *arguments]


def require_terminal() -> None:
    """Raises UsageError when there is no terminal for the full-screen console."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the console needs a terminal; in a script use the commands, see opsdeck --help")
    if os.environ.get("TERM", "dumb") in ("dumb", ""):
        raise UsageError("TERM=dumb cannot show the console; set TERM, or use the commands, see opsdeck --help")


@dataclass(frozen=True, slots=True)
class Context:
    """The options every command shares, and how to start the full-screen console (commands import no Textual)."""

    options: Namespace
    open_console: OpenConsole

    def settings(self) -> Settings:
        """Raises UsageError when no database is named."""
        return load_settings(
            profile=getattr(self.options, "profile", None),
            dsn=getattr(self.options, "dsn", None),
            read_only=getattr(self.options, "read_only", False),
        )

    @asynccontextmanager
    async def database(self) -> AsyncGenerator[Database]:
        database = open_database(self.settings())
        await database.open()
        try:
            yield database
        finally:
            await database.close()

    @asynccontextmanager
    async def source(self) -> AsyncGenerator[Source]:
        async with self.database() as database:
            source = open_source(self.settings(), database)
            try:
                yield source
            finally:
                await source.close()

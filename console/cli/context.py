"""What a command is handed besides its own options."""

from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

from console.settings import Settings, load_settings
from db.database import Database, Limits
from db.source import Source

Subparsers: TypeAlias = "_SubParsersAction[ArgumentParser]"
OpenConsole = Callable[[Settings], Awaitable[int]]


def open_database(settings: Settings) -> Database:
    """A Database as the settings say; the caller opens and closes it."""
    profile = settings.profile
    return Database(
        settings.dsn.get_secret_value(),
        limits=Limits(statement_s=profile.statement_timeout_s),
        read_only=settings.read_only,
        pgbouncer=profile.pgbouncer,
    )


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
            yield Source(database)


Command = Callable[[Context, Namespace], Awaitable[int]]

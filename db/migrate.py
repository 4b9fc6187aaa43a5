"""Numbered .sql files applied in order, each body and its record in one transaction."""

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

from db.database import Connection, Database
from db.errors import Refused, SchemaMismatch

# Any two-int advisory key of ours has this first half, so that a customer id can never collide with one.
ADVISORY_CLASS = 0x0D5DEC
_MIGRATE_LOCK = 1
ROLES = ("opsdeck_reader", "opsdeck_operator", "opsdeck_admin")
"""What each may do stands in migrations/grants.sql."""

_PREPARE = """
    CREATE SCHEMA IF NOT EXISTS console;
    CREATE TABLE IF NOT EXISTS console.migration (
        number     integer     PRIMARY KEY,
        name       text        NOT NULL,
        checksum   text        NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of db/migrations: `0001_what_it_does.sql`."""

    number: int
    name: str
    body: bytes

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, hex: an edited file that was already applied is noticed."""
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class SchemaState:
    """What a database has against what this program brings."""

    applied: tuple[int, ...]
    pending: tuple[Migration, ...]
    edited: tuple[Migration, ...]  # applied with another checksum
    unknown: tuple[int, ...]  # applied by a newer opsdeck

    @property
    def sentence(self) -> str:
        if self.unknown:
            return f"the database was migrated by a newer opsdeck (migration {max(self.unknown)}); update this one"
        if self.edited:
            return f"migration {self.edited[0].name} was edited after it was applied; restore the file"
        if self.pending:
            return f"{len(self.pending)} migration(s) to apply, first {self.pending[0].name}; run `opsdeck migrate`"
        return f"the schema is current at migration {max(self.applied)}"

    @property
    def current(self) -> bool:
        return not (self.pending or self.edited or self.unknown)


def known_migrations() -> tuple[Migration, ...]:
    """The files that come with this program, in order. Raises ValueError when two share a number."""
    found = [
        Migration(int(match[1]), entry.name.removesuffix(".sql"), entry.read_bytes())
        for entry in files("db").joinpath("migrations").iterdir()
        if (match := re.match(r"(\d{4})_\w+\.sql$", entry.name))
    ]
    numbers = [migration.number for migration in found]
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"two migrations share a number: {sorted(numbers)}")
    return tuple(sorted(found, key=lambda migration: migration.number))


async def _record(connection: Connection) -> dict[int, str]:
    exists = await (await connection.execute("SELECT to_regclass('console.migration') IS NOT NULL")).fetchone()
    if not exists or not exists[0]:
        return {}
    return dict(await (await connection.execute("SELECT number, checksum FROM console.migration")).fetchall())


def _compare(record: dict[int, str], known: tuple[Migration, ...]) -> SchemaState:
    return SchemaState(
        applied=tuple(sorted(record)),
        pending=tuple(m for m in known if m.number not in record),
        edited=tuple(m for m in known if m.number in record and record[m.number] != m.checksum),
        unknown=tuple(sorted(set(record) - {m.number for m in known})),
    )


async def schema_state(database: Database) -> SchemaState:
    """Reads what is applied; changes nothing."""
    async with database.reading() as connection:
        return _compare(await _record(connection), known_migrations())


async def _foreign_tables(connection: Connection) -> list[str]:
    rows = await (
        await connection.execute(
            """SELECT relname FROM pg_class
               WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
                 AND relname IN ('customers', 'service_instances', 'api_keys', 'usage_records', 'haproxy_raw_logs')
               ORDER BY relname"""
        )
    ).fetchall()
    return [row[0] for row in rows]


async def _alone(connection: Connection) -> None:
    """Waits for the end of another migration, however long: then there may be nothing left to do."""
    limits = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
    before = await (await connection.execute(limits)).fetchone()
    setting = "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)"
    await connection.execute(setting, ("0", "0"))
    await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (ADVISORY_CLASS, _MIGRATE_LOCK))
    await connection.execute(setting, before)


async def migrate(database: Database) -> tuple[str, ...]:
    """Applies what is missing and returns the names applied, empty when nothing was. Then the roles get their rights.

    Raises Refused on a database whose public tables opsdeck did not create, SchemaMismatch when a file was
    edited after it was applied or the database is newer than this program.
    """
    async with database.writing() as connection:
        await _alone(connection)
        if not await _record(connection) and (foreign := await _foreign_tables(connection)):
            raise Refused(
                f"public.{foreign[0]} exists and was not made by opsdeck; nothing was changed. "
                "Point opsdeck at an empty database"
            )
        await _check_settings_are_told(connection)
        await connection.execute(_PREPARE)
    applied: list[str] = []
    while (name := await _apply_next(database)) is not None:
        applied.append(name)
    async with database.writing(statement_s=60) as connection:
        await _alone(connection)
        await connection.execute(files("db").joinpath("migrations", "grants.sql").read_bytes())
    return tuple(applied)


async def _check_settings_are_told(connection: Connection) -> None:
    """Raises Refused for an owner who cannot apply migration 2: it looks whether TimescaleDB is preloaded."""
    if 2 in await _record(connection):
        return
    row = await (
        await connection.execute("SELECT pg_has_role('pg_read_all_settings', 'USAGE'), quote_ident(current_user)")
    ).fetchone()
    if row is not None and not row[0]:
        raise Refused(
            "this login may not see shared_preload_libraries, which says whether the log becomes a hypertable; "
            f"have it done by a superuser, for this once: GRANT pg_read_all_settings TO {row[1]}. Nothing was changed"
        )


async def missing_roles(database: Database) -> tuple[str, ...]:
    """Those of ROLES that are not there, because who migrated may not create roles."""
    async with database.reading() as connection:
        cursor = await connection.execute(
            "SELECT name FROM unnest(%s::text[]) AS name WHERE name NOT IN (SELECT rolname FROM pg_roles)",
            (list(ROLES),),
        )
        return tuple([row[0] for row in await cursor.fetchall()])


async def _apply_next(database: Database) -> str | None:
    async with database.writing(statement_s=600) as connection:
        await _alone(connection)
        state = _compare(await _record(connection), known_migrations())
        if state.edited or state.unknown:
            raise SchemaMismatch(state.sentence)
        if not state.pending:
            return None
        migration = state.pending[0]
        await connection.execute(migration.body)
        await connection.execute(
            "INSERT INTO console.migration (number, name, checksum) VALUES (%s, %s, %s)",
            (migration.number, migration.name, migration.checksum),
        )
        return migration.name

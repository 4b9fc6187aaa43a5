"""The singleton row of system-wide flags."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import LiteralString

from psycopg.rows import class_row

from db.database import Database


@dataclass(frozen=True, slots=True)
class SystemControl:
    """system_control as it is. Vault versions are what was last published, not what gateways run."""

    ma_vault_version: str | None
    mm_vault_version: str | None
    last_monthly_reset: date | None
    maintenance_mode: bool
    updated_at: datetime
    role: str  # the database role of this console
    can_write: bool  # whether that role may revoke a key


CAN_WRITE: LiteralString = """
    has_table_privilege('public.api_keys', 'UPDATE') AND has_column_privilege('console.audit', 'action', 'INSERT')
"""
"""Whether the current role may revoke a key, as a condition in SQL."""

_SELECT: LiteralString = (
    "SELECT ma_vault_version, mm_vault_version, last_monthly_reset, maintenance_mode, updated_at, "
    "current_user AS role, " + CAN_WRITE + " AS can_write FROM system_control WHERE id = 1"
)


class Control:
    """Questions about the flags, and about what this role may do."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> SystemControl:
        """The flags. Raises SchemaMismatch on a database that was not migrated."""
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(SystemControl))
            await cursor.execute(_SELECT)
            found = await cursor.fetchone()
        if found is None:
            # The row is part of the migration; without it nothing is known, which is not the same as "off".
            raise LookupError("system_control has no row; run `opsdeck migrate`")
        return found

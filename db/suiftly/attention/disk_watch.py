"""Whether the database soon has no room left. PostgreSQL does not say how large its disk is: the profile does."""

from typing import Final, LiteralString

from db.database import Database
from db.errors import DatabaseError
from db.suiftly.attention.line import Attention

_KEPT_GB: Final = 5  # of write-ahead log for one slot: a standby that is gone keeps it for ever
_USED: LiteralString = "SELECT pg_database_size(current_database()) / 1e9"
_SLOTS: LiteralString = """
    SELECT slot_name, active, kept / 1e9 FROM (
        SELECT slot_name, active,
               CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) END AS kept
        FROM pg_replication_slots) s
    WHERE kept > %s * 1e9 ORDER BY kept DESC LIMIT 5
"""


class DiskWatch:
    """Questions about room. `disk_gb` is what the database may take, None when nobody said."""

    def __init__(self, database: Database, disk_gb: float | None) -> None:
        self._database = database
        self._disk_gb = disk_gb

    async def attention(self) -> tuple[Attention, ...]:
        """Lines from 80 % of `disk_gb` on (from 95 % bad), and for slots that keep the write-ahead log.

        A database that does not tell is a line as well.
        """
        try:
            async with self._database.reading() as connection:
                row = await (await connection.execute(_USED)).fetchone()
                slots = await (await connection.execute(_SLOTS, (_KEPT_GB,))).fetchall()
        except DatabaseError as error:
            return (Attention("warn", f"what room the database takes is not known: {error}", "database"),)
        lines = [
            Attention(
                "warn",
                f"replication slot {name}, {'in use' if active else 'used by nobody'}, keeps {kept:.0f} GB of "
                "write-ahead log on the disk",
                "database",
            )
            for name, active, kept in slots
        ]
        used = float(row[0]) if row else 0.0
        if self._disk_gb is not None and used >= 0.8 * self._disk_gb:
            share = used / self._disk_gb
            sentence = f"the database takes {used:.1f} GB, {100 * share:.0f} % of the {self._disk_gb:g} GB it has"
            lines.insert(0, Attention("bad" if share >= 0.95 else "warn", sentence, "database"))
        return tuple(lines)

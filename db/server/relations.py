"""What tables and indexes weigh, and how they are used. Partitions and chunks are added up under their table."""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row

from db.database import Connection

# Compressed chunks of TimescaleDB and its own tables have no parent: they are one line together.
_ROOTS: LiteralString = """
    WITH RECURSIVE tree AS (
        SELECT c.oid, CASE n.nspname WHEN 'public' THEN c.relname::text
                                     WHEN '_timescaledb_internal' THEN 'TimescaleDB, own'
                                     ELSE n.nspname || '.' || c.relname END AS name, 0 AS depth
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema'
          AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname NOT LIKE '\\_timescaledb\\_c%%'
          AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
        UNION ALL
        SELECT i.inhrelid, tree.name, depth + 1 FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid
    )
"""
_TABLES: LiteralString = (
    _ROOTS
    + """
    SELECT name, parts, rows, table_bytes + index_bytes AS bytes, index_bytes, dead, vacuumed_at, analyzed_at,
           coalesce(frozen_age, 0) AS frozen_age
    FROM (SELECT name, count(*) FILTER (WHERE c.relkind <> 'p' AND (depth > 0 OR name = 'TimescaleDB, own')) AS parts,
                 coalesce(sum(greatest(c.reltuples, 0)) FILTER (WHERE c.relkind <> 'p'), 0)::bigint AS rows,
                 coalesce(sum(pg_table_size(c.oid)), 0)::bigint AS table_bytes,
                 coalesce(sum(pg_indexes_size(c.oid)), 0)::bigint AS index_bytes,
                 coalesce(sum(s.n_dead_tup), 0)::bigint AS dead,
                 max(greatest(s.last_vacuum, s.last_autovacuum)) AS vacuumed_at,
                 max(greatest(s.last_analyze, s.last_autoanalyze)) AS analyzed_at,
                 max(age(c.relfrozenxid)) FILTER (WHERE c.relkind <> 'p') AS frozen_age
          FROM tree JOIN pg_class c USING (oid) LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
          GROUP BY name) added
    ORDER BY bytes DESC, name LIMIT %(most)s
    """
)
# Told apart by what they index: those of chunks are tied to no index of the table.
_INDEXES: LiteralString = (
    _ROOTS
    + """
    SELECT name AS "table", regexp_replace(pg_get_indexdef(i.indexrelid), '^.*? USING ', '') AS definition,
           i.indisprimary OR i.indisunique AS is_unique, bool_or(NOT i.indisvalid AND c.relkind <> 'p') AS invalid,
           count(*) FILTER (WHERE c.relkind <> 'p') AS parts,
           coalesce(sum(pg_relation_size(i.indexrelid)), 0)::bigint AS bytes,
           coalesce(sum(s.idx_scan), 0)::bigint AS scans, coalesce(sum(s.idx_tup_read), 0)::bigint AS entries_read
    FROM tree JOIN pg_class c USING (oid) JOIN pg_index i ON i.indrelid = c.oid
         LEFT JOIN pg_stat_all_indexes s ON s.indexrelid = i.indexrelid
    GROUP BY 1, 2, 3 ORDER BY bytes DESC, 1, 2 LIMIT %(most)s
    """
)
_MOST = 500


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table with all its parts. `rows` is the planner's estimate."""

    name: str  # without the schema where that is public
    parts: int
    rows: int
    bytes: int
    index_bytes: int
    dead: int
    vacuumed_at: datetime | None
    analyzed_at: datetime | None
    frozen_age: int  # transactions since its oldest part was frozen


@dataclass(frozen=True, slots=True)
class IndexUse:
    """The indexes of one kind on a table and its parts, used since the counters were reset."""

    table: str
    definition: str  # "btree (customer_id)"
    is_unique: bool
    invalid: bool  # left behind by a build that failed
    parts: int
    bytes: int
    scans: int
    entries_read: int

    @property
    def unused(self) -> bool:
        """Whether it only costs; a unique one keeps rows apart also when nobody reads it."""
        return not self.scans and not self.is_unique


async def table_sizes(connection: Connection) -> tuple[TableSize, ...]:
    """The biggest first."""
    cursor = connection.cursor(row_factory=class_row(TableSize))
    await cursor.execute(_TABLES, {"most": _MOST})
    return tuple(await cursor.fetchall())


async def index_use(connection: Connection) -> tuple[IndexUse, ...]:
    """The biggest first."""
    cursor = connection.cursor(row_factory=class_row(IndexUse))
    await cursor.execute(_INDEXES, {"most": _MOST})
    return tuple(await cursor.fetchall())

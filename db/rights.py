"""What the role of this console may do, as the database says."""

from dataclasses import dataclass
from typing import LiteralString

from db.database import Connection
from db.operations import Operation

_SELECT: LiteralString = """
    SELECT privilege || ' ' || n.nspname || '.' || c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
         unnest('{INSERT,UPDATE,DELETE}'::text[]) privilege
    WHERE n.nspname IN ('public', 'console') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND CASE privilege WHEN 'DELETE' THEN has_table_privilege(c.oid, privilege)
                         ELSE has_any_column_privilege(c.oid, privilege) END
    UNION ALL
    SELECT 'USAGE pg_signal_backend' WHERE pg_has_role('pg_signal_backend', 'USAGE')
"""


@dataclass(frozen=True, slots=True)
class Rights:
    """What may be written: "UPDATE public.api_keys". Nothing is changed without a record, so that comes first."""

    granted: frozenset[str]

    def may(self, operation: type[Operation]) -> bool:
        """Whether the role may carry out operations of that kind."""
        return {"INSERT console.audit", *operation.writes} <= self.granted

    @property
    def may_run_jobs(self) -> bool:
        return {"INSERT console.audit", "INSERT console.job_run", "UPDATE console.job_run"} <= self.granted


async def rights(connection: Connection) -> Rights:
    """What the current role may do; some 2 ms."""
    return Rights(frozenset(row[0] for row in await (await connection.execute(_SELECT)).fetchall()))

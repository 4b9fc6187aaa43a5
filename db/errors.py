"""What can go wrong between us and the database, as few kinds as a screen can word."""

from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg
from psycopg_pool import PoolTimeout


class DatabaseError(Exception):
    """Base of all failures of the data layer; its text is one sentence without secrets."""


class Unavailable(DatabaseError):
    """No connection, or it was lost. Nothing was changed unless a commit was under way (then: Uncertain)."""


class Denied(DatabaseError):
    """The database role may not do this."""


class TimedOut(DatabaseError):
    """A statement or lock timeout, or a deadlock, ended the query; nothing was changed."""


class Stale(DatabaseError):
    """The row changed since it was shown; nothing was changed."""


class Refused(DatabaseError):
    """A rule of the business forbids this; nothing was changed."""


class SchemaMismatch(DatabaseError):
    """A table, column or function that opsdeck needs is not there."""


class Uncertain(DatabaseError):
    """The connection was lost while committing: the change may have happened. Resolve by operation id."""


def _first_line(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error) or type(error).__name__).splitlines()[0]


@contextmanager
def translated() -> Generator[None]:
    """Turns the driver's exceptions into ours. The driver's text is kept where it holds no data of the row."""
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("no connection could be had in time") from error
    except (pg.QueryCanceled, pg.LockNotAvailable, pg.DeadlockDetected) as error:
        raise TimedOut(_first_line(error)) from error
    except (pg.InsufficientPrivilege, pg.ReadOnlySqlTransaction) as error:
        raise Denied(_first_line(error)) from error
    except (pg.UndefinedTable, pg.UndefinedColumn, pg.UndefinedFunction, pg.InvalidSchemaName) as error:
        raise SchemaMismatch(f"{_first_line(error)}; run `opsdeck migrate --check`") from error
    except psycopg.OperationalError as error:
        raise Unavailable(_first_line(error)) from error
    except psycopg.Error as error:
        raise DatabaseError(_first_line(error)) from error

"""What can go wrong between us and the database, as few kinds as a screen can word."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import errors as pg
from psycopg_pool import PoolTimeout


class DatabaseError(Exception):
    """Base of all failures of the data layer; its text is one sentence without secrets."""


class Unavailable(DatabaseError):
    """No connection, or it was lost. Nothing was changed unless a commit was under way (then: Uncertain)."""


class NotLetIn(Unavailable):
    """The server answers, but lets nobody in with this database, user and password: waiting does not help."""


class ReplicaUnavailable(Unavailable):
    """The replica does not answer or lets nobody in; the primary may."""


class Denied(DatabaseError):
    """The database role may not do this."""


class TimedOut(DatabaseError):
    """A timeout, a deadlock, or a standby that had to go on ended the query; nothing was changed."""


class Blocked(TimedOut):
    """Another session held a lock on what was asked for."""


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


# What libpq and the server say at length while one connects or once the connection is gone. libpq gives no code, so
# the text has to do; in another language of the server it is passed on as it is.
_NOT_LET_IN: Final = (
    (r'(database ".*") does not exist', "the {} does not exist on this server"),
    (r"no such database: (.*)", 'the database "{}" does not exist on this server'),  # pgbouncer
    (r'(role ".*") does not exist', "the {} does not exist on this server"),
    (r"(?:password|SASL) authentication failed", "the password is wrong, or the user does not exist"),
    (r"no password supplied", "the server wants a password, and none was given"),
    (r'(role ".*") is not permitted to log in', "the {} may not log in"),
    (r"no pg_hba.conf entry", "the server lets this user not into this database from here (pg_hba.conf)"),
)
_GONE: Final = (
    (r"database system is|server is shutting down", "the server is starting up or shutting down"),
    (r"too many (?:clients|connections)|remaining connection slots", "the server has no connection left to give"),
    (
        r"server closed the connection|connection is (?:closed|lost)|terminating connection|consuming input failed"
        r"|SSL connection has been closed|could not (?:send|receive) data|Connection reset",
        "the connection was lost",
    ),
    (r"failed to resolve host '(.*)'", "the host {} is not known"),
    (r'server (?:at|on socket) (".*) failed: (?:Connection refused|No such file)', "nothing listens on {}"),
    (r"timeout expired", "no connection could be had in time"),
)


def _unreached(error: psycopg.OperationalError) -> Unavailable:
    """One calm sentence for what the driver says over several lines."""
    text = str(error)
    for kind, sentences in ((NotLetIn, _NOT_LET_IN), (Unavailable, _GONE)):
        for pattern, sentence in sentences:
            if found := re.search(pattern, text):
                return kind(sentence.format(*found.groups()))
    return Unavailable(_first_line(error))


def _denied(sentence: str) -> str:
    """A login that is none of ours sees nothing at all: then it is not this one table that it lacks."""
    if sentence == "permission denied for schema console":
        return f"{sentence}: have opsdeck_reader, opsdeck_operator or opsdeck_admin granted to your login"
    return sentence


@contextmanager
def translated() -> Generator[None]:
    """Turns the driver's exceptions into ours, with the first line of its message: DETAIL has the data of rows."""
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("no connection could be had in time") from error
    except pg.LockNotAvailable as error:
        raise Blocked(_first_line(error)) from error
    except (pg.QueryCanceled, pg.DeadlockDetected, pg.SerializationFailure) as error:
        raise TimedOut(_first_line(error)) from error
    except (pg.InsufficientPrivilege, pg.ReadOnlySqlTransaction) as error:
        raise Denied(_denied(_first_line(error))) from error
    except (pg.UndefinedTable, pg.UndefinedColumn, pg.UndefinedFunction, pg.InvalidSchemaName) as error:
        raise SchemaMismatch(f"{_first_line(error)}; run `opsdeck migrate --check`") from error
    except psycopg.OperationalError as error:
        raise _unreached(error) from error
    except psycopg.Error as error:
        raise DatabaseError(_first_line(error)) from error

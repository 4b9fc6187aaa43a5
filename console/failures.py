"""The single place that words a failure: how bad it is, what happened, what to do."""

from dataclasses import dataclass

from console.settings import UsageError
from db.chain.errors import ChainError
from db.errors import (
    Blocked,
    DatabaseError,
    Denied,
    NotLetIn,
    Refused,
    ReplicaUnavailable,
    SchemaMismatch,
    Stale,
    TimedOut,
    Unavailable,
    Uncertain,
)

DONE, FAILED, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure in words. `severity` is "warning" or "error"; `exit_code` is the shell's."""

    severity: str
    sentence: str
    remedy: str
    exit_code: int

    @property
    def text(self) -> str:
        return f"{self.sentence}. {self.remedy}".strip() if self.remedy else self.sentence


@dataclass(frozen=True, slots=True)
class _Wording:
    severity: str
    lead: str = ""
    remedy: str = ""
    exit_code: int = FAILED


_WORDINGS: dict[type[Exception], _Wording] = {
    ReplicaUnavailable: _Wording(
        "error",
        "the replica, where the log is read, cannot be used: ",
        "Check it or wait; without a replica configured the log is read on the primary",
        UNREACHABLE,
    ),
    NotLetIn: _Wording(
        "error", "", "Look at database, user and password in the DSN or profile, or in ~/.pgpass", UNREACHABLE
    ),
    Unavailable: _Wording(
        "error", "the database does not answer: ", "Check host, port and network, or wait", UNREACHABLE
    ),
    Blocked: _Wording(
        "warning",
        "no answer in the time set: ",
        "Another session holds a lock; :database, or `opsdeck database show`, tells who waits for whom",
    ),
    TimedOut: _Wording(
        "warning", "no answer in the time set: ", "Narrow the search, or raise statement_timeout_s in the profile"
    ),
    Denied: _Wording("warning", "not allowed: "),
    Refused: _Wording("warning"),
    Stale: _Wording("warning"),
    SchemaMismatch: _Wording("error", "the database does not fit this program: "),
    Uncertain: _Wording("error", "", "It may have happened: look at `opsdeck audit list` before trying again"),
    UsageError: _Wording("warning", exit_code=USAGE),
    ChainError: _Wording("error"),
    DatabaseError: _Wording("error", "the database reported: "),
}


def word(error: Exception) -> Failure:
    """Words any failure we expect. Raises the error itself when it is none of those: that is a defect."""
    for kind, wording in _WORDINGS.items():
        if isinstance(error, kind):
            return Failure(wording.severity, f"{wording.lead}{error}", wording.remedy, wording.exit_code)
    raise error

"""What can go wrong between us and a node, as few kinds as a screen can word."""

from enum import StrEnum

from db.errors import DatabaseError


class ErrorKind(StrEnum):
    """What kind of failure it was; its value is how it is told."""

    NOT_FOUND = "not found"  # on this node, which keeps recent history only: it says nothing about existence
    INVALID = "refused as invalid"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timed out"
    RATE_LIMITED = "rate limited"
    PAUSED = "paused"  # not asked at all: the breaker is open
    WRONG_CHAIN = "wrong chain"
    UNSUPPORTED = "not supported"
    UNREADABLE = "unreadable"
    NOT_LET_IN = "not let in"
    GAP = "gap"  # history that neither the node nor the archive has
    OFF = "off"
    OTHER = "failed"


RETRIED = frozenset({ErrorKind.UNAVAILABLE, ErrorKind.TIMEOUT, ErrorKind.RATE_LIMITED})
"""Where asking again may help; everything else is answered the same the second time."""


class ChainError(DatabaseError):
    """A failure of chain access; its text is one sentence without secrets."""

    def __init__(self, kind: ErrorKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


NOT_CONFIGURED = "chain not configured"


def not_configured() -> ChainError:
    """What is raised where the chain is needed and no target is set."""
    return ChainError(ErrorKind.OFF, f"{NOT_CONFIGURED}; set target in the [profiles.NAME.chain] table")

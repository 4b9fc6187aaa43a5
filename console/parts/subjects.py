"""What an entry of the record is about: in words, and where that is shown."""

from console.places import Place
from db.source import format_fingerprint

_SCREENS = {
    "job": "jobs",
    "approval": "approvals",
    "control": "control",
    "vault": "control",
    "backend": "database",
    "chain": "chain",
}


def subject_words(subject: str) -> str:
    """ "key:42" as "key 0x0000002a"; others as they are, with a space."""
    kind, _, value = subject.partition(":")
    if kind == "key" and value.isdecimal():
        return f"key {format_fingerprint(int(value))}"
    if kind == "event":
        digest, _, index = value.partition(":")
        return f"event {digest[:8]}…:{index}"
    return f"{kind} {value[:8] if kind == 'bill' else value}".strip()


def place_of(subject: str) -> Place | None:
    """Where to look at it; None for what has no screen."""
    kind, _, value = subject.partition(":")
    if (kind in ("key", "customer") and value.isdecimal()) or kind in ("bill", "event"):
        return Place(kind, value)
    return Place(_SCREENS[kind]) if kind in _SCREENS else None

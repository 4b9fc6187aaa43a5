"""Where an operator can go: places, the subjects that are recognised, and the way back."""

import re
from dataclasses import dataclass, field

from db.source import (
    EventId,
    begins_like_key,
    format_fingerprint,
    is_evm_address,
    looks_like_digest,
    looks_like_key,
    parse_fingerprint,
)


@dataclass(frozen=True, slots=True)
class Place:
    """A screen and what it is about: a search, a customer id, a fingerprint (decimal), a filter."""

    kind: str
    subject: str = ""

    @property
    def title(self) -> str:
        if self.kind == "key":
            return f"key {format_fingerprint(int(self.subject))}"
        return f"{self.kind} {self.subject}".strip()


def recognised(text: str) -> tuple[Place, ...]:
    """What a pasted or typed subject may be: a key (any spelling of its fingerprint), a customer id, a wallet or escrow
    account, an escrow event, or the digest of a transaction, which leads to the customers it touched."""
    places: list[Place] = []
    text = text.strip()
    if re.fullmatch(r"\d{1,10}", text) and 1 <= int(text) < 2**32:
        places.append(Place("customer", text))
    if is_evm_address(text):
        pass  # no wallet of ours; the search of customers says so
    elif re.fullmatch(r"0x[0-9a-fA-F]{9,64}", text):
        places.append(Place("customers", text.lower()))
    elif looks_like_digest(text):
        places.append(Place("customers", text))
    elif re.fullmatch(r"\w+:\d{1,9}", text, re.ASCII) and looks_like_digest(text.partition(":")[0]):
        places.append(Place("event", str(EventId.parse(text))))
    try:
        places.append(Place("key", str(parse_fingerprint(text))))
    except ValueError:
        pass
    return tuple(places)


def hide_key(word: str) -> str:
    """A full key, also behind `name:` or beside others, as its fingerprint; anything else as it is.

    Keys never reach the screen.
    """
    name, colon, values = word.rpartition(":")
    return name + colon + ",".join(map(_fingerprint_of, values.split(",")))


def _fingerprint_of(value: str) -> str:
    return format_fingerprint(parse_fingerprint(value)) if looks_like_key(value) else value


def hide_keys(text: str) -> str:
    """Every full key in a text as its fingerprint."""
    return re.sub(r"\S+", lambda word: hide_key(word[0]), text)


def may_be_key(word: str) -> bool:
    """Whether a word, also behind `name:`, can only be a key: unfinished, or mistyped. One digest in 200 begins so."""
    values = word.rpartition(":")[2].split(",")
    return any(begins_like_key(value) and not looks_like_digest(value) for value in values)


@dataclass(slots=True)
class History:
    """The places one has been at, like a browser's."""

    places: list[Place] = field(default_factory=list[Place])
    at: int = -1

    def visit(self, place: Place) -> None:
        """Goes on from here: what lay ahead is forgotten. The same place twice in a row counts once."""
        if self.at >= 0 and self.places[self.at] == place:
            return
        self.places = [*self.places[: self.at + 1], place][-50:]
        self.at = len(self.places) - 1

    def step(self, by: int) -> Place | None:
        """The place one step back (-1) or ahead (1), or None at the end."""
        if not 0 <= self.at + by < len(self.places):
            return None
        self.at += by
        return self.places[self.at]

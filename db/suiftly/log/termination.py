"""HAProxy's termination state, character by character (HAProxy configuration manual, "Session state at disconnection").

Two characters: who or what ended the session, and in which phase. Four with cookie persistence, which Suiftly's
gateways do not use: the last two are then absent or `--`.
"""

from typing import Final, NamedTuple

from db.suiftly.log.codes import Blame


class TerminationError(ValueError):
    """A text that is no termination state: neither 2 nor 4 characters."""


class Character(NamedTuple):
    """One character of the state and what it says at its position."""

    character: str
    position: str
    meaning: str


class Termination(NamedTuple):
    """A state explained. `reading` is one sentence; `known` is False when the pair is in no list of HAProxy's."""

    state: str
    characters: tuple[Character, ...]
    reading: str
    blame: Blame
    known: bool


_CAUSES: Final[dict[str, tuple[str, Blame]]] = {
    "-": ("nothing ended it early", Blame.NOBODY),
    "C": ("the client aborted", Blame.CLIENT),
    "c": ("the client-side timeout expired", Blame.CLIENT),
    "S": ("the server aborted or refused", Blame.BACKEND),
    "s": ("the server-side timeout expired", Blame.BACKEND),
    "P": ("the proxy refused: a deny rule, a limit or a protocol check", Blame.EDGE),
    "L": ("the proxy answered itself; no server was involved", Blame.NOBODY),
    "R": ("the proxy ran out of a resource: memory, sockets or ports", Blame.EDGE),
    "I": ("the proxy found an internal error in itself", Blame.EDGE),
    "D": ("the proxy killed it because its server went down", Blame.BACKEND),
    "U": ("the proxy killed it on a backup because a primary server came up", Blame.NOBODY),
    "K": ("an administrator killed it", Blame.EDGE),
}
_PHASES: Final[dict[str, str]] = {
    "-": "after the normal end of the transfer",
    "R": "while waiting for the whole request",
    "Q": "while waiting in the queue",
    "C": "while connecting to the server",
    "H": "while waiting for the response headers",
    "D": "during data transfer",
    "L": "while the last data was still going to the client",
    "T": "while the request was held in the tarpit",
}
_CLIENT_COOKIE: Final[dict[str, str]] = {
    "-": "no cookie persistence",
    "N": "the client sent no persistence cookie",
    "I": "the client's cookie named no known server",
    "D": "the client's cookie named a server that was down",
    "V": "the client's cookie was valid and followed",
    "E": "the client's cookie was valid but idle for too long",
    "O": "the client's cookie was valid but too old",
    "U": "the client sent a cookie that was not used",
}
_SERVER_COOKIE: Final[dict[str, str]] = {
    "-": "no cookie persistence",
    "N": "the response carried no cookie",
    "I": "the proxy inserted a cookie",
    "U": "the proxy updated the cookie",
    "P": "the server's own cookie was passed on",
    "R": "the proxy rewrote the server's cookie",
    "D": "the proxy deleted the server's cookie",
}
_READINGS: Final[dict[str, str]] = {
    "--": "Normal end.",
    "CC": "The client gave up before the connection to the server stood.",
    "CD": "The client left during the transfer.",
    "cD": "The client stopped taking data.",
    "CH": "The client left before the response headers came; the server may be slow.",
    "cH": "The client stalled while sending the body of its request.",
    "CQ": "The client gave up while queued; the backend was full.",
    "CR": "The client left before its request was complete.",
    "cR": "The client sent its request too slowly; it was answered 408.",
    "CT": "The client gave up in the tarpit.",
    "SC": "The server, or something on the way, refused the connection.",
    "sC": "The server did not accept the connection in time.",
    "SD": "The server cut the response short.",
    "sD": "The server stalled during its response.",
    "SH": "The server closed before it sent complete headers.",
    "sH": "The server did not send headers in time.",
    "sQ": "The request waited too long in the queue; the backend is full.",
    "PC": "The proxy would not connect: its own connection limit was reached.",
    "PD": "The proxy stopped a badly chunked message.",
    "PH": "The proxy stopped invalid or forbidden response headers from the server.",
    "PR": "The proxy rejected the request: a deny rule, or an invalid request.",
    "PT": "The proxy held the request in the tarpit and refused it.",
    "LC": "The proxy answered itself while a connection was due, such as a redirect.",
    "LH": "The proxy answered itself in place of response headers, such as a return rule.",
    "LR": "The proxy answered itself: a redirect, a return rule or its statistics.",
    "RC": "The proxy ran out of ports or memory while connecting to the server.",
}
# Where the pair says more than its first character: the server's headers were at fault, or the client was punished.
_BLAME: Final[dict[str, Blame]] = {"PH": Blame.BACKEND, "PT": Blame.CLIENT, "CQ": Blame.BACKEND}


def explain(state: str) -> Termination:
    """Explain a state of 2 or 4 characters; unknown characters are said to be unknown. Raises TerminationError."""
    if len(state) not in (2, 4):
        raise TerminationError("termination state: expected 2 or 4 characters as HAProxy logs them, such as -- or sH")
    cause, phase = state[0], state[1]
    cause_text, blame = _CAUSES.get(cause, (f"{cause!r} is no cause HAProxy documents", Blame.NOBODY))
    characters = [
        Character(cause, "cause", cause_text),
        Character(phase, "phase", _PHASES.get(phase, f"{phase!r} is no phase HAProxy documents")),
    ]
    for character, position, meanings in zip(
        state[2:], ("client cookie", "server cookie"), (_CLIENT_COOKIE, _SERVER_COOKIE), strict=False
    ):
        unknown = f"{character!r} is no cookie state HAProxy documents"
        characters.append(Character(character, position, meanings.get(character, unknown)))
    pair = state[:2]
    reading = _READINGS.get(pair)
    if reading is None:
        reading = f"{characters[0].meaning}, {characters[1].meaning}."
        reading = reading[0].upper() + reading[1:]
    return Termination(state, tuple(characters), reading, _BLAME.get(pair, blame), pair in _READINGS)

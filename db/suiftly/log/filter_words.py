"""The values of request filters in words: what an operator types, and how it is written back.

No error text repeats a long word: it may be a mistyped key or a pasted secret.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from ipaddress import ip_network
from typing import Final

from db.suiftly.keys.format import begins_like_key, looks_like_key, parse_fingerprint
from db.suiftly.keys.metadata import KeyFormatError
from db.suiftly.log import codes
from db.suiftly.log.codes import CodeError, TrafficClass

EXAMPLES: Final[dict[str, str]] = {
    "customer": "42",
    "key": "0x9f00aa12",
    "status": "4xx",
    "class": "rejected",
    "event": "api-key-revoked",
    "service": "seal",
    "network": "mainnet",
    "server": "r3-s07",
    "ip": "203.0.113.0/24",
    "path": "/v1",
    "slower-than": "500ms",
}
NAMES: Final[tuple[str, ...]] = tuple(EXAMPLES)
_STATUS: Final = re.compile(r"([1-5])xx|([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?")
_INT4: Final = 2**31 - 1


class FilterError(ValueError):
    """A word that is no filter, or a value its filter cannot have. The text names the filter and what it takes."""


def read(name: str, text: str) -> object:
    """Value of the RequestFilter field of that filter. Raises FilterError."""
    value = text.strip()
    if not value:
        raise FilterError(f"{name}: needs a value, such as {name}:{EXAMPLES[name]}")
    readers: dict[str, Callable[[str], object]] = {
        "customer": partial(_several, _customer),
        "key": partial(_several, _key),
        "status": _statuses,
        "class": _classes,
        "event": partial(_each, codes.event_code),
        "service": partial(_each, codes.service_code),
        "network": partial(_each, codes.network_code),
        "server": partial(_each, codes.server_code),
        "ip": _ip,
        "path": _path,
        "slower-than": _milliseconds,
    }
    return readers[name](value)


def recognised(word: str) -> str:
    """Name of the filter a bare word means. Raises FilterError."""
    if looks_like_key(word) or re.fullmatch(r"0x[0-9a-fA-F]{8}", word):
        return "key"
    if all(_STATUS.fullmatch(part) for part in word.lower().split(",")):
        return "status"
    if word.startswith("/"):
        return "path"
    if word.lower() in set(TrafficClass):
        return "class"
    try:
        ip_network(word, strict=False)
    except ValueError:
        text = f"{shown(word)}: not understood; write name:value with one of {', '.join(NAMES)}"
        raise FilterError(text) from None
    return "ip"


def shown(word: str) -> str:
    """A word for an error text: a long one may be a mistyped key or a secret, so only its beginning is repeated."""
    text = "".join(character if character.isprintable() else "?" for character in word)
    return text if len(text) <= 16 and not begins_like_key(text) else f"{text[:4]}…"


def _several(read: Callable[[str], int], text: str) -> tuple[int, ...]:
    return tuple(read(part.strip()) for part in text.split(","))


def _each(read: Callable[[str], int], text: str) -> tuple[int, ...]:
    try:
        return tuple(read(part) for part in text.split(","))
    except CodeError as problem:
        raise FilterError(str(problem)) from None


def _customer(text: str) -> int:
    if text.lower() == "none":
        return 0
    if re.fullmatch(r"-?[0-9]{1,10}|0[xX][0-9a-fA-F]{1,8}", text):
        # Databases with a signed column show the upper half of the ids negative.
        value = int(text, 16) if text[:2].lower() == "0x" else int(text)
        if -(2**31) <= value <= 2**32 - 1 and value != 0:
            return value & 0xFFFF_FFFF
    raise FilterError("customer: give an id from 1 to 4294967295, in decimal or 0x hex, or none")


def _key(text: str) -> int:
    try:
        return 0 if text.lower() == "none" else parse_fingerprint(text)
    except KeyFormatError:
        raise FilterError(
            "key: give a fingerprint (decimal, or hex such as 0x9f00aa12), a full key in upper case, or none"
        ) from None


def _statuses(text: str) -> tuple[tuple[int, int], ...]:
    ranges: list[tuple[int, int]] = []
    for part in text.lower().split(","):
        found = _STATUS.fullmatch(part.strip())
        if part.strip() in ("none", "-1"):
            ranges.append((-1, -1))
        elif found and found[1]:
            ranges.append((int(found[1]) * 100, int(found[1]) * 100 + 99))
        elif found and int(found[2]) <= int(found[3] or found[2]):
            ranges.append((int(found[2]), int(found[3] or found[2])))
        else:
            raise FilterError("status: give 200, 4xx, 500-504 or none, with commas between several")
    return tuple(ranges)


def _classes(text: str) -> tuple[TrafficClass, ...]:
    try:
        return tuple(TrafficClass(part.strip().lower().replace("_", "-")) for part in text.split(","))
    except ValueError:
        raise FilterError(f"class: give one or more of {', '.join(TrafficClass)}") from None


def _ip(text: str) -> str:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        network = None
    if network is None or "%" in text:
        raise FilterError("ip: give an address or a network, such as 203.0.113.7 or 2001:db8::/32")
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _path(text: str) -> str:
    path = text.lstrip("/")
    if not path or not path.isprintable() or re.search(r"\s", path):
        raise FilterError("path: give the beginning of a path, such as /v1, without blanks (the log has them as %20)")
    return path


def _milliseconds(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,10}(?:\.[0-9]{1,6})?)(ms|s)", text.lower())
    value = Decimal(found[1]) * (1000 if found[2] == "s" else 1) if found else Decimal(-1)
    if not 0 <= value <= _INT4 or value != int(value):
        raise FilterError("slower-than: give whole milliseconds or seconds with their unit, such as 500ms or 1.5s")
    return int(value)


def status_word(span: tuple[int, int]) -> str:
    """`none`, `404`, `4xx`, `4xx,5xx` or `500-504`."""
    low, high = span
    if low == high:
        return "none" if low == -1 else str(low)
    if low % 100 == 0 and high % 100 == 99 and high <= 599:
        return ",".join(f"{hundred}xx" for hundred in range(low // 100, high // 100 + 1))
    return f"{low}-{high}"


def duration_word(milliseconds: int) -> str:
    """`500ms`, `2s`."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{milliseconds}ms" if rest or not seconds else f"{seconds}s"

"""Which rows of the request log to show: the same words on screen, in the shell, in SQL and in Python.

Screen form `status:4xx !class:burst key:0x9f00aa12 slower-than:500ms`; shell form `--status 4xx --class '!burst'`.
A pasted full key becomes its fingerprint at once: a filter never holds one, and no error text repeats a long word.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, LiteralString

from db.suiftly import codes
from db.suiftly.codes import HEAD_2026, TRAFFIC_CLASS_SQL, CodeError, ServiceCodes, TrafficClass
from db.suiftly.key_format import (
    MAX_CUSTOMER_ID,
    KeyFormatError,
    format_fingerprint,
    looks_like_key,
    parse_fingerprint,
)
from db.suiftly.request_row import RequestRow

# The log keeps this many characters of a path.
LOGGED_PATH: Final = 10
_STATUS: Final = re.compile(r"([1-5])xx|([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?", re.IGNORECASE)
_INT4: Final = 2**31 - 1


class FilterError(ValueError):
    """A word that is no filter, or a value its filter cannot have. The text names the filter and what it takes."""


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """What a row must meet: every field that is set, or the opposite of it when its name is in `negated`.

    None and () mean "not asked". Tuples are alternatives, kept sorted and without repeats, so equal questions are
    equal values. `status` holds inclusive ranges, -1 being "no answer was sent"; `key` is an unsigned fingerprint, 0
    for requests without a key; `ip` is an address or network in canonical text; `path` has no leading slash;
    `slower_than` is milliseconds of `time_total`, exclusive. `negated` holds words of NAMES, never slower-than.
    """

    customer: int | None = None
    key: int | None = None
    status: tuple[tuple[int, int], ...] = ()
    traffic_class: tuple[TrafficClass, ...] = ()
    event: tuple[int, ...] = ()
    service: tuple[int, ...] = ()
    network: tuple[int, ...] = ()
    server: tuple[int, ...] = ()
    ip: str | None = None
    path: str | None = None
    slower_than: int | None = None
    negated: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        unknown = self.negated - _READERS.keys()
        if unknown or "slower-than" in self.negated:
            raise FilterError(f"negated: only these can be: {', '.join(NAMES[:-1])}")
        object.__setattr__(self, "status", _merged(self.status))
        for name in ("traffic_class", "event", "service", "network", "server"):
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))
        asked = {name for name in self.negated if getattr(self, _field(name)) not in (None, ())}
        object.__setattr__(self, "negated", frozenset(asked))

    def chips(self, services: ServiceCodes = HEAD_2026) -> tuple[str, ...]:
        """Canonical words in fixed order; `parse(" ".join(chips))` gives this filter again."""
        values = {
            "customer": None if self.customer is None else str(self.customer),
            "key": None if self.key is None else format_fingerprint(self.key) if self.key else "none",
            "status": ",".join(map(_status_word, self.status)),
            "class": ",".join(self.traffic_class),
            "event": ",".join(codes.event(code).word for code in self.event),
            "service": ",".join(map(services.word, self.service)),
            "network": ",".join(codes.NETWORKS.get(code, str(code)) for code in self.network),
            "server": ",".join(map(codes.server_label, self.server)),
            "ip": self.ip,
            "path": None if self.path is None else f"/{self.path}",
            "slower-than": None if self.slower_than is None else _duration_word(self.slower_than),
        }
        return tuple(f"{'!' * (name in self.negated)}{name}:{value}" for name, value in values.items() if value)

    def where(self) -> tuple[LiteralString, dict[str, object]]:
        """Condition over the columns of haproxy_raw_logs and its parameters, for psycopg 3; ("true", {}) if empty."""
        parameters: dict[str, object] = {
            "f_customer": self.customer,
            "f_key": self.key,
            "f_status": "{" + ",".join(f"[{low},{high}]" for low, high in self.status) + "}" if self.status else None,
            "f_class": [str(wanted) for wanted in self.traffic_class] or None,
            "f_event": list(self.event) or None,
            "f_service": list(self.service) or None,
            "f_network": list(self.network) or None,
            # A writer that took the eight bits for signed stored the upper half negative.
            "f_server": sorted({*self.server, *(id_ - 256 for id_ in self.server if id_ > 127)}) or None,
            "f_ip": self.ip,
            "f_path": self.path,
            "f_slower_than": self.slower_than,
        }
        asked = {name: value for name, value in parameters.items() if value is not None}
        fragments = [
            negative if name in self.negated else positive
            for name, (positive, negative) in _SQL.items()
            if f"f_{_sql_name(name)}" in asked
        ]
        return " AND ".join(fragments) or "true", asked

    def matches(self, row: RequestRow) -> bool:
        """The same question as where(), asked of a row in memory."""
        seen = {
            "customer": self.customer is None or row.customer_id == self.customer,
            "key": self.key is None or row.api_key_fp == self.key,
            "status": any(low <= row.status_code <= high for low, high in self.status),
            "class": codes.traffic_class(row.traffic_type, row.status_code) in self.traffic_class,
            "event": row.event_type in self.event,
            "service": row.service_type in self.service,
            "network": row.network in self.network,
            "server": row.server_id & 0xFF in self.server,
            "ip": self.ip is None or _within(row.client_ip, self.ip),
            "path": self.path is None or _path_matches(row.path_prefix, self.path),
            "slower-than": self.slower_than is None or row.time_total > self.slower_than,
        }
        return all(
            outcome != (name in self.negated)
            for name, outcome in seen.items()
            if getattr(self, _field(name)) not in (None, ())
        )


def parse(text: str, services: ServiceCodes = HEAD_2026) -> RequestFilter:
    """Filter of the screen form: words `name:value`, each negated by a leading "!", and words that speak for
    themselves (a full key or its 0x fingerprint, an address, a status such as 5xx, a /path). Raises FilterError."""
    found: dict[str, tuple[str, bool]] = {}
    for word in text.split():
        negated = word.startswith("!")
        bare = word[1:] if negated else word
        name, colon, value = bare.partition(":")
        name = name.lower().replace("_", "-")
        if not colon or name not in _READERS:
            name, value = _recognised(bare), bare
        # `class:!burst`, as in the shell; a path may begin with "!" behind its slash.
        if value.startswith("!"):
            if negated:
                raise FilterError(f"{name}: negated twice; write !{name}:value")
            negated, value = True, value[1:]
        if name in found:
            raise FilterError(f"{name}: given twice; join the values with a comma where it takes a list")
        found[name] = (value, negated)
    return _build(found, services)


def from_options(options: Mapping[str, str], services: ServiceCodes = HEAD_2026) -> RequestFilter:
    """Filter of shell flags, by name without dashes (`slower-than` or `slower_than`); a value starting with "!"
    is negated. Raises FilterError."""
    found: dict[str, tuple[str, bool]] = {}
    for option, value in options.items():
        name = option.replace("_", "-")
        if name not in _READERS:
            raise FilterError(f"{_shown(option)}: no such filter; the filters are {', '.join(NAMES)}")
        found[name] = (value.removeprefix("!"), value.startswith("!"))
    return _build(found, services)


def _build(found: Mapping[str, tuple[str, bool]], services: ServiceCodes) -> RequestFilter:
    fields: dict[str, object] = {}
    for name, (value, negated) in found.items():
        if negated and name == "slower-than":
            raise FilterError("slower-than: cannot be negated")
        if not value.strip():
            raise FilterError(f"{name}: needs a value, as in {name}:{_EXAMPLES[name]}")
        try:
            fields[_field(name)] = _READERS[name](value.strip(), services)
        except (CodeError, KeyFormatError) as problem:
            raise FilterError(f"{name}: {str(problem).partition(': ')[2]}") from None
    return RequestFilter(**fields, negated=frozenset(name for name, (_, negated) in found.items() if negated))  # pyright: ignore[reportArgumentType]

"""Which rows of the request log to show: the same words on screen, in the shell, in SQL and in Python.

Screen form `status:4xx !class:burst key:0x9f00aa12 slower-than:500ms`; shell form `--status 4xx --class '!burst'`.
A pasted full key becomes its fingerprint at once: a filter never holds one, and no error text repeats a long word.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final, LiteralString

from db.suiftly.keys.format import format_fingerprint
from db.suiftly.log import codes
from db.suiftly.log.codes import TRAFFIC_CLASS_SQL, TrafficClass
from db.suiftly.log.filter_words import (
    EXAMPLES,
    NAMES,
    FilterError,
    duration_word,
    read,
    recognised,
    shown,
    status_word,
)
from db.suiftly.log.row import RequestRow

__all__ = ["NAMES", "FilterError", "RequestFilter", "from_options", "parse"]

# The log keeps this many characters of a path; a longer question is compared as far as the log goes.
_LOGGED_PATH: Final = 10
_PATH_SQL: Final[LiteralString] = (
    "(starts_with(ltrim(path_prefix, '/'), %(f_path)s::text)"
    " OR (length(path_prefix) >= 10 AND starts_with(%(f_path)s::text, ltrim(path_prefix, '/'))))"
)
# Customers stand bare so that the index (customer_id, timestamp) serves them, and one of them with `=`, whose rows the
# index has in order of time.
_ONE_CUSTOMER: Final[LiteralString] = "customer_id = (%(f_customer)s::int8[])[1]"
_CUSTOMERS: Final[LiteralString] = "customer_id = ANY(%(f_customer)s::int8[])"
# Name -> (condition, its NULL-safe opposite). Only customer_id and path_prefix can be NULL.
_SQL: Final[dict[str, tuple[LiteralString, LiteralString]]] = {
    "customer": (
        "coalesce(customer_id, 0) = ANY(%(f_customer)s::int8[])",
        "coalesce(customer_id, 0) <> ALL(%(f_customer)s::int8[])",
    ),
    "key": ("api_key_fp = ANY(%(f_key)s::int8[])", "api_key_fp <> ALL(%(f_key)s::int8[])"),
    "status": (
        "status_code::int4 <@ %(f_status)s::int4multirange",
        "NOT status_code::int4 <@ %(f_status)s::int4multirange",
    ),
    "class": (TRAFFIC_CLASS_SQL + " = ANY(%(f_class)s::text[])", TRAFFIC_CLASS_SQL + " <> ALL(%(f_class)s::text[])"),
    "event": ("event_type = ANY(%(f_event)s::int2[])", "event_type <> ALL(%(f_event)s::int2[])"),
    "service": ("service_type = ANY(%(f_service)s::int2[])", "service_type <> ALL(%(f_service)s::int2[])"),
    "network": ("network = ANY(%(f_network)s::int2[])", "network <> ALL(%(f_network)s::int2[])"),
    "server": ("server_id = ANY(%(f_server)s::int2[])", "server_id <> ALL(%(f_server)s::int2[])"),
    "ip": ("client_ip <<= %(f_ip)s::inet", "NOT client_ip <<= %(f_ip)s::inet"),
    "path": (_PATH_SQL, _PATH_SQL + " IS NOT TRUE"),
    "slower-than": ("time_total > %(f_slower_than)s", "time_total > %(f_slower_than)s"),
}


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """What a row must meet: every field that is set, or its opposite when its name is in `negated`.

    None and () mean "not asked". Tuples are alternatives, kept sorted and without repeats, so equal questions are
    equal values. `customer` holds ids, 0 for requests of no known customer; `key` unsigned fingerprints, 0 for requests
    without a key; `status` inclusive ranges, -1 being "no answer was sent"; `ip` is an address or network in canonical
    text; `path` has no leading slash; `slower_than` is milliseconds of `time_total`, exclusive. `negated` holds words
    of NAMES, never slower-than.
    """

    customer: tuple[int, ...] = ()
    key: tuple[int, ...] = ()
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
        if not self.negated <= set(NAMES) - {"slower-than"}:
            raise FilterError(f"negated: only these can be: {', '.join(NAMES[:-1])}")
        object.__setattr__(self, "status", _merged(self.status))
        for name in ("customer", "key", "traffic_class", "event", "service", "network", "server"):
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))
        object.__setattr__(self, "negated", self.negated & self._values().keys())

    @property
    def asked(self) -> frozenset[str]:
        """The names of the filters that are set."""
        return frozenset(self._values())

    def chips(self) -> tuple[str, ...]:
        """Canonical words in fixed order; `parse(" ".join(chips))` gives this filter again."""
        words: dict[str, str] = {
            "customer": ",".join(str(id_) if id_ else "none" for id_ in self.customer),
            "key": ",".join(format_fingerprint(key) if key else "none" for key in self.key),
            "status": ",".join(map(status_word, self.status)),
            "class": ",".join(self.traffic_class),
            "event": ",".join(codes.event(code).word for code in self.event),
            "service": ",".join(map(codes.service_word, self.service)),
            "network": ",".join(codes.NETWORKS.get(code, str(code)) for code in self.network),
            "server": ",".join(map(codes.server_label, self.server)),
            "ip": str(self.ip),
            "path": f"/{self.path}",
            "slower-than": duration_word(self.slower_than or 0),
        }
        return tuple(f"{'!' * (name in self.negated)}{name}:{words[name]}" for name in self._values())

    def where(self, prefix: LiteralString = "f_") -> tuple[LiteralString, dict[str, object]]:
        """Condition over the columns of haproxy_raw_logs and its parameters, for psycopg 3; ("true", {}) if empty.

        Two filters in one query take different prefixes for the names of their parameters.
        """
        values = self._values()
        fragments: list[LiteralString] = []
        for name in values:
            positive, negative = _SQL[name]
            if name == "customer" and 0 not in self.customer:
                positive = _ONE_CUSTOMER if len(self.customer) == 1 else _CUSTOMERS
            fragments.append(negative if name in self.negated else positive)
        parameters = {f"{prefix}{name.replace('-', '_')}": value for name, value in values.items()}
        return " AND ".join(fragments).replace("%(f_", "%(" + prefix) or "true", parameters

    def matches(self, row: RequestRow) -> bool:
        """The same question as where(), asked of a row in memory."""
        return all(self._meets(name, row) != (name in self.negated) for name in self._values())

    def only(self, name: str, value: int | str) -> "RequestFilter":
        """Of the requests this filter lets through those with that one value, a status being a code."""
        fields = {_field(name): value if name == "path" else _one(name, value)}
        return replace(self, **fields, negated=self.negated - {name})

    def without(self, name: str, value: int | str) -> "RequestFilter":
        """Of the requests this filter lets through those without that value.

        Raises FilterError where no filter says so: one path can be excluded, and something has to be left.
        """
        field = _field(name)
        held: Any = getattr(self, field)
        if not held:
            return replace(self.only(name, value), negated=self.negated | {name})
        if name == "path":
            raise FilterError("path: there is one in the filter already, and it takes no second")
        if name in self.negated:
            return replace(self, **{field: (*held, *_one(name, value))})
        left = _less(held, int(value)) if name == "status" else tuple(other for other in held if other != value)
        if not left:
            raise FilterError(f"{name}: nothing would be left")
        return replace(self, **{field: left})

    def _values(self) -> dict[str, object]:
        """What is asked, by name in fixed order, as a parameter for SQL."""
        ranges = ",".join(f"[{low},{high}]" for low, high in self.status)
        values: dict[str, object] = {
            "customer": list(self.customer) or None,
            "key": list(self.key) or None,
            "status": f"{{{ranges}}}" if ranges else None,
            "class": [wanted.value for wanted in self.traffic_class] or None,
            "event": list(self.event) or None,
            "service": list(self.service) or None,
            "network": list(self.network) or None,
            # A writer that takes the eight bits for signed stores the upper half negative: ask for both.
            "server": [*self.server, *(server - 256 for server in self.server if server > 127)] or None,
            "ip": self.ip,
            "path": self.path,
            "slower-than": self.slower_than,
        }
        return {name: value for name, value in values.items() if value is not None}

    def _meets(self, name: str, row: RequestRow) -> bool:  # noqa: PLR0911 - one line per filter reads best
        match name:
            case "customer":
                return (row.customer_id or 0) in self.customer
            case "key":
                return row.api_key_fp in self.key
            case "status":
                return any(low <= row.status_code <= high for low, high in self.status)
            case "class":
                return codes.traffic_class(row.traffic_type, row.status_code) in self.traffic_class
            case "event":
                return row.event_type in self.event
            case "service":
                return row.service_type in self.service
            case "network":
                return row.network in self.network
            case "server":
                return row.server_id & 0xFF in self.server
            case "ip":
                return _within(row.client_ip, self.ip or "")
            case "path":
                return _path_matches(row.path_prefix, self.path or "")
            case _:
                return row.time_total > (self.slower_than or 0)


def parse(text: str) -> RequestFilter:
    """Filter of the screen form: words `name:value`, each negated by a leading "!", and words that speak for
    themselves (a full key or 0x fingerprint, an address, a status like 5xx, a class, a /path). Raises FilterError."""
    found: dict[str, tuple[str, bool]] = {}
    for word in text.split():
        negated = word.startswith("!")
        bare = word.removeprefix("!")
        name, _, value = bare.partition(":")
        name = name.lower().replace("_", "-")
        if ":" not in bare or name not in EXAMPLES:
            name, value = recognised(bare), bare
        # `class:!burst` as in the shell; a path that begins with "!" is written /!path.
        if value.startswith("!"):
            value, negated = value[1:], not negated
        if name in found:
            raise FilterError(f"{name}: given twice; give it once, with a comma between values where it takes a list")
        found[name] = (value, negated)
    return _build(found)


def from_options(options: Mapping[str, str]) -> RequestFilter:
    """Filter of shell flags, by name without dashes (`slower-than` or `slower_than`); a value starting with "!"
    is negated. Raises FilterError."""
    found: dict[str, tuple[str, bool]] = {}
    for option, value in options.items():
        name = option.replace("_", "-")
        if name not in EXAMPLES:
            raise FilterError(f"{shown(option)}: no such filter; the filters are {', '.join(NAMES)}")
        found[name] = (value.removeprefix("!"), value.startswith("!"))
    return _build(found)


def _build(found: Mapping[str, tuple[str, bool]]) -> RequestFilter:
    fields: dict[str, object] = {}
    for name, (value, negated) in found.items():
        if negated and name == "slower-than":
            raise FilterError("slower-than: cannot be negated; leave the ! out")
        fields[_field(name)] = read(name, value)
    return replace(RequestFilter(), **fields, negated=frozenset(name for name in found if found[name][1]))


def _field(name: str) -> str:
    return "traffic_class" if name == "class" else name.replace("-", "_")


def _merged(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _one(name: str, value: int | str) -> tuple[object, ...]:
    """The field of a filter that asks for one value."""
    if name == "status":
        return ((value, value),)
    return (TrafficClass(value),) if name == "class" else (value,)


def _less(ranges: Iterable[tuple[int, int]], code: int) -> tuple[tuple[int, int], ...]:
    """Ranges without one code."""
    parts = [part for low, high in ranges for part in ((low, min(high, code - 1)), (max(low, code + 1), high))]
    return tuple((low, high) for low, high in parts if low <= high)


def _within(address: str, network: str) -> bool:
    try:
        return ip_address(address) in _network(network)
    except ValueError:
        return False


@lru_cache(maxsize=8)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text)


def _path_matches(logged: str | None, wanted: str) -> bool:
    if logged is None:
        return False
    stripped = logged.lstrip("/")
    return stripped.startswith(wanted) or (len(logged) >= _LOGGED_PATH and wanted.startswith(stripped))

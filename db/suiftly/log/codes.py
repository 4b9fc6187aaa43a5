"""The code columns of `haproxy_raw_logs` in words.

Reading never fails: a code nobody named is shown as "event 37". Going from a word an operator typed to its code may
fail, with CodeError.
"""

import re
from enum import StrEnum
from typing import Final, LiteralString, NamedTuple


class CodeError(ValueError):
    """A word that stands for no known code. The text says which words are known."""


class Blame(StrEnum):
    """Where to look first. NOBODY: nothing went wrong, or nobody can be named."""

    CLIENT = "client"
    EDGE = "edge"
    BACKEND = "backend"
    NOBODY = "nobody"


class Event(NamedTuple):
    """What the gateway recorded. `meaning` says in one sentence what happened and what to check."""

    code: int
    name: str
    category: str
    blame: Blame
    meaning: str

    @property
    def word(self) -> str:
        """The name as one word for filters: `api-key-revoked`, or the number of an unknown code."""
        return _slug(self.name) if self.code in EVENTS else str(self.code)


_PROTOCOL: Final = "auth and protocol"
_ACCESS: Final = "IP and access"
_AUTHORIZATION: Final = "authorization"
_BACKEND: Final = "backend"
_INFRASTRUCTURE: Final = "infrastructure"
_C: Final = Blame.CLIENT
_B: Final = Blame.BACKEND

EVENTS: Final[dict[int, Event]] = {
    code: Event(code, name, category, blame, meaning)
    for code, name, category, blame, meaning in (
        (0, "success", "success", Blame.NOBODY, "The gateway saw nothing wrong; nothing to check."),
        (10, "missing API key", _PROTOCOL, _C, "The request carried no API key; check the client's header."),
        (11, "auth failed", _PROTOCOL, _C, "The key did not authenticate; check that it was copied whole."),
        (12, "malformed request", _PROTOCOL, _C, "The request was not valid HTTP; check the client library."),
        (13, "header too large", _PROTOCOL, _C, "The headers exceed the gateway's buffer; check cookies and tokens."),
        (14, "request timeout", _PROTOCOL, _C, "The client sent its request too slowly; check its network."),
        (15, "TLS handshake failed", _PROTOCOL, _C, "TLS could not be set up; check client versions and certificate."),
        (16, "invalid route", _PROTOCOL, _C, "No service answers at this path; check the URL the client calls."),
        (
            17,
            "missing CF header",
            _PROTOCOL,
            _C,
            "The request bypassed Cloudflare; check DNS and who knows the address.",
        ),
        (20, "IP blocked", _ACCESS, _C, "The address is refused; check the customer's allow-list and block lists."),
        (21, "IP rate limit", _ACCESS, _C, "One address exceeded its own limit; check for a loop or a shared proxy."),
        (30, "customer not authorised", _AUTHORIZATION, _C, "The customer may not use this service; check its status."),
        (31, "API key revoked", _AUTHORIZATION, _C, "A revoked key was refused, as it should be; tell the customer."),
        (32, "customer not in map", _AUTHORIZATION, _C, "The gateway does not know the customer; check its vault."),
        (50, "backend 500", _BACKEND, _B, "The backend failed inside; check its log at this time."),
        (51, "backend 502", _BACKEND, _B, "The backend closed or sent no valid answer; check whether it crashed."),
        (52, "backend 503", _BACKEND, _B, "The backend refused work; check its load and health."),
        (53, "backend 504", _BACKEND, _B, "The backend did not answer in time; check slow calls behind it."),
        (54, "backend other", _BACKEND, _B, "The backend failed in another way; read status and termination state."),
        (60, "connection refused", _INFRASTRUCTURE, _B, "Nothing listened at the backend; check that it runs."),
        (61, "connection timeout", _INFRASTRUCTURE, _B, "The backend could not be reached; check host and network."),
        (62, "no backend available", _INFRASTRUCTURE, _B, "Every backend is marked down; check their health checks."),
        (63, "queue timeout", _INFRASTRUCTURE, _B, "The request waited too long for a free backend; check capacity."),
    )
}

NETWORKS: Final[dict[int, str]] = {0: "testnet", 1: "mainnet", 2: "devnet", 3: "localnet"}

FRONTENDS: Final[dict[int, str]] = {1: "private", 2: "metered", 3: "local"}

TRAFFIC_TYPES: Final[dict[int, tuple[str, str]]] = {
    0: ("n/a", "Not metered, or never classified."),
    1: ("guaranteed", "Within the guaranteed rate of the customer; metered."),
    2: ("burst", "Above the guaranteed rate, served with lower priority; metered."),
    3: ("denied", "Refused by the gateway; the event says why."),
    4: ("dropped", "Thrown away by the gateway, most likely above the customer's rate."),
    5: ("ip_dropped", "Thrown away by the gateway because of the client address, most likely its rate."),
    6: ("unavailable", "Refused by the gateway: nothing was there to serve it."),
    7: ("stream_delta", "Bytes of a stream that is still open; counts bytes, not a request."),
    8: ("stream_close", "End of a stream."),
}


SERVICES: Final = {1: "seal", 2: "grpc", 3: "graphql", 4: "platform", 5: "ssfn", 6: "sealo"}
"""Since 2026; in October 2025 code 2 was ssfn, and 3 was sealo."""


def service_name(code: int) -> str:
    """`seal`, or `service 9` for a code without a name."""
    return SERVICES.get(code, f"service {code}")


def service_word(code: int) -> str:
    """The name, or the bare number: what `service_code` reads back."""
    return SERVICES.get(code, str(code))


def service_code(word: str) -> int:
    """Code of a name or a number; `rpc`, the word on upstream's dashboards, is grpc. Raises CodeError."""
    wanted = _slug(word)
    return _code("service", "grpc" if wanted == "rpc" else wanted, {name: code for code, name in SERVICES.items()})


class TrafficClass(StrEnum):
    """Six classes that partition all requests: their sum is always the total."""

    GUARANTEED = "guaranteed"
    BURST = "burst"
    REJECTED = "rejected"
    INVALID = "invalid"
    SERVER_ERROR = "server-error"
    OTHER = "other"


# The same rule as traffic_class(); the values are TrafficClass values. No percent sign: it goes into psycopg queries.
TRAFFIC_CLASS_SQL: Final[LiteralString] = (
    "(CASE WHEN traffic_type BETWEEN 3 AND 6 THEN 'rejected'"
    " WHEN traffic_type = 1 AND status_code BETWEEN 200 AND 299 THEN 'guaranteed'"
    " WHEN traffic_type = 2 AND status_code BETWEEN 200 AND 299 THEN 'burst'"
    " WHEN status_code BETWEEN 400 AND 499 THEN 'invalid'"
    " WHEN status_code BETWEEN 500 AND 599 THEN 'server-error'"
    " ELSE 'other' END)"
)


def traffic_class(traffic_type: int, status_code: int) -> TrafficClass:
    """Class of one request. `other` takes what the five named classes leave: 1xx, 3xx, -1, unmetered 2xx, streams."""
    if 3 <= traffic_type <= 6:
        return TrafficClass.REJECTED
    if 200 <= status_code <= 299 and traffic_type in (1, 2):
        return TrafficClass.GUARANTEED if traffic_type == 1 else TrafficClass.BURST
    if 400 <= status_code <= 499:
        return TrafficClass.INVALID
    return TrafficClass.SERVER_ERROR if 500 <= status_code <= 599 else TrafficClass.OTHER


def event(code: int) -> Event:
    """The event of a code; an unknown one is called `event 37` in the category its range belongs to."""
    known = EVENTS.get(code)
    if known is not None:
        return known
    ranges = ((10, 17, _PROTOCOL, _C), (20, 21, _ACCESS, _C), (30, 39, _AUTHORIZATION, _C))
    ranges = (*ranges, (50, 54, _BACKEND, _B), (60, 63, _INFRASTRUCTURE, _B))
    for first, last, category, blame in ranges:
        if first <= code <= last:
            return Event(code, f"event {code}", category, blame, f"Code {code} is not documented in its range.")
    return Event(
        code, f"event {code}", "unknown", Blame.NOBODY, f"Code {code} is not documented; ask the gateway team."
    )


def event_name(code: int) -> str:
    """An event type in words."""
    return event(code).name


def event_code(word: str) -> int:
    """Code of `31`, `api-key-revoked` or `API key revoked`. Raises CodeError."""
    return _code("event", _slug(word), {known.word: known.code for known in EVENTS.values()})


def network_name(code: int) -> str:
    """Name of a log network. Port numbers count networks differently: do not use this for them."""
    return NETWORKS.get(code, f"network {code}")


def network_code(word: str) -> int:
    """Code of a network name or number. Raises CodeError."""
    return _code("network", _slug(word), {name: code for code, name in NETWORKS.items()})


def frontend_name(code: int) -> str:
    """Name of `fe_type`: private and local are not metered."""
    return FRONTENDS.get(code, f"frontend {code}")


def traffic_type_name(code: int) -> str:
    """Name of `traffic_type`."""
    return TRAFFIC_TYPES[code][0] if code in TRAFFIC_TYPES else f"traffic {code}"


def server_label(server_id: int) -> str:
    """`r3-s07`: region in the upper, server in the lower four bits. A negative SMALLINT is read as its low 8 bits."""
    value = server_id & 0xFF
    return f"r{value >> 4}-s{value & 15:02d}"


def server_code(word: str) -> int:
    """Server id 0..255 of `r3-s07`, `55` or `0x37`. Raises CodeError."""
    text = word.strip().lower()
    label = re.fullmatch(r"r([0-9]{1,2})-s([0-9]{1,2})", text)
    if label is not None and int(label[1]) <= 15 and int(label[2]) <= 15:
        return int(label[1]) << 4 | int(label[2])
    if re.fullmatch(r"0x[0-9a-f]{1,2}", text):
        return int(text, 16)
    if re.fullmatch(r"[0-9]{1,3}", text) and int(text) <= 255:
        return int(text)
    raise CodeError("server: give a label r0-s00 to r15-s15, a number 0 to 255, or hex 0x00 to 0xff")


def backend_label(backend_id: int | None) -> str:
    """`none`, `local 3`, `backup 12`; the number is the id itself."""
    if not backend_id:
        return "none"
    if 1 <= backend_id <= 9:
        return f"local {backend_id}"
    return f"backup {backend_id}" if 10 <= backend_id <= 19 else f"backend {backend_id}"


def status_class(status_code: int) -> str:
    """`2xx`; `none` for -1, when no answer was sent; the bare number outside 100..599."""
    if 100 <= status_code <= 599:
        return f"{status_code // 100}xx"
    return "none" if status_code == -1 else str(status_code)


def _slug(text: str) -> str:
    return re.sub(r"[\s_]+", "-", text.strip().lower())


def _code(column: str, word: str, known: dict[str, int]) -> int:
    """Code of a name, or a number that fits the column (SMALLINT, not negative)."""
    if word in known:
        return known[word]
    if re.fullmatch(r"[0-9]{1,5}", word) and int(word) <= 32767:
        return int(word)
    raise CodeError(f"{column}: give a number or one of {', '.join(known)}")

"""One request in words, for an operator at three in the morning: what happened, who is to blame, what to check."""

from dataclasses import dataclass
from datetime import UTC
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

from db.suiftly.keys.format import format_fingerprint
from db.suiftly.keys.metadata import KeyFormatError, KeyMetadata
from db.suiftly.log import codes, termination
from db.suiftly.log.codes import TRAFFIC_TYPES, Blame, TrafficClass
from db.suiftly.log.gateway_config import GatewayConfig, GatewayConfigError
from db.suiftly.log.row import RequestRow
from db.suiftly.log.termination import Termination, TerminationError


class Field(NamedTuple):
    """One line of the explanation. `explanation` is empty where the value speaks for itself."""

    label: str
    value: str
    explanation: str


class Phase(NamedTuple):
    """A part of the request's time in ms; None when it was not reached."""

    name: str
    ms: int | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """`fields` and `timings` always have the same labels in the same order, whatever the row.

    Timings: request, queue, connect, response, transfer, rest. Time beyond the completed phases is `transfer` when
    response headers came, else `rest` (the phase that never ended, or the gateway's own answer); the other is None.
    """

    headline: str
    blame: Blame
    fields: tuple[Field, ...]
    timings: tuple[Phase, ...]


_STATUS_WORDS: Final[dict[str, str]] = {
    "1xx": "Informational, the request went on.",
    "2xx": "Success.",
    "3xx": "Redirect or not modified.",
    "4xx": "The answer puts the fault with the client.",
    "5xx": "The answer puts the fault with the server side.",
    "none": "No answer was sent.",
}
_CLASS_WORDS: Final[dict[TrafficClass, str]] = {
    TrafficClass.GUARANTEED: "Served within the guaranteed rate.",
    TrafficClass.BURST: "Served above the guaranteed rate.",
    TrafficClass.REJECTED: "Refused at the edge; no backend saw it.",
    TrafficClass.INVALID: "Answered 4xx, and not refused by a limit.",
    TrafficClass.SERVER_ERROR: "Answered 5xx.",
    TrafficClass.OTHER: "In none of the five named classes: 1xx, 3xx, no answer, unmetered, or part of a stream.",
}
_GROUPS: Final[dict[int, str]] = {1: "production", 2: "development"}


def explain(row: RequestRow, *, reveal: bool = False) -> Explanation:
    """Explain a row. Never fails: what cannot be read is said to be unreadable. `reveal` shows the client address."""
    ending = _ending(row.termination_state)
    return Explanation(
        headline=_headline(row, ending),
        blame=_blame(row, ending),
        fields=(*_who(row, reveal), *_where(row), *_outcome(row, ending), *_gateway(row)),
        timings=_timings(row),
    )


def mask_ip(text: str) -> str:
    """A client address with its identifying part gone: `203.0.x.x`, `2001:db8::x`; `x` when it cannot be read."""
    try:
        address = ip_address(text.partition("/")[0])
    except ValueError:
        return "x"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            first, second, *_ = (f"{int(group, 16):x}" for group in address.exploded.split(":"))
            return f"{first}:{second}::x"
        address = address.ipv4_mapped
    first, second, *_ = str(address).split(".")
    return f"{first}.{second}.x.x"


def _printable(text: str) -> str:
    """Text a client chose, without what would steer a terminal."""
    return "".join(character if character.isprintable() else "·" for character in text)


def _ending(state: str | None) -> Termination | None:
    try:
        return termination.explain(state) if state else None
    except TerminationError:
        return None


def _headline(row: RequestRow, ending: Termination | None) -> str:
    event = codes.event(row.event_type)
    kind = codes.traffic_class(row.traffic_type, row.status_code)
    if event.code != 0:
        where = {Blame.CLIENT: "Refused", Blame.BACKEND: "Failed behind the gateway"}.get(event.blame, "Not served")
        what = f"{where}: {event.name}"
    elif kind is TrafficClass.REJECTED:
        what = f"Refused at the edge: {codes.traffic_type_name(row.traffic_type)}"
    elif ending is not None and ending.blame is not Blame.NOBODY:
        what = ending.reading.rstrip(".")
    elif kind is TrafficClass.INVALID:
        what = "Answered as an invalid request"
    elif kind is TrafficClass.SERVER_ERROR:
        what = "The server side failed"
    elif row.status_code == -1:
        what = "No answer was sent"
    else:
        what = {1: "Served as guaranteed traffic", 2: "Served as burst traffic"}.get(row.traffic_type, "Served")
    status = "no status" if row.status_code == -1 else f"status {row.status_code}"
    return f"{what} ({status}, {row.time_total} ms)."


def _blame(row: RequestRow, ending: Termination | None) -> Blame:
    """The gateway's own event first; then who ended the session; then the class of the answer."""
    event = codes.event(row.event_type)
    if event.blame is not Blame.NOBODY:
        return event.blame
    kind = codes.traffic_class(row.traffic_type, row.status_code)
    if kind is TrafficClass.REJECTED:
        return Blame.EDGE
    if ending is not None and ending.blame is not Blame.NOBODY:
        return ending.blame
    return {TrafficClass.INVALID: Blame.CLIENT, TrafficClass.SERVER_ERROR: Blame.BACKEND}.get(kind, Blame.NOBODY)


def _who(row: RequestRow, reveal: bool) -> tuple[Field, ...]:
    moment = row.timestamp.astimezone(UTC)
    customer = Field("customer", "none", "No customer was recognised: no key, an unreadable one, or refused before.")
    if row.customer_id is not None:
        customer = Field("customer", str(row.customer_id), "")
    key = Field("key", "none", "No key was sent, or it could not be read.")
    if row.api_key_fp:
        key = Field("key", _fingerprint(row.api_key_fp), "Fingerprint; several keys may share one.")
    return (
        Field("time", f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z", "By the gateway's clock."),
        customer,
        key,
        Field(
            "client", row.client_ip if reveal else mask_ip(row.client_ip), "" if reveal else "Personal data, masked."
        ),
        Field("path", _printable(row.path_prefix or "none"), "The log keeps the first ten characters."),
    )


def _where(row: RequestRow) -> tuple[Field, ...]:
    server = row.server_id & 0xFF
    metered = {1: "Not metered.", 2: "", 3: "Not metered."}.get(row.fe_type, "Not documented.")
    return (
        Field("service", codes.service_name(row.service_type), ""),
        Field("network", codes.network_name(row.network), ""),
        Field("server", codes.server_label(row.server_id), f"Region {server >> 4}, server {server & 15}."),
        Field("frontend", codes.frontend_name(row.fe_type), metered),
    )


def _outcome(row: RequestRow, ending: Termination | None) -> tuple[Field, ...]:
    kind = codes.traffic_class(row.traffic_type, row.status_code)
    event = codes.event(row.event_type)
    _, traffic = TRAFFIC_TYPES.get(row.traffic_type, ("", "Not documented."))
    status = codes.status_class(row.status_code)
    state = Field("termination", _printable(row.termination_state or "none"), "Not logged.")
    if ending is not None:
        letters = "; ".join(f"{character.character} {character.meaning}" for character in ending.characters)
        state = Field("termination", ending.state, f"{letters}. {ending.reading}")
    elif row.termination_state:
        state = state._replace(explanation="Not a state HAProxy writes (2 or 4 characters).")
    return (
        Field("traffic class", kind.value, _CLASS_WORDS[kind]),
        Field("traffic type", codes.traffic_type_name(row.traffic_type), traffic),
        Field("event", f"{event.code} {event.name}" if event.code in codes.EVENTS else event.name, event.meaning),
        Field("status", str(row.status_code), _STATUS_WORDS.get(status, "Not an HTTP status.")),
        Field("bytes", f"{row.bytes_sent:,}", "Body of the response, summed over repeats."),
        state,
        Field("backend", codes.backend_label(row.backend_id), "" if row.backend_id else "No backend was chosen."),
    )


def _gateway(row: RequestRow) -> tuple[Field, ...]:
    repeat = f"One row stands for {row.repeat} identical requests." if row.repeat != 1 else "A single request."
    return (
        _metadata(row.key_metadata),
        _config(row.config_hex),
        Field("repeat", str(row.repeat), repeat),
    )


def _metadata(bits: int | None) -> Field:
    if bits is None:
        return Field("key metadata", "none", "No key was read.")
    try:
        read = KeyMetadata.from_bits(bits)
    except KeyFormatError:
        return Field("key metadata", str(bits), "Does not fit 16 bits.")
    group = f" ({_GROUPS[read.proc_group]})" if read.proc_group in _GROUPS else ""
    access = f"{read.access} access" + (f", {read.source} key" if read.source else "")
    words = f"Version {read.version}, {read.network}, {access}, process group {read.proc_group}{group}."
    if bits & 0xFF:
        words += " Bits that must be 0 are set: another format version, or a forged key."
    return Field("key metadata", f"0x{bits & 0xFFFF:04x}", words)


def _config(value: int | None) -> Field:
    if value is None:
        return Field("gateway config", "none", "Refused before the customer was looked up.")
    try:
        read = GatewayConfig.decode(value)
    except GatewayConfigError:
        return Field("gateway config", str(value), "Does not fit 64 bits.")
    words = "; ".join(read.words())
    return Field("gateway config", read.to_hex(), f"{words[0].upper()}{words[1:]}.")


def _fingerprint(value: int) -> str:
    try:
        return format_fingerprint(value)
    except KeyFormatError:
        return str(value)


def _timings(row: RequestRow) -> tuple[Phase, ...]:
    phases = (
        Phase("request", row.time_request),
        Phase("queue", row.time_queue),
        Phase("connect", row.time_connect),
        Phase("response", row.time_response),
    )
    # Folded rows may carry mixed times, so the parts can exceed the total; HAProxy's own -1 counts as not reached.
    known = tuple(Phase(name, ms if ms is not None and ms >= 0 else None) for name, ms in phases)
    left = max(0, row.time_total - sum(phase.ms or 0 for phase in known))
    answered = known[-1].ms is not None
    return (*known, Phase("transfer", left if answered else None), Phase("rest", None if answered else left))

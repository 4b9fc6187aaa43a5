"""A log row as a record for JSON and CSV: the table's column names, and the codes' names beside them."""

from typing import Any, Final

from db.moments import rfc3339
from db.suiftly.log import codes
from db.suiftly.log.explain import mask_ip
from db.suiftly.log.row import RequestRow

_WORDS: Final = (
    "network_name",
    "server_name",
    "service_type_name",
    "fe_type_name",
    "traffic_type_name",
    "traffic_class",
    "event_type_name",
    "blame",
)
COLUMNS: Final = (*RequestRow._fields, *_WORDS)
"""What a record has, in its order."""


def as_record(row: RequestRow, *, reveal_ip: bool = False) -> dict[str, Any]:
    """Column names of haproxy_raw_logs in table order, then names of the codes. The client address is masked.

    The time is RFC 3339 text, the other values are numbers, texts and None.
    """
    record: dict[str, Any] = row._asdict()
    record["timestamp"] = rfc3339(row.timestamp)
    if not reveal_ip:
        record["client_ip"] = mask_ip(row.client_ip)
    event = codes.event(row.event_type)
    words = (
        codes.network_name(row.network),
        codes.server_label(row.server_id),
        codes.service_name(row.service_type),
        codes.frontend_name(row.fe_type),
        codes.traffic_type_name(row.traffic_type),
        codes.traffic_class(row.traffic_type, row.status_code).value,
        event.name,
        event.blame.value,
    )
    return record | dict(zip(_WORDS, words, strict=True))

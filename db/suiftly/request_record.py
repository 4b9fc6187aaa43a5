"""A log row as a record for JSON and CSV: the table's column names, and the codes' names beside them."""

from typing import Any

from db.suiftly import codes
from db.suiftly.explain import mask_ip
from db.suiftly.request_row import RequestRow


def as_record(row: RequestRow, *, reveal_ip: bool = False) -> dict[str, Any]:
    """Column names of haproxy_raw_logs in table order, then names of the codes. The client address is masked."""
    record: dict[str, Any] = row._asdict()
    if not reveal_ip:
        record["client_ip"] = mask_ip(row.client_ip)
    event = codes.event(row.event_type)
    return record | {
        "network_name": codes.network_name(row.network),
        "server_name": codes.server_label(row.server_id),
        "service_type_name": codes.HEAD_2026.name(row.service_type),
        "fe_type_name": codes.frontend_name(row.fe_type),
        "traffic_type_name": codes.traffic_type_name(row.traffic_type),
        "traffic_class": codes.traffic_class(row.traffic_type, row.status_code).value,
        "event_type_name": event.name,
        "blame": event.blame.value,
    }

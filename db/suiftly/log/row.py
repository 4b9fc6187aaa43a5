"""One row of `haproxy_raw_logs`, typed and in the table's own column order."""

from datetime import datetime
from typing import NamedTuple


class RequestRow(NamedTuple):
    """A request as a gateway wrote it. A tuple, because the tail decodes thousands a second.

    Field names are the column names. Times are milliseconds; `time_request` .. `time_response` are None
    when the phase was not reached (HAProxy's -1). `client_ip` is the host as text: the caller masks it.
    `api_key_fp` is unsigned 32 bit, 0 when no key was sent. `customer_id` is None when no customer was recognised.
    """

    timestamp: datetime
    customer_id: int | None
    path_prefix: str | None
    config_hex: int | None
    network: int
    server_id: int
    service_type: int
    api_key_fp: int
    fe_type: int
    traffic_type: int
    event_type: int
    client_ip: str
    key_metadata: int | None
    status_code: int
    bytes_sent: int
    time_total: int
    time_request: int | None
    time_queue: int | None
    time_connect: int | None
    time_response: int | None
    backend_id: int | None
    termination_state: str | None
    repeat: int

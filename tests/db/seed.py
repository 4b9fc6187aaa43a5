"""A few rows by hand, for tests that need to know every one of them."""

from datetime import UTC, datetime

import psycopg

from db.suiftly.log.row import RequestRow

CUSTOMER = 4294967295
OTHER_CUSTOMER = 7
SERVED = RequestRow(
    timestamp=datetime(2026, 5, 1, 3, 4, 5, 678901, tzinfo=UTC),
    customer_id=42,
    path_prefix="v1/decrypt",
    config_hex=3449526812678,
    network=1,
    server_id=0x37,
    service_type=2,
    api_key_fp=2711124630,
    fe_type=2,
    traffic_type=1,
    event_type=0,
    client_ip="203.0.113.9",
    key_metadata=0x3100,
    status_code=200,
    bytes_sent=12345,
    time_total=50,
    time_request=1,
    time_queue=2,
    time_connect=3,
    time_response=20,
    backend_id=12,
    termination_state="--",
    repeat=1,
)


def wallet(number: int) -> str:
    return f"0x{number:064x}"


def add_customer(dsn: str, customer_id: int, status: str = "active") -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO customers (customer_id, wallet_address, status, current_balance_usd_cents)"
            " VALUES (%s, %s, %s, 12345)",
            (customer_id, wallet(customer_id), status),
        )


def add_service(dsn: str, customer_id: int, service: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO service_instances (customer_id, service_type, tier) VALUES (%s, %s, 'pro')",
            (customer_id, service),
        )


def add_key(dsn: str, fingerprint: int, customer_id: int, *, key_hash: str | None = None) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO api_keys (api_key_id, api_key_fp, api_key_hash, customer_id, service_type)"
            " VALUES (%s, %s, %s, %s, 'seal')",
            (f"sealed-{fingerprint}", fingerprint, key_hash or f"{fingerprint:064x}", customer_id),
        )


def add_two_customers(dsn: str) -> None:
    """CUSTOMER with the keys 42, 43 and the last one there can be, OTHER_CUSTOMER with 77."""
    add_customer(dsn, CUSTOMER)
    add_customer(dsn, OTHER_CUSTOMER)
    for number in (42, 43, 4294967295):
        add_key(dsn, number, CUSTOMER)
    add_key(dsn, 77, OTHER_CUSTOMER)


def add_request(dsn: str, **columns: object) -> None:
    """One log row; what is not said is an ordinary success of now."""
    values: dict[str, object] = {
        "timestamp": "now",
        "customer_id": CUSTOMER,
        "path_prefix": "v1/fetch_k",
        "network": 1,
        "server_id": 0x13,
        "service_type": 1,
        "api_key_fp": 42,
        "fe_type": 2,
        "traffic_type": 1,
        "event_type": 0,
        "client_ip": "203.0.113.9",
        "status_code": 200,
        "bytes_sent": 512,
        "time_total": 40,
        "time_request": 1,
        "time_queue": 2,
        "time_connect": 3,
        "time_response": 30,
        "backend_id": 1,
        "termination_state": "--",
        "repeat": 1,
    } | columns
    names = ", ".join(values)
    places = ", ".join(f"%({name})s" for name in values)
    with psycopg.connect(dsn) as connection:
        connection.execute(f"INSERT INTO haproxy_raw_logs ({names}) VALUES ({places})", values)  # pyright: ignore

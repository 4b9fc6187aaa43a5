"""A log row as JSON and CSV show it: the table's columns, and words beside the codes."""

import json
from datetime import UTC, datetime

import psycopg
import pytest

from db.database import Database
from db.moments import rfc3339
from db.suiftly.log.filter import RequestFilter
from db.suiftly.log.record import COLUMNS, as_record
from db.suiftly.log.requests import Requests
from db.suiftly.log.row import RequestRow
from tests.db.seed import CUSTOMER, add_request

WORDS = [
    "network_name", "server_name", "service_type_name", "fe_type_name", "traffic_type_name", "traffic_class",
    "event_type_name", "blame",
]  # fmt: skip


async def one(dsn: str, database: Database, **columns: object) -> RequestRow:
    add_request(dsn, **columns)
    (row,) = (await Requests(database).begin(RequestFilter())).rows
    return row


async def test_the_columns_are_those_of_the_table_in_its_order(dsn: str, database: Database) -> None:
    with psycopg.connect(dsn) as connection:
        columns = connection.execute(
            """SELECT attname FROM pg_attribute WHERE attrelid = 'haproxy_raw_logs'::regclass AND attnum > 0
               AND attname <> 'xid' ORDER BY attnum"""
        ).fetchall()
    record = as_record(await one(dsn, database))
    assert tuple(record) == COLUMNS
    assert list(record) == [column for (column,) in columns] + WORDS


async def test_every_value_comes_out_as_it_was_written(dsn: str, database: Database) -> None:
    at = datetime.now(UTC)
    row = await one(
        dsn, database, timestamp=at, customer_id=CUSTOMER, path_prefix="v1/x", config_hex=2**40, network=1,
        server_id=0x37, service_type=2, api_key_fp=2**32 - 1, fe_type=2, traffic_type=3, event_type=31,
        client_ip="2001:db8::9", key_metadata=-32768, status_code=403, bytes_sent=2**33, time_total=9,
        time_request=None, time_queue=0, time_connect=1, time_response=2, backend_id=5, termination_state="PR",
        repeat=7,
    )  # fmt: skip
    assert row == RequestRow(
        at, CUSTOMER, "v1/x", 2**40, 1, 0x37, 2, 2**32 - 1, 2, 3, 31, "2001:db8::9", -32768, 403, 2**33, 9,
        None, 0, 1, 2, 5, "PR", 7,
    )  # fmt: skip
    record = as_record(row, reveal_ip=True)
    assert {name: record[name] for name in row._fields} == row._asdict() | {"timestamp": rfc3339(at)}
    assert datetime.fromisoformat(record["timestamp"]) == at
    assert [record[word] for word in WORDS] == [
        "mainnet", "r3-s07", "grpc", "metered", "denied", "rejected", "API key revoked", "client",
    ]  # fmt: skip


@pytest.mark.parametrize(("address", "part"), [("203.0.113.77", "77"), ("2001:db8:1:2:3:4:5:6", "3:4:5:6")])
async def test_the_client_address_is_masked_unless_asked_for(
    dsn: str, database: Database, address: str, part: str
) -> None:
    row = await one(dsn, database, client_ip=address)
    assert part not in as_record(row)["client_ip"]
    assert as_record(row)["client_ip"]
    assert as_record(row, reveal_ip=True)["client_ip"] == address


async def test_codes_that_nobody_named_are_numbers_and_empty_columns_stay_empty(dsn: str, database: Database) -> None:
    row = await one(
        dsn, database, customer_id=None, path_prefix=None, network=9, service_type=77, fe_type=66, traffic_type=55,
        event_type=44, status_code=-1, termination_state=None,
    )  # fmt: skip
    record = as_record(row)
    assert (record["customer_id"], record["path_prefix"], record["termination_state"]) == (None, None, None)
    for word, code in (("network_name", 9), ("service_type_name", 77), ("fe_type_name", 66), ("event_type_name", 44)):
        assert str(code) in record[word]
    assert record["traffic_class"] == "other"


async def test_a_record_is_plain_json_and_its_time_is_utc(dsn: str, database: Database) -> None:
    record = as_record(await one(dsn, database))
    assert record["timestamp"].endswith("Z")
    assert json.loads(json.dumps(record)) == record

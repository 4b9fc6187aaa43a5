"""The code columns in words, and the traffic class in SQL and in Python."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.suiftly.log import codes
from db.suiftly.log.codes import Blame, CodeError, TrafficClass

DOCUMENTED = {0, *range(10, 18), 20, 21, 30, 31, 32, *range(50, 55), *range(60, 64)}


def test_sql_and_python_give_the_same_class() -> None:
    """Every traffic type around the known ones with every status, through SQL in SQLite."""
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE log (traffic_type int, status_code int)")
        pairs = [(kind, status) for kind in range(-1, 11) for status in (-1, 0, *range(99, 701))]
        connection.executemany("INSERT INTO log VALUES (?, ?)", pairs)
        query = "SELECT traffic_type, status_code, " + codes.TRAFFIC_CLASS_SQL + " FROM log"
        seen = connection.execute(query).fetchall()
    connection.close()
    assert len(seen) == len(pairs)
    assert [row for row in seen if codes.traffic_class(row[0], row[1]) != row[2]] == []
    assert {row[2] for row in seen} == {member.value for member in TrafficClass}


@pytest.mark.parametrize(
    ("traffic_type", "status", "expected"),
    [
        (1, 200, TrafficClass.GUARANTEED),
        (2, 299, TrafficClass.BURST),
        (3, 200, TrafficClass.REJECTED),
        (6, 503, TrafficClass.REJECTED),
        (4, 429, TrafficClass.REJECTED),
        (1, 404, TrafficClass.INVALID),
        (0, 499, TrafficClass.INVALID),
        (2, 500, TrafficClass.SERVER_ERROR),
        (7, 599, TrafficClass.SERVER_ERROR),
        (1, 304, TrafficClass.OTHER),
        (1, -1, TrafficClass.OTHER),
        (0, 200, TrafficClass.OTHER),
        (8, 200, TrafficClass.OTHER),
        (1, 600, TrafficClass.OTHER),
    ],
)
def test_traffic_class(traffic_type: int, status: int, expected: TrafficClass) -> None:
    assert codes.traffic_class(traffic_type, status) is expected


def test_class_sql_is_safe_inside_a_psycopg_query() -> None:
    assert "%" not in codes.TRAFFIC_CLASS_SQL


def test_all_documented_events_are_there() -> None:
    assert set(codes.EVENTS) == DOCUMENTED
    for code, event in codes.EVENTS.items():
        assert event.code == code
        assert event.meaning.endswith(".")
        assert codes.event_code(event.word) == codes.event_code(event.name) == codes.event_code(str(code)) == code
    assert len({event.word for event in codes.EVENTS.values()}) == len(codes.EVENTS)


@pytest.mark.parametrize(
    ("code", "blame"),
    [(0, Blame.NOBODY), (10, Blame.CLIENT), (31, Blame.CLIENT), (50, Blame.BACKEND), (63, Blame.BACKEND)],
)
def test_event_blame(code: int, blame: Blame) -> None:
    assert codes.event(code).blame is blame


def test_unknown_events_keep_the_blame_of_their_range() -> None:
    assert (codes.event(37).name, codes.event(37).category, codes.event(37).blame) == (
        "event 37",
        "authorization",
        Blame.CLIENT,
    )
    assert codes.event(99).blame is Blame.NOBODY
    assert codes.event(37).word == "37"


@settings(deadline=None)
@given(st.integers(-32768, 32767))
def test_reading_any_smallint_never_fails(code: int) -> None:
    texts = (
        codes.event(code).name,
        codes.network_name(code),
        codes.frontend_name(code),
        codes.traffic_type_name(code),
        codes.server_label(code),
        codes.backend_label(code),
        codes.status_class(code),
        codes.service_name(code),
    )
    assert all(texts)


@settings(deadline=None)
@given(st.integers(0, 255))
def test_server_labels_round_trip(server: int) -> None:
    label = codes.server_label(server)
    assert codes.server_code(label) == server
    assert codes.server_code(str(server)) == server
    assert codes.server_code(f"0x{server:02X}") == server
    assert codes.server_label(server - 256) == label


def test_server_label() -> None:
    assert codes.server_label(0x37) == "r3-s07"
    assert codes.server_label(-1) == "r15-s15"


@pytest.mark.parametrize("word", ["r16-s01", "r1-s16", "256", "-1", "0x100", "s07", ""])
def test_bad_servers(word: str) -> None:
    with pytest.raises(CodeError, match="server: give"):
        codes.server_code(word)


def test_services_by_name_word_and_code() -> None:
    assert (codes.service_name(2), codes.service_word(2)) == ("grpc", "grpc")
    assert (codes.service_name(9), codes.service_word(9)) == ("service 9", "9")
    assert [codes.service_code(word) for word in ("ssfn", "sealo", "RPC", "9")] == [5, 6, 2, 9]
    with pytest.raises(CodeError, match="seal, grpc, graphql, platform, ssfn, sealo"):
        codes.service_code("rest")


def test_networks() -> None:
    assert [codes.network_name(code) for code in range(5)] == ["testnet", "mainnet", "devnet", "localnet", "network 4"]
    assert codes.network_code("Mainnet") == 1
    with pytest.raises(CodeError, match="network: give"):
        codes.network_code("nowhere")


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (None, "none"),
        (0, "none"),
        (1, "local 1"),
        (9, "local 9"),
        (10, "backup 10"),
        (19, "backup 19"),
        (20, "backend 20"),
    ],
)
def test_backends(backend: int | None, words: str) -> None:
    assert codes.backend_label(backend) == words


@pytest.mark.parametrize(
    ("status", "words"), [(100, "1xx"), (204, "2xx"), (599, "5xx"), (-1, "none"), (600, "600"), (0, "0")]
)
def test_status_classes(status: int, words: str) -> None:
    assert codes.status_class(status) == words

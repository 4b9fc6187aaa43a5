"""A request in words: order of the fields, blame, timings, and what is masked."""

from datetime import timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.suiftly.log.codes import Blame
from db.suiftly.log.explain import Explanation, explain, mask_ip
from db.suiftly.log.row import RequestRow
from tests.db.seed import SERVED

LABELS = (
    "time",
    "customer",
    "key",
    "client",
    "path",
    "service",
    "network",
    "server",
    "frontend",
    "traffic class",
    "traffic type",
    "event",
    "status",
    "bytes",
    "termination",
    "backend",
    "key metadata",
    "gateway config",
    "repeat",
)


def value(told: Explanation, label: str) -> str:
    return next(field.value for field in told.fields if field.label == label)


def words(told: Explanation, label: str) -> str:
    return next(field.explanation for field in told.fields if field.label == label)


def test_a_served_request() -> None:
    told = explain(SERVED)
    assert told.headline == "Served as guaranteed traffic (status 200, 50 ms)."
    assert told.blame is Blame.NOBODY
    assert tuple(field.label for field in told.fields) == LABELS
    assert {label: value(told, label) for label in LABELS} == {
        "time": "2026-05-01T03:04:05.678Z",
        "customer": "42",
        "key": "0xa1987a96",
        "client": "203.0.x.x",
        "path": "v1/decrypt",
        "service": "grpc",
        "network": "mainnet",
        "server": "r3-s07",
        "frontend": "metered",
        "traffic class": "guaranteed",
        "traffic type": "guaranteed",
        "event": "0 success",
        "status": "200",
        "bytes": "12,345",
        "termination": "--",
        "backend": "backup 12",
        "key metadata": "0x3100",
        "gateway config": "0000032327d20006",
        "repeat": "1",
    }
    assert words(told, "key metadata") == (
        "Version 0, mainnet, permission access, derived key, process group 1 (production)."
    )
    assert words(told, "server") == "Region 3, server 7."
    assert [tuple(phase) for phase in told.timings] == [
        ("request", 1),
        ("queue", 2),
        ("connect", 3),
        ("response", 20),
        ("transfer", 24),
        ("rest", None),
    ]


@pytest.mark.parametrize(
    ("change", "blame", "headline"),
    [
        ({"event_type": 31, "status_code": 403, "termination_state": "PR"}, Blame.CLIENT, "Refused: API key revoked"),
        (
            {"event_type": 53, "status_code": 504, "termination_state": "sH"},
            Blame.BACKEND,
            "Failed behind the gateway: backend 504",
        ),
        (
            {"traffic_type": 4, "status_code": 429, "termination_state": "PR"},
            Blame.EDGE,
            "Refused at the edge: dropped",
        ),
        ({"termination_state": "CD"}, Blame.CLIENT, "The client left during the transfer"),
        ({"termination_state": "IH", "status_code": 500}, Blame.EDGE, "The proxy found an internal error"),
        ({"status_code": 404}, Blame.CLIENT, "Answered as an invalid request"),
        ({"status_code": 500}, Blame.BACKEND, "The server side failed"),
        ({"status_code": -1, "termination_state": None}, Blame.NOBODY, "No answer was sent (no status"),
        ({"traffic_type": 0}, Blame.NOBODY, "Served (status 200"),
        ({"event_type": 99}, Blame.NOBODY, "Not served: event 99"),
    ],
)
def test_headline_and_blame(change: dict[str, object], blame: Blame, headline: str) -> None:
    told = explain(SERVED._replace(**change))  # pyright: ignore[reportArgumentType]
    assert told.headline.startswith(headline)
    assert told.blame is blame


def test_the_event_brings_its_remedy() -> None:
    told = explain(SERVED._replace(event_type=32))
    assert value(told, "event") == "32 customer not in map"
    assert "vault" in words(told, "event")
    assert value(explain(SERVED._replace(event_type=50)), "event") == "50 backend 500"
    assert value(explain(SERVED._replace(event_type=37)), "event") == "event 37"


def test_termination_is_read_character_by_character() -> None:
    told = explain(SERVED._replace(termination_state="sH"))
    assert words(told, "termination") == (
        "s the server-side timeout expired; H while waiting for the response headers. "
        "The server did not send headers in time."
    )
    assert "Not a state" in words(explain(SERVED._replace(termination_state="abc")), "termination")
    assert value(explain(SERVED._replace(termination_state=None)), "termination") == "none"


def test_time_before_the_headers_is_no_transfer() -> None:
    told = explain(SERVED._replace(time_response=None, time_total=30005))
    assert dict(told.timings)["transfer"] is None
    assert dict(told.timings)["rest"] == 29999


def test_negative_phases_count_as_not_reached() -> None:
    told = explain(SERVED._replace(time_connect=-1))
    assert dict(told.timings) == {
        "request": 1,
        "queue": 2,
        "connect": None,
        "response": 20,
        "transfer": 27,
        "rest": None,
    }


@settings(deadline=None)
@given(st.integers(-1, 10**6), st.lists(st.none() | st.integers(-1, 10**6), min_size=4, max_size=4), st.integers(1, 9))
def test_timings_are_never_negative_and_add_up(total: int, phases: list[int | None], repeat: int) -> None:
    request, queue, connect, response = phases
    row = SERVED._replace(
        time_total=total,
        time_request=request,
        time_queue=queue,
        time_connect=connect,
        time_response=response,
        repeat=repeat,
    )
    timings = explain(row).timings
    assert all(phase.ms is None or phase.ms >= 0 for phase in timings)
    known = sum(ms for ms in phases if ms is not None and ms >= 0)
    assert sum(phase.ms or 0 for phase in timings) == max(known, total, 0)
    assert [phase.ms is None for phase in timings[-2:]].count(True) == 1


def test_nulls_are_explained() -> None:
    told = explain(
        SERVED._replace(
            customer_id=None, api_key_fp=0, key_metadata=None, config_hex=None, path_prefix=None, backend_id=None
        )
    )
    for label in ("customer", "key", "key metadata", "gateway config", "backend", "path"):
        assert value(told, label) == "none"
        assert words(told, label)


def test_service_time_zone_and_repeat() -> None:
    row = SERVED._replace(timestamp=SERVED.timestamp.astimezone(timezone(timedelta(hours=5))), repeat=7)
    told = explain(row)
    assert value(told, "service") == "grpc"
    assert value(told, "time") == "2026-05-01T03:04:05.678Z"
    assert words(told, "repeat") == "One row stands for 7 identical requests."


def test_reserved_metadata_bits_are_reported() -> None:
    assert "must be 0" in words(explain(SERVED._replace(key_metadata=0x3101)), "key metadata")
    assert value(explain(SERVED._replace(key_metadata=-256)), "key metadata") == "0xff00"


def test_the_address_is_masked_unless_revealed() -> None:
    masked, revealed = explain(SERVED), explain(SERVED, reveal=True)
    assert "203.0.113.9" not in repr(masked)
    assert value(revealed, "client") == "203.0.113.9"


def test_a_hostile_path_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in "".join(field.value for field in explain(SERVED._replace(path_prefix="\x1b[2Jv1")).fields)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("203.0.113.9", "203.0.x.x"),
        ("203.0.113.9/32", "203.0.x.x"),
        ("2001:db8:1:2::5", "2001:db8::x"),
        ("::1", "0:0::x"),
        ("::ffff:203.0.113.9", "203.0.x.x"),
        ("not an address", "x"),
        ("", "x"),
    ],
)
def test_mask_ip(text: str, masked: str) -> None:
    assert mask_ip(text) == masked


smallint = st.integers(-32768, 32767)


@settings(deadline=None)
@given(
    st.builds(
        SERVED._replace,
        network=smallint,
        server_id=smallint,
        service_type=smallint,
        fe_type=smallint,
        traffic_type=smallint,
        event_type=smallint,
        status_code=smallint,
        key_metadata=st.none() | st.integers(-(2**40), 2**40),
        config_hex=st.none() | st.integers(-(2**70), 2**70),
        api_key_fp=st.integers(-(2**40), 2**40),
        backend_id=st.none() | smallint,
        termination_state=st.none() | st.text(max_size=5),
        client_ip=st.text(max_size=20),
    )
)
def test_no_row_is_too_odd_to_explain(row: RequestRow) -> None:
    told = explain(row)
    assert tuple(field.label for field in told.fields) == LABELS
    assert told.headline.endswith(".")
    assert len(told.timings) == 6

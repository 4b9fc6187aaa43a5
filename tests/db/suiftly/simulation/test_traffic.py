"""What a gateway logs agrees with itself: status, event, traffic class, phases and termination state."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from itertools import accumulate
from random import Random

import pytest

from db.suiftly.log.row import RequestRow
from db.suiftly.simulation import traffic
from db.suiftly.simulation.access import NOT_IN_MAP, REVOKED, SUSPENDED, Offer, Standing, TableAccess
from db.suiftly.simulation.cast import Cast, Sender, client_addresses
from db.suiftly.simulation.gateways import Gateway, Load, build_gateways, region_shares
from db.suiftly.simulation.lines import LinePool, encode, stamp
from db.suiftly.simulation.weather import Weather

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
DOCUMENTATION = [ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]
FAILURES = {
    50: (500, {"--"}),
    51: (502, {"SH"}),
    52: (503, {"--"}),
    53: (504, {"sH"}),
    54: (500, {"SD"}),
    60: (503, {"SC"}),
    61: (503, {"sC"}),
    62: (503, {"RC"}),
    63: (503, {"sQ"}),
}


def make_cast(count: int = 60) -> Cast:
    senders = tuple(
        Sender(
            fp=1000 + nth,
            customer_id=4_000_000_000 - nth,
            service=1 + nth % 3,
            network=nth % 2,
            key_metadata=0x2900 if nth % 2 else 0x0900,
            weight=1 / (nth + 1),
            clients=client_addresses(4_000_000_000 - nth),
            steady_since=LONG_AGO,
        )
        for nth in range(count)
    )
    weights = tuple(accumulate(sender.weight for sender in senders))
    return Cast(tuple(sender.customer_id for sender in senders), senders, weights)


def make_standings(cast: Cast) -> dict[int, Standing]:
    tiers = ("starter", "pro", "enterprise")
    events = {7: REVOKED, 8: SUSPENDED, 9: NOT_IN_MAP}
    return {
        sender.fp: Standing(events.get(nth % 10, 0), tiers[nth % 3])
        for nth, sender in enumerate(cast.senders)
        if nth != 5
    }


@pytest.fixture(scope="module")
def rows() -> list[RequestRow]:
    """60,000 rows of every kind the simulator can make."""
    random, cast = Random(11), make_cast()
    gateways = build_gateways(random, cast)
    for gateway in gateways:
        gateway.install(Offer(0, TableAccess(make_standings(cast))))
    made: list[RequestRow] = []
    addresses = ("203.0.113.9", "2001:db8:bad::1")
    for nth in range(20_000):
        gateway = gateways[nth % len(gateways)]
        made.append(gateway.everyday())
        made.append(gateway.answer(cast.pick(random), Load.OVER_LIMIT if nth % 2 else Load.FAILING))
        made.append(traffic.attack(random, gateway.server_id, addresses) if nth % 4 else gateway.everyday())
    return made


def phases(row: RequestRow) -> tuple[int | None, ...]:
    return row.time_request, row.time_queue, row.time_connect, row.time_response


def test_every_kind_occurs(rows: list[RequestRow]) -> None:
    events = Counter(row.event_type for row in rows)
    assert set(events) == {0, *range(10, 18), 20, 21, 30, 31, 32, 50, 51, 52, 53, 54, 60, 61, 62, 63}
    assert {row.traffic_type for row in rows} == {0, 1, 2, 3, 4, 5, 6}
    assert {row.status_code for row in rows} >= {200, 304, 400, 403, 404, 408, 500, 502, 503, 504, -1}
    assert {row.termination_state for row in rows} == {
        "--", "CD", "cD", "PR", "cR", "SH", "sH", "SD", "SC", "sC", "RC", "sQ",
    }  # fmt: skip
    assert any(":" in row.client_ip for row in rows)


def test_time_covers_its_phases_and_no_phase_follows_an_unreached_one(rows: list[RequestRow]) -> None:
    for row in rows:
        known = [phase for phase in phases(row) if phase is not None]
        assert row.time_total >= sum(known), row
        assert all(phase >= 0 for phase in known), row
        reached = [phase is not None for phase in phases(row)]
        assert reached == sorted(reached, reverse=True), row


def test_event_0_is_exactly_what_a_backend_answered(rows: list[RequestRow]) -> None:
    for row in rows:
        answered = (
            row.traffic_type in {1, 2}
            and 200 <= row.status_code < 500
            and None not in phases(row)
            and row.termination_state in {"--", "CD", "cD"}
        )
        probe = row.fe_type == 3 and row.traffic_type == 0 and row.status_code == 200
        assert (row.event_type == 0) == (answered or probe), row
        if probe:
            assert row.customer_id is None
            assert row.api_key_fp == 0


def test_what_the_edge_refused_never_saw_a_backend(rows: list[RequestRow]) -> None:
    for row in rows:
        if not 10 <= row.event_type <= 39:
            assert row.repeat == 1, row
            continue
        assert phases(row)[1:] == (None, None, None), row
        assert row.backend_id == 0, row
        assert row.bytes_sent == (0 if row.event_type == 15 else 112 * row.repeat), row
        assert row.termination_state == ("cR" if row.event_type == 14 else "PR"), row
        expected = {14: 408, 15: -1}.get(row.event_type, 403 if row.event_type >= 20 else 400)
        assert row.status_code == expected, row
        if row.event_type in {30, 31, 32}:
            assert row.traffic_type == 3, row
        if row.event_type in {20, 21}:
            assert row.traffic_type == (5 if row.customer_id is None else 3), row
    assert any(row.repeat > 1 for row in rows if row.event_type == 31)
    assert any(row.repeat > 10 for row in rows if row.event_type == 21)


def test_failures_end_as_haproxy_says(rows: list[RequestRow]) -> None:
    for row in rows:
        if row.event_type < 50:
            continue
        status, terminations = FAILURES[row.event_type]
        assert row.status_code == status, row
        assert row.termination_state in terminations, row
        assert row.traffic_type == {62: 6}.get(row.event_type, row.traffic_type), row
        assert row.traffic_type in {63: {1, 4}, 62: {6}}.get(row.event_type, {1, 2}), row
        assert (row.backend_id == 0) == (row.event_type in {62, 63}), row
        assert (row.time_connect is None) == (row.event_type >= 60), row
        assert (row.time_response is None) == (row.event_type in {51, 53, 60, 61, 62, 63}), row
        if row.event_type == 63:
            assert row.time_queue == traffic.QUEUE_TIMEOUT_MS


def test_customer_key_and_limits_agree(rows: list[RequestRow]) -> None:
    cast = make_cast()
    by_fp = {sender.fp: sender for sender in cast.senders}
    standings = make_standings(cast)
    for row in rows:
        if row.customer_id is None:
            assert row.key_metadata is None
            assert row.config_hex is None
            assert (row.api_key_fp != 0) == (row.event_type == 11), row
            continue
        sender = by_fp[row.api_key_fp]
        assert (row.customer_id, row.service_type, row.network, row.key_metadata) == (
            sender.customer_id, sender.service, sender.network, sender.key_metadata,
        )  # fmt: skip
        standing = standings.get(sender.fp)
        expected = NOT_IN_MAP if standing is None else standing.event
        if expected or row.event_type in {30, 31, 32}:
            assert row.event_type == expected, row
        if row.event_type == 32:
            assert row.config_hex is None
        elif row.event_type == 30:
            assert row.config_hex == 0
        else:
            assert standing is not None
            assert row.config_hex == traffic.CONFIG_BY_TIER[standing.tier]
        if standing is not None and standing.tier == "starter":
            assert row.traffic_type != 2, "starters have no burst"


def test_limits_are_the_documented_words() -> None:
    assert traffic.CONFIG_BY_TIER["starter"] == 206963736576
    assert traffic.CONFIG_BY_TIER["pro"] == 3449526812672


def test_addresses_paths_and_servers(rows: list[RequestRow]) -> None:
    for address in {row.client_ip for row in rows}:
        assert any(ip_address(address) in net for net in DOCUMENTATION), address
    for path in {row.path_prefix for row in rows}:
        assert path is None or (0 < len(path) <= 10 and not path.startswith("/"))
    assert {row.server_id for row in rows} == {region << 4 | n for region in (1, 2, 3) for n in (1, 2, 3, 4)}


def test_a_gateway_serves_from_its_own_older_copy() -> None:
    random, cast = Random(1), make_cast(3)
    before = {sender.fp: Standing(0, "pro") for sender in cast.senders}
    after = {**before, 1001: Standing(REVOKED, "pro")}
    del after[1002]
    after[1003] = Standing(0, "starter")
    gateway = Gateway(0x11, 3.0, random, cast)
    gateway.install(Offer(0, TableAccess(before)))
    gateway.publish(Offer(0, TableAccess(after)), at=100.0)
    assert not gateway.apply(102.9)
    assert gateway.answer(cast.senders[1], Load.ORDINARY).event_type != REVOKED
    assert gateway.apply(103.0)
    assert gateway.answer(cast.senders[1], Load.ORDINARY).event_type == REVOKED
    assert gateway.answer(cast.senders[2], Load.ORDINARY).event_type == NOT_IN_MAP
    assert gateway.standing(replace(cast.senders[0], fp=1003)) == Standing(0, "starter")
    assert not gateway.apply(200.0)


def test_gateways_do_not_change_at_the_same_moment() -> None:
    lags = [gateway.lag for gateway in build_gateways(Random(3), make_cast(3))]
    assert len(lags) == 12
    assert min(lags) >= 1
    assert max(lags) <= 5
    assert max(lags) - min(lags) > 1


def test_the_sun_moves_traffic_between_regions() -> None:
    noon, night = (region_shares(datetime(2026, 5, 5, hour, tzinfo=UTC)) for hour in (14, 2))
    assert sum(noon.values()) == pytest.approx(1)
    assert noon[2] > night[2]
    assert noon[3] < night[3]


def test_weather_comes_and_goes() -> None:
    random, cast = Random(5), make_cast()
    gateways = build_gateways(random, cast)
    for gateway in gateways:
        gateway.install(Offer(0, TableAccess(make_standings(cast))))
    weather = Weather(random, cast, gateways, 0.0)
    seen: Counter[str] = Counter()
    for second in range(1, 4_000):
        weather.advance(float(second))
        for episode in weather.episodes:
            seen[episode.kind] += 1
            assert episode.until - second <= 60
            if episode.kind == "outage":
                assert len(episode.servers) == 1
            gateway = next(gateway for gateway in gateways if gateway.server_id in episode.servers)
            assert len(episode.take(random, gateway, 3)) == 3
    assert set(seen) == {"outage", "attack", "surge"}


def test_lines_are_stamped_in_order_within_their_span() -> None:
    random, cast = Random(2), make_cast()
    gateway = build_gateways(random, cast)[0]
    gateway.install(Offer(0, TableAccess(make_standings(cast))))
    first = datetime(2026, 12, 31, 23, 59, 59, 250_000, tzinfo=UTC)
    lines = LinePool(gateway.everyday).take(random, 500)
    block = stamp(random, lines, first, 1.5)
    times = [datetime.fromisoformat(line.split("\t")[0] + ":00") for line in block.data.decode().splitlines()]
    assert times == sorted(times)
    assert first <= times[0] < times[-1] <= datetime(2027, 1, 1, 0, 0, 0, 750_000, tzinfo=UTC)
    assert (block.rows, block.requests) == (500, sum(line.repeat for line in lines))
    assert all(line.count("\t") == 22 for line in block.data.decode().splitlines())


def test_a_pool_forgets_what_no_longer_holds() -> None:
    random, cast = Random(2), make_cast(1)
    gateway = Gateway(0x11, 1.0, random, cast)
    gateway.install(Offer(0, TableAccess({1000: Standing(0, "pro")})))
    pool = LinePool(lambda: gateway.answer(cast.senders[0], Load.ORDINARY), size=50, fresh=5)
    pool.take(random, 200)
    gateway.install(Offer(0, TableAccess({1000: Standing(REVOKED, "pro")})))
    pool.clear()
    assert all(line.tail.split(b"\t")[9] == b"31" for line in pool.take(random, 200))


def test_encode_writes_null_where_there_is_none() -> None:
    row = traffic.stray(Random(0), 0x21)
    line = encode(row)
    assert line.tail.endswith(b"\n")
    assert line.tail.split(b"\t")[0] == b"\\N"

"""The gateway header: known words and the round trip."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.suiftly.log.gateway_config import GatewayConfig, GatewayConfigError

ROWS = [
    ("0000003030000000", 206963736576, GatewayConfig(12, 12, 0)),
    ("0000032327d20000", 3449526812672, GatewayConfig(200, 200, 500, 2)),
    ("0000032327d20006", 3449526812678, GatewayConfig(200, 200, 500, 2, ip_allowlist=True, extra_keys=True)),
    ("0000000000000000", 0, GatewayConfig(0, 0, 0)),
]


@pytest.mark.parametrize(("text", "number", "expected"), ROWS)
def test_table_rows(text: str, number: int, expected: GatewayConfig) -> None:
    assert GatewayConfig.decode(text) == GatewayConfig.decode(number) == GatewayConfig.decode(f"0x{text}") == expected
    assert expected.encode() == number
    assert expected.to_hex() == text


def test_words() -> None:
    assert GatewayConfig.decode(ROWS[2][0]).words() == (
        "200 requests/s guaranteed",
        "200 requests/s per address",
        "500 requests/s burst at QoS 2 (priority 18)",
        "only addresses of the allow-list",
        "more than two keys",
    )
    assert GatewayConfig.decode(0).words()[0].startswith("blocked")
    assert "no burst" in GatewayConfig.decode(ROWS[0][1]).words()
    assert "courtesy: 1 request/s is let through" in GatewayConfig.decode(1).words()


def test_blocked_and_priority() -> None:
    assert GatewayConfig.decode(0).blocked
    assert not GatewayConfig.decode(ROWS[0][1]).blocked
    assert GatewayConfig.decode(ROWS[0][1]).burst_priority is None
    assert GatewayConfig.decode(ROWS[1][1]).burst_priority == 18


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_every_word_round_trips(word: int) -> None:
    config = GatewayConfig.decode(word)
    assert config.encode() == word
    assert GatewayConfig.decode(config.to_hex()) == config
    assert GatewayConfig.decode(word - 2**64 if word >= 2**63 else word) == config
    assert any("unknown bits" in phrase for phrase in config.words()) == bool(word & ~0x00000FFFFFFF0007)


@pytest.mark.parametrize("value", ["", "123", "000003232 7d20006", "g" * 16, -(2**63) - 1, 2**64])
def test_bad_values(value: int | str) -> None:
    with pytest.raises(GatewayConfigError, match="config_hex"):
        GatewayConfig.decode(value)


@pytest.mark.parametrize(("per_ip", "burst_qos"), [(3, 0), (1024, 0), (-4, 0), (4, 16)])
def test_bad_limits(per_ip: int, burst_qos: int) -> None:
    with pytest.raises(GatewayConfigError):
        GatewayConfig(per_ip, 4, 4, burst_qos)

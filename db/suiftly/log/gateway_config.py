"""`config_hex`: the customer's limits in force at the gateway when it decided.

16 hex digits: 5 zero, 2 per-address limit, 2 guaranteed limit, 2 burst limit, 1 burst QoS, 4 control. The map entry
carries three more such fields (fingerprints, addresses, reserved), which the log does not.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

UNIT_RPS: Final = 4
_MAX_RPS: Final = 0xFF * UNIT_RPS
_MASK_64: Final = 0xFFFF_FFFF_FFFF_FFFF


class GatewayConfigError(ValueError):
    """A value that is no gateway header, or a limit that does not fit one."""


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Limits in requests/s (multiples of 4, 0..1020) and flags. `burst_qos` is 0..15.

    `unknown_bits` holds every set bit without a known meaning, at its place in the 64-bit word: 0 in all known data.
    """

    per_ip_rps: int
    guaranteed_rps: int
    burst_rps: int
    burst_qos: int = 0
    courtesy: bool = False
    ip_allowlist: bool = False
    extra_keys: bool = False
    unknown_bits: int = 0

    def __post_init__(self) -> None:
        for name, limit in (
            ("per-address", self.per_ip_rps),
            ("guaranteed", self.guaranteed_rps),
            ("burst", self.burst_rps),
        ):
            if limit % UNIT_RPS or not 0 <= limit <= _MAX_RPS:
                raise GatewayConfigError(f"{name} limit: must be a multiple of 4 from 0 to {_MAX_RPS} requests/s")
        if not 0 <= self.burst_qos <= 15:
            raise GatewayConfigError("burst QoS: must be 0 to 15")

    @classmethod
    def decode(cls, value: int | str) -> Self:
        """From the BIGINT column (a negative value is read as its 64 bits) or from 16 hex digits, 0x allowed."""
        word = _word(value)
        return cls(
            per_ip_rps=(word >> 36 & 0xFF) * UNIT_RPS,
            guaranteed_rps=(word >> 28 & 0xFF) * UNIT_RPS,
            burst_rps=(word >> 20 & 0xFF) * UNIT_RPS,
            burst_qos=word >> 16 & 0xF,
            courtesy=bool(word & 1),
            ip_allowlist=bool(word & 2),
            extra_keys=bool(word & 4),
            unknown_bits=word & ~0xFFF_FFFF_0007,
        )

    def encode(self) -> int:
        """The unsigned 64-bit word; known data fits a BIGINT."""
        limits = self.per_ip_rps // UNIT_RPS << 36 | self.guaranteed_rps // UNIT_RPS << 28
        limits |= self.burst_rps // UNIT_RPS << 20 | self.burst_qos << 16
        return limits | self.extra_keys << 2 | self.ip_allowlist << 1 | self.courtesy | self.unknown_bits

    def to_hex(self) -> str:
        """The 16 lower-case hex digits of the gateway's map."""
        return f"{self.encode():016x}"

    @property
    def blocked(self) -> bool:
        """True when nothing is guaranteed: the gateway refuses the customer (disabled or suspended)."""
        return self.guaranteed_rps == 0

    @property
    def burst_priority(self) -> int | None:
        """Queue priority of burst traffic, lower is served first; None without burst. Guaranteed traffic has 0."""
        return 20 - self.burst_qos if self.burst_rps else None

    def words(self) -> tuple[str, ...]:
        """What holds for the customer, one phrase each."""
        words = ["blocked: nothing is guaranteed, so the gateway refuses the customer"] if self.blocked else []
        if not self.blocked:
            words.append(f"{self.guaranteed_rps} requests/s guaranteed")
        words.append(f"{self.per_ip_rps} requests/s per address")
        if self.burst_rps:
            words.append(f"{self.burst_rps} requests/s burst at QoS {self.burst_qos} (priority {self.burst_priority})")
        else:
            words.append("no burst")
        flags = (
            (self.courtesy, "courtesy: 1 request/s is let through"),
            (self.ip_allowlist, "only addresses of the allow-list"),
            (self.extra_keys, "more than two keys"),
        )
        words.extend(text for is_set, text in flags if is_set)
        if self.unknown_bits:
            words.append(f"unknown bits 0x{self.unknown_bits:016x}")
        return tuple(words)


def _word(value: int | str) -> int:
    if isinstance(value, str):
        text = value.strip()
        if not re.fullmatch(r"(?:0[xX])?[0-9a-fA-F]{16}", text):
            raise GatewayConfigError("config_hex: expected 16 hex digits, the first field of the gateway's map entry")
        return int(text, 16)
    if not -(1 << 63) <= value <= _MASK_64:
        raise GatewayConfigError("config_hex: expected a 64-bit integer")
    return value & _MASK_64

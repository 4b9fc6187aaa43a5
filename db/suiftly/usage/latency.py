"""The latency histogram of the traffic rollups: 64 slots that add up, and percentiles read from their sums."""

from collections.abc import Sequence
from typing import Final, LiteralString

BOUNDS: Final = (0, 1, 2, 3, *(2**power * quarter // 4 for power in range(2, 17) for quarter in range(4, 8)))
"""Lower bounds in ms, as console.latency_bounds() has them; the last slot has no upper end."""

SLOTS: Final[tuple[LiteralString, ...]] = (
    "h00", "h01", "h02", "h03", "h04", "h05", "h06", "h07", "h08", "h09", "h10", "h11", "h12", "h13", "h14", "h15",
    "h16", "h17", "h18", "h19", "h20", "h21", "h22", "h23", "h24", "h25", "h26", "h27", "h28", "h29", "h30", "h31",
    "h32", "h33", "h34", "h35", "h36", "h37", "h38", "h39", "h40", "h41", "h42", "h43", "h44", "h45", "h46", "h47",
    "h48", "h49", "h50", "h51", "h52", "h53", "h54", "h55", "h56", "h57", "h58", "h59", "h60", "h61", "h62", "h63",
)  # fmt: skip
"""Their column names."""

SUMS: Final[LiteralString] = ", ".join("sum(" + slot + ")::bigint" for slot in SLOTS)
"""Select list that adds up the histogram of a group."""

_END: Final = 131_072  # ms; what is slower counts as this


def percentile(counts: Sequence[int | None], share: float) -> float | None:
    """The latency in ms below which `share` (0 to 1) of the counted requests lie; None when there are none.

    Within a slot requests are taken to lie evenly, so the answer is off by a slot at most: a quarter of the value.
    """
    total = sum(count or 0 for count in counts)
    if not total:
        return None
    wanted, below = share * total, 0
    for slot, count in enumerate(counts):
        if count and below + count >= wanted:
            low = BOUNDS[slot]
            high = BOUNDS[slot + 1] if slot + 1 < len(BOUNDS) else _END
            return low + (high - low) * (wanted - below) / count
        below += count or 0
    return float(_END)

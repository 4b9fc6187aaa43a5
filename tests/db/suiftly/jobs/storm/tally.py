"""What happened, to be sure that it was a storm."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts of one storm."""

    committed: int = 0
    rows: int = 0
    aborted: int = 0
    prepared: int = 0
    writers_cut: int = 0
    longest_write_s: float = 0.0
    bills: int = 0
    retention: Counter[str] = field(default_factory=Counter)  # what its runs did, and how they ended
    ends: Counter[str] = field(default_factory=Counter)  # how aggregators ended, and the steps they took
    crashes: int = 0

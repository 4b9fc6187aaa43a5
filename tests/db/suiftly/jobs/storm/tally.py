"""What happened, to be sure that it was a storm."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

_DEATHS = ("exit_before_commit", "exit_inside_commit", "exit_after_commit", "sigkill", "connection_cut")


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
    adjusted: int = 0  # hours with several records
    retention: Counter[str] = field(default_factory=Counter)  # what its runs did, and how they ended
    ends: Counter[str] = field(default_factory=Counter)  # how aggregators ended, and the steps they took
    crashes: int = 0

    def lacking(self, retention: Iterable[str], crashes: int) -> list[str]:
        """What it takes to be a storm, and did not happen."""
        counts: dict[str, int] = {
            name: getattr(self, name) for name in ("committed", "aborted", "writers_cut", "bills", "adjusted")
        }
        counts |= {death: self.ends[death] for death in _DEATHS}
        counts |= {did: self.retention[did] for did in retention}
        return [name for name, count in counts.items() if not count] + ["crashes"] * (self.crashes < crashes)

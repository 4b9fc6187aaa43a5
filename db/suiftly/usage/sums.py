"""What is counted of requests for the usage charts, and how groups of them add up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from db.suiftly.log.codes import TrafficClass, traffic_class
from db.suiftly.usage.latency import SLOTS, percentile


@dataclass(frozen=True, slots=True)
class Latencies:
    """Percentiles in ms of requests served, right to a quarter."""

    p50: int
    p95: int
    p99: int


@dataclass(frozen=True, slots=True)
class Measures:
    """What was counted of some requests."""

    classes: dict[TrafficClass, int]  # all six, they partition the requests
    client_errors: int  # answered 4xx
    server_errors: int  # answered 5xx
    bytes: int
    latencies: Latencies | None  # None without a request served

    @property
    def requests(self) -> int:
        return sum(self.classes.values())


@dataclass(slots=True)
class Sums:
    """Measures while rows of groups are read. Each kind of row has its own way of being added."""

    classes: dict[TrafficClass, int] = field(default_factory=lambda: dict.fromkeys(TrafficClass, 0))
    client_errors: int = 0
    server_errors: int = 0
    bytes: int = 0
    slots: list[int] = field(default_factory=lambda: [0] * len(SLOTS))

    def add_group(self, row: Sequence[Any]) -> None:
        """traffic_type, status class, requests, bytes."""
        traffic_type, status_class, requests, bytes_ = row
        self.classes[traffic_class(traffic_type, 100 * status_class)] += requests
        self.client_errors += requests * (status_class == 4)
        self.server_errors += requests * (status_class == 5)
        self.bytes += bytes_

    def add_timed(self, row: Sequence[Any]) -> None:
        """The same with a latency slot in front of the requests."""
        traffic_type, status_class, slot, requests, bytes_ = row
        self.add_group((traffic_type, status_class, requests, bytes_))
        if traffic_type in (1, 2):
            self.slots[slot] += requests

    def add_slots(self, row: Sequence[Any]) -> None:
        """A histogram of served requests."""
        self.slots = [held + (count or 0) for held, count in zip(self.slots, row, strict=True)]

    def add_sums(self, row: Sequence[Any]) -> None:
        """Requests by class, 4xx, 5xx, bytes, and a histogram."""
        classes = len(TrafficClass)
        for kind, requests in zip(TrafficClass, row[:classes], strict=True):
            self.classes[kind] += requests
        client_errors, server_errors, bytes_, *slots = row[classes:]
        self.client_errors += client_errors
        self.server_errors += server_errors
        self.bytes += bytes_
        self.add_slots(slots)

    def add(self, other: "Sums") -> None:
        """All of another."""
        counted = (*other.classes.values(), other.client_errors, other.server_errors, other.bytes)
        self.add_sums((*counted, *other.slots))

    def measures(self) -> Measures:
        found = [percentile(self.slots, share) for share in (0.5, 0.95, 0.99)]
        latencies = Latencies(*(round(ms) for ms in found if ms is not None)) if any(self.slots) else None
        return Measures(self.classes, self.client_errors, self.server_errors, self.bytes, latencies)

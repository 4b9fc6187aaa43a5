"""Percentiles from a histogram are right to a slot."""

import random

import psycopg
import pytest

from db.suiftly.usage.latency import BOUNDS, SLOTS, percentile


def test_the_bounds_are_those_of_the_database(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT console.latency_bounds()").fetchone()
    assert row == (list(BOUNDS),)
    assert len(BOUNDS) == len(SLOTS) == 64


def _slot(ms: int) -> int:
    return sum(bound <= ms for bound in BOUNDS) - 1


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_percentile_is_off_by_a_slot_at_most(share: float) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    values = sorted(int(chance.lognormvariate(4, 1.2)) for _ in range(5000))
    counts: list[int | None] = [None] * 64
    for value in values:
        counts[_slot(value)] = (counts[_slot(value)] or 0) + 1
    exact = values[int(share * len(values))]
    told = percentile(counts, share)
    assert told is not None
    assert abs(_slot(int(told)) - _slot(exact)) <= 1
    assert told == pytest.approx(exact, rel=0.3, abs=1)


def test_no_requests_have_no_percentile() -> None:
    assert percentile([None] * 64, 0.5) is None
    assert percentile([0] * 64, 0.5) is None


def test_what_is_slower_than_the_last_bound_still_counts() -> None:
    assert BOUNDS[-1] < (percentile([None] * 63 + [3], 0.99) or 0) <= 131_072

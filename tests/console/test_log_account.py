"""The line below the log: what it says of the rate, and that it leaves nothing out where there is little room."""

from datetime import UTC, datetime, timedelta

import pytest

from console.parts.log_account import Account
from db.capture import Mark
from db.source import Batch, Cursor, RequestFilter
from tests.console.frozen import requests

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def account(monkeypatch: pytest.MonkeyPatch, *polls: tuple[float, int, bool]) -> tuple[Account, list[float]]:
    """With polls at these seconds that found so many rows, and maybe more; half of each was filtered. And the clock."""
    clock = [0.0]
    monkeypatch.setattr("console.parts.log_account.monotonic", lambda: clock[0])
    (row,) = requests()[:1]
    told = Account()
    for clock[0], rows, more in polls:
        at = row.timestamp + timedelta(seconds=0.3)
        told.add(Batch([row] * (rows // 4), Cursor(Mark(1), RequestFilter(), at), NOW, rows, rows // 2, more))
    return told, clock


def test_the_rate_is_that_of_the_log_also_when_nobody_asked_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    steady = [(n / 4, 40, False) for n in range(1, 41)]
    told, clock = account(monkeypatch, *steady)
    assert "   160 rows/s" in told.line(118)
    clock[0] += 20  # something stands in front of the log
    assert told.line(118).endswith("   160 rows/s   lag 0.3 s   cursor 20 s old")
    told, _ = account(monkeypatch, *steady, (20, 800, True), (30, 2400, False), (30.2, 32, False))
    assert "   160 rows/s" in told.line(118)
    told, _ = account(monkeypatch, *steady, (16, 0, False), (22, 0, False), (28, 0, False))
    assert "   0 rows/s" in told.line(118)


def test_nothing_is_left_out_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    few, _ = account(monkeypatch, (4, 800, False))
    assert few.line(118) == (
        "800 received = 200 shown + 400 filtered + 200 sampled   200 rows/s   lag 0.3 s   cursor 0 s old"
    )
    many, clock = account(monkeypatch, (4, 60_000, False))
    many.received, many.shown, many.filtered, many.sampled = 864_000_000, 34_500_000, 123_400_000, 706_100_000
    clock[0] += 12
    assert many.line(78) == "864M = 34.5M shown + 123M filt. + 706M sampl.  15.0k/s  lag 0.3 s  cursor 12 s"

"""Moments as operators type them."""

from datetime import UTC, datetime

import pytest

from console.moments import parse_moment, parse_past

NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("14:05", datetime(2026, 11, 21, 14, 5, tzinfo=UTC)),
        ("14:05:09", datetime(2026, 11, 21, 14, 5, 9, tzinfo=UTC)),
        ("23:50", datetime(2026, 11, 20, 23, 50, tzinfo=UTC)),
        ("2026-11-20 03:00", datetime(2026, 11, 20, 3, tzinfo=UTC)),
        ("2026-11-21T14:05+02:00", datetime(2026, 11, 21, 12, 5, tzinfo=UTC)),
        ("-90s", datetime(2026, 11, 21, 14, 28, 30, tzinfo=UTC)),
        ("-2h", datetime(2026, 11, 21, 12, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read(text: str, moment: datetime) -> None:
    assert parse_past(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "noon", "25:00", "2026-13-01", "-5", "-999999d", "2026-11-22 10:00"])
def test_what_is_no_moment_of_the_past_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time|in the future"):
        parse_past(text, NOW)


@pytest.mark.parametrize("text", ["14:05", "-15m", "0001-01-01T00:00+02:00"])
def test_an_option_of_the_shell_takes_a_whole_moment_alone(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_moment(text)
    assert (
        parse_moment("2026-11-20T14:00+02:00")
        == parse_moment("2026-11-20 12:00")
        == datetime(2026, 11, 20, 12, tzinfo=UTC)
    )

"""The price book: exact prices, dates, and errors that say where."""

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.suiftly.pricing import PriceBook, PriceBookError, UsagePrice, load_prices, units, usd

OCT = load_prices()
HEAD = load_prices(preset="head-2026")
IN_2026 = datetime(2026, 11, 20, 14, tzinfo=UTC)
PACKAGED = files("db.suiftly").joinpath("prices.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("book", "service", "requests", "size", "worth"),
    [
        (OCT, "seal", 10_000, 10**12, "1.00000000"),
        (OCT, "seal", 1, 0, "0.00010000"),
        (OCT, "graphql", 123_456, 0, "12.34560000"),
        (HEAD, "seal", 1, 2**30, "0.00010000"),
        (HEAD, "grpc", 0, 2**30, "0.06000000"),
        (HEAD, "grpc", 0, 178_956, "0.00000999"),  # 0.0000099999...
        (HEAD, "grpc", 12_345, 10**9, "1.29037935"),  # 1.2345 + 0.0558793544...
    ],
)
def test_usage_is_worth_what_the_sheet_says(
    book: PriceBook, service: str, requests: int, size: int, worth: str
) -> None:
    found = book.usage_units(service, IN_2026, requests, size)
    assert f"{usd(found):f}" == worth
    assert units(Decimal(worth)) == found


@given(
    cents=st.decimals(0, 1000, places=4),
    per=st.integers(1, 10**6),
    gib=st.decimals(0, 1000, places=3),
    requests=st.integers(0, 10**12),
    size=st.integers(0, 10**16),
)
def test_a_record_is_never_off_by_a_unit(cents: Decimal, per: int, gib: Decimal, requests: int, size: int) -> None:
    price = UsagePrice(cents=cents, requests=per, gib_cents=gib)
    exact = 10**6 * (Fraction(cents) * requests / per + Fraction(gib) * size / 2**30)
    assert 0 <= exact - price.units(requests, size) < 1


def test_what_the_book_does_not_know_has_no_price() -> None:
    assert OCT.usage_units("platform", IN_2026, 10_000, 0) is None
    assert OCT.usage_units("seal", datetime(2025, 10, 16, 23, tzinfo=UTC), 10_000, 0) is None
    assert OCT.usage_units("seal", datetime(2025, 10, 17, tzinfo=UTC), 10_000, 0) == 10**8
    assert HEAD.tier("enterprise", date(2026, 11, 1)) is None
    known = OCT.tier("enterprise", date(2026, 11, 1))
    assert known is not None
    assert known.month_cents is None


def test_rounding_of_a_bill() -> None:
    for rounding, cents in {"up": (0, 1, 1, 1, 2), "half-up": (0, 0, 1, 1, 1), "floor": (0, 0, 0, 1, 1)}.items():
        book = OCT.model_copy(update={"rounding": rounding})
        assert tuple(map(book.cents, (0, 499_999, 500_000, 1_000_000, 1_000_001))) == cents


OURS = """
default = "ours"

[presets.ours]
rounding = "floor"
minimum_limit_cents = 1
payment_grace_days = 1
keys_per_customer = 5

[[presets.ours.prices]]
effective_from = 2026-01-01
fees_per = "service"
usage.seal = { cents = 0.5, requests = 1 }
[presets.ours.prices.tiers.starter]
month_cents = 100
guaranteed_rps = 4

[[presets.ours.prices]]
effective_from = 2026-02-01
fees_per = "service"
[presets.ours.prices.usage]
seal = { cents = 1, requests = 1 }
[presets.ours.prices.tiers.starter]
month_cents = 200
guaranteed_rps = 8
"""


def test_prices_change_with_the_day(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(OURS)
    book = load_prices(path)
    assert book.name == "ours"
    last_hour, first_hour = datetime(2026, 1, 31, 23, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    assert book.usage_units("seal", last_hour, 1, 0) == 500_000
    assert book.usage_units("seal", first_hour, 1, 0) == 1_000_000
    tiers = [book.tier("starter", day) for day in (date(2025, 12, 31), last_hour.date(), first_hour.date())]
    assert [tier and tier.month_cents for tier in tiers] == [None, 100, 200]


@pytest.mark.parametrize(
    ("line", "wrong", "line_number", "words"),
    [
        ('rounding = "floor"', 'rounding = "down"', 5, "presets.ours.rounding"),
        ("payment_grace_days = 1", "payment_grace_days = 1.5", 7, "presets.ours.payment_grace_days"),
        ("keys_per_customer = 5", "keys = 5", 4, "presets.ours.keys_per_customer: Field required"),
        ("month_cents = 200", "month_cents = -1", 24, "presets.ours.prices.1.tiers.starter.month_cents"),
        ("guaranteed_rps = 4", "guaranteed_rps = 4\nburst = 2", 17, "tiers.starter.burst: there is no such setting"),
        ("seal = { cents = 1, requests = 1 }", "seal = { cents = 1, requests = 0 }", 22, "1.usage.seal.requests"),
        ("2026-02-01", "2026-01-01", 4, "order of effective_from"),
        ("[presets.ours]", "[presets.ours", 4, "not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, line: str, wrong: str, line_number: int, words: str) -> None:
    path = tmp_path / "prices.toml"
    assert OURS.count(line) == 1
    path.write_text(OURS.replace(line, wrong))
    with pytest.raises(PriceBookError) as caught:
        load_prices(path)
    assert f"line {line_number}" in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_presets_name_lines_too(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    wrong = PACKAGED.replace("pro     = { month_cents = 3_900", "pro     = { month_cents = 3_900, monthly = 1")
    path.write_text(wrong)
    number = next(n for n, line in enumerate(wrong.splitlines(), 1) if "monthly = 1" in line)
    with pytest.raises(PriceBookError, match=rf"line {number}: presets.head-2026.prices.0.tiers.pro.monthly"):
        load_prices(path)


def test_a_preset_or_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PriceBookError, match="has no preset 'may-2031'; it has oct-2025, head-2026"):
        load_prices(preset="may-2031")
    with pytest.raises(PriceBookError, match="cannot be read: No such file"):
        load_prices(tmp_path / "none.toml")

"""What goes on a bill adds up, whatever is open and whatever the limit leaves; and the fees of a month."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.suiftly.billing.rules import OpenItem, ServiceSpan, draft, month_of, monthly_fees, next_month
from db.suiftly.pricing import UNITS_PER_CENT, PriceBook, load_prices
from tests.db.suiftly.books import on

OCT, HEAD = load_prices(), load_prices(preset="head-2026")
BEGIN = on("06-01")
LAST_HOUR = on("06-30", 23)

items = st.lists(
    st.tuples(
        st.sampled_from(["usage", "usage", "usage", "fee"]),
        st.integers(-50, 719),
        st.one_of(st.integers(0, 3 * UNITS_PER_CENT), st.just(4000 * UNITS_PER_CENT)),
    ),
    max_size=40,
).map(
    lambda drawn: [
        OpenItem(kind, row, LAST_HOUR if kind == "fee" else BEGIN + timedelta(hours=hour), worth)
        for row, (kind, hour, worth) in enumerate(drawn)
    ]
)


@given(
    open_items=items,
    rounding=st.sampled_from(["up", "floor", "half-up"]),
    threshold=st.sampled_from([None, 0, 1, 500]),
    rooms=st.lists(st.one_of(st.none(), st.integers(0, 5000)), min_size=1, max_size=6),
    days=st.lists(st.integers(1, 30), max_size=4),
)
def test_bills_and_what_stays_open_are_all_there_was(
    open_items: list[OpenItem],
    rounding: str,
    threshold: int | None,
    rooms: list[int | None],
    days: list[int],
) -> None:
    """Runs of a month, the last of which closes it, with another room each."""
    book = OCT.model_copy(update={"rounding": rounding, "charge_threshold_cents": threshold})
    left, begin, billed = list(open_items), BEGIN, 0
    for day, room in zip([*sorted(days), 30], rooms * 5, strict=False):
        end = BEGIN + timedelta(days=day)
        if begin >= end:
            continue
        due = [item for item in left if item.at < end]
        made = draft(book, left, begin, end, final=day == 30, room_cents=room)
        if made is None:
            assert (
                threshold is None or day == 30 or sum(item.units for item in due) < max(1, threshold) * UNITS_PER_CENT
            )
            continue
        assert set(made.items) <= set(due)
        assert len(set(made.items)) == len(made.items)
        assert made.left_units == sum(item.units for item in due) - sum(item.units for item in made.items)
        assert made.cents == book.cents(sum(item.units for item in made.items))
        assert begin < made.end <= end
        assert made.end == end or made.left_units
        assert room is None or made.cents <= room
        assert room is not None or made.left_units == 0
        if made.items:
            assert made.cents > 0
            left = [item for item in left if item not in set(made.items)]
            begin = made.end
            billed += sum(item.units for item in made.items)
        # Hours are whole: what stays open is not of an hour that was billed, and not older than what was.
        hours = {item.at for item in made.items if item.kind == "usage"}
        assert not hours & {item.at for item in left if item.kind == "usage" and item in due}
        assert not hours or all(item.at > max(hours) for item in left if item.kind == "usage" and item in due)
    assert billed + sum(item.units for item in left) == sum(item.units for item in open_items)


@given(moment=st.datetimes(datetime(2025, 1, 1), datetime(2031, 1, 1)))
def test_months_follow_each_other(moment: datetime) -> None:
    at = moment.replace(tzinfo=BEGIN.tzinfo)
    assert month_of(at) <= at < next_month(at)
    assert next_month(at).day == 1
    assert month_of(next_month(at) - timedelta(microseconds=1)) == month_of(at)


def _fees(book: PriceBook, *services: ServiceSpan, seal_keys: int = 0) -> list[tuple[str | None, str, str, int]]:
    prices = book.at(BEGIN)
    assert prices is not None
    found = monthly_fees(prices, services, seal_keys, BEGIN)
    return [(fee.service, fee.item, fee.detail, fee.units // UNITS_PER_CENT) for fee in found]


ON = {"is_enabled": True, "disabled_at": None, "live_keys": 1}
SINCE = on("01-01")


@pytest.mark.parametrize(
    ("span", "days"),
    [
        (ServiceSpan("seal", "pro", enabled_at=SINCE, **ON), 30),
        (ServiceSpan("seal", "pro", enabled_at=on("06-30", 23, 59), **ON), 1),
        (ServiceSpan("seal", "pro", enabled_at=on("07-01"), **ON), 0),
        (ServiceSpan("seal", "pro", enabled_at=None, **ON), 0),
        (ServiceSpan("seal", "pro", False, SINCE, on("06-01"), 1), 0),
        (ServiceSpan("seal", "pro", False, SINCE, on("06-01", 0, 1), 1), 1),
        (ServiceSpan("seal", "pro", False, on("06-10", 9), on("06-12"), 1), 2),
        (ServiceSpan("seal", "pro", False, SINCE, on("07-09"), 1), 30),
        (ServiceSpan("seal", "pro", False, SINCE, None, 1), 0),
        (ServiceSpan("seal", "pro", False, on("06-12"), on("06-10"), 1), 0),
    ],
)
def test_days_of_a_month_on_which_a_service_was_on(span: ServiceSpan, days: int) -> None:
    assert span.days_in(BEGIN) == days
    assert [cents for *_, cents in _fees(OCT, span)] == ([4000 * days // 30] if days else [])


def test_fees_by_service_and_by_customer() -> None:
    seal = ServiceSpan("seal", "pro", True, SINCE, None, 3)
    grpc = ServiceSpan("grpc", "starter", True, SINCE, None, 1)
    custom = ServiceSpan("graphql", "enterprise", True, SINCE, None, 0)
    unknown = ServiceSpan("graphql", "business", True, SINCE, None, 0)
    assert _fees(OCT, seal, grpc, custom, seal_keys=3) == [
        ("seal", "tier", "pro", 4000),
        ("grpc", "tier", "starter", 2000),
        ("seal", "api_key", "2 beyond 1", 200),
        (None, "seal_key", "2 beyond 1", 1000),
    ]
    assert _fees(HEAD, seal, grpc, custom, seal_keys=1) == [
        (None, "tier", "pro", 3900),
        ("seal", "api_key", "1 beyond 2", 500),
    ]
    assert _fees(OCT, unknown) == []
    off = ServiceSpan("seal", "pro", False, SINCE, on("05-01"), 9)
    assert _fees(OCT, off, seal_keys=9) == []

"""What goes on a bill adds up, whatever is open and whatever the limit leaves; and the fees of a month."""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.suiftly.billing.rules import OpenItem, ServiceSpan, draft, month_of, monthly_fees, next_month
from db.suiftly.pricing import UNITS_PER_CENT, PriceBook, load_prices, usd
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


KEYS = {"seal": 3, "grpc": 1, "graphql": 1}
SINCE = on("01-01")


def _fees(
    book: PriceBook, *spans: ServiceSpan, keys: Mapping[str, int] = KEYS, seal_keys: int = 0
) -> list[tuple[str | None, str, str, str]]:
    prices = book.at(BEGIN)
    assert prices is not None
    found = monthly_fees(prices, spans, keys, seal_keys, BEGIN)
    return [(fee.service, fee.item, fee.detail, str(usd(fee.units))) for fee in found]


def _tiers(book: PriceBook, *spans: ServiceSpan) -> list[tuple[str | None, str, str]]:
    return [(service, detail, cost) for service, item, detail, cost in _fees(book, *spans, keys={}) if item == "tier"]


@pytest.mark.parametrize(
    ("since", "until", "days"),
    [
        (SINCE, None, range(1, 31)),
        (SINCE, on("07-09"), range(1, 31)),
        (on("06-30", 23, 59), None, range(30, 31)),
        (on("07-01"), None, range(0)),
        (SINCE, on("06-01"), range(0)),
        (SINCE, on("06-01", 0, 1), range(1, 2)),
        (on("06-10", 9), on("06-12"), range(10, 12)),
    ],
)
def test_days_of_a_month_on_which_a_service_was_on(since: datetime, until: datetime | None, days: range) -> None:
    span = ServiceSpan("seal", "pro", since, until)
    assert span.days_in(BEGIN) == days
    elsewhere = timezone(timedelta(hours=9))
    moved = ServiceSpan("seal", "pro", since.astimezone(elsewhere), until and until.astimezone(elsewhere))
    assert moved.days_in(BEGIN) == days, "days are of UTC"
    expected = [] if not days else [str(usd(4000 * UNITS_PER_CENT * len(days) // 30))]
    assert [cost for *_, cost in _tiers(OCT, span)] == expected


def test_a_day_counts_once_at_the_dearest_tier_that_it_saw() -> None:
    def seal(tier: str, since: datetime, until: datetime | None) -> ServiceSpan:
        return ServiceSpan("seal", tier, since, until)

    # Off and on within a day, and off from the 10th on until the 15th.
    twice = (
        seal("pro", SINCE, on("06-03", 8)),
        seal("pro", on("06-03", 9), on("06-10")),
        seal("pro", on("06-15", 23), None),
    )
    assert _tiers(OCT, *twice) == [("seal", "pro, 25 of 30 days", "33.33333333")]
    up, down = on("06-11", 14), on("06-21", 14)
    moved = (seal("starter", SINCE, up), seal("pro", up, down), seal("starter", down, None))
    # Both days of a change are days of pro: 19 * 20.00 / 30 + 11 * 40.00 / 30, rounded once.
    assert _tiers(OCT, *moved) == [("seal", "starter 19, pro 11 of 30 days", "27.33333333")]
    at_midnight = (seal("starter", SINCE, on("06-11")), seal("pro", on("06-11"), None))
    assert _tiers(OCT, *at_midnight) == [("seal", "starter 10, pro 20 of 30 days", "33.33333333")]
    # What is agreed with each customer is not charged here, and is no dearer than what is.
    agreed = (seal("pro", SINCE, up), seal("enterprise", up, None))
    assert _tiers(OCT, *agreed) == [("seal", "pro, 11 of 30 days", "14.66666666")]


def test_where_fees_are_per_customer_each_day_counts_once_for_all_its_services() -> None:
    starter, pro = ("grpc", "starter", SINCE, None), ("seal", "pro", on("06-10", 9), on("06-12"))
    assert _tiers(HEAD, ServiceSpan(*starter), ServiceSpan(*pro)) == [
        (None, "starter 28, pro 2 of 30 days", "4.46666666")
    ]
    # One service ends on the day on which the other begins.
    after = (ServiceSpan("seal", "pro", SINCE, on("06-12", 6)), ServiceSpan("grpc", "pro", on("06-12", 9), None))
    assert _tiers(HEAD, *after) == [(None, "pro", "39.00000000")]
    assert [cost for *_, cost in _tiers(OCT, *after)] == ["16.00000000", "25.33333333"]


def test_fees_by_service_and_by_customer() -> None:
    seal = ServiceSpan("seal", "pro", SINCE, None)
    grpc = ServiceSpan("grpc", "starter", SINCE, None)
    custom = ServiceSpan("graphql", "enterprise", SINCE, None)
    unknown = ServiceSpan("graphql", "business", SINCE, None)
    assert _fees(OCT, seal, grpc, custom, seal_keys=3) == [
        ("seal", "tier", "pro", "40.00000000"),
        ("grpc", "tier", "starter", "20.00000000"),
        ("seal", "api_key", "2 beyond 1", "2.00000000"),
        (None, "seal_key", "2 beyond 1", "10.00000000"),
    ]
    assert _fees(HEAD, seal, grpc, custom, seal_keys=1) == [
        (None, "tier", "pro", "39.00000000"),
        ("seal", "api_key", "1 beyond 2", "5.00000000"),
    ]
    assert _fees(OCT, unknown) == []
    # Keys are paid once however often the service was switched, and not at all where it was off all month.
    spans = (ServiceSpan("seal", "starter", SINCE, on("06-02")), ServiceSpan("seal", "starter", on("06-05"), None))
    assert [row[1] for row in _fees(OCT, *spans, seal_keys=2)] == ["tier", "api_key", "seal_key"]
    assert _fees(OCT, ServiceSpan("seal", "pro", SINCE, on("05-01")), seal_keys=9) == []


@given(
    edges=st.lists(st.integers(-30, 24 * 32), min_size=1, max_size=9, unique=True).map(sorted),
    tiers=st.lists(st.sampled_from(["starter", "pro", "enterprise", None]), min_size=9, max_size=9),
    per=st.sampled_from([OCT, HEAD]),
)
def test_a_fee_is_what_its_days_cost_one_by_one(edges: list[int], tiers: list[str | None], per: PriceBook) -> None:
    """Each span lasts until the next one's edge; None is off."""
    moments = [BEGIN + timedelta(hours=edge) for edge in edges]
    spans = [
        ServiceSpan("seal", tier, since, until)
        for tier, since, until in zip(tiers, moments, [*moments[1:], None], strict=False)
        if tier is not None
    ]
    prices = per.at(BEGIN)
    assert prices is not None
    cents = 0
    for day in range(30):
        begin, end = BEGIN + timedelta(days=day), BEGIN + timedelta(days=day + 1)
        seen = [one.tier for one in spans if one.since < end and (one.until is None or one.until > begin)]
        costs = [prices.tiers[tier].month_cents or 0 for tier in seen if tier in prices.tiers]
        cents += max(costs, default=0)
    found = monthly_fees(prices, spans, {}, 0, BEGIN)
    assert sum(fee.units for fee in found) == cents * UNITS_PER_CENT // 30

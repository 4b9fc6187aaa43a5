"""The strip above the log: what it wants counted, what it marks, where it goes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult

from console.parts.histogram_strip import BUCKETS, SPANS, HistogramStrip, Stretch
from db.source import Histogram
from tests.console.screens import shown

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


class StripApp(App[None]):
    """Notes what is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.strip = HistogramStrip()
        self.asked: list[tuple[datetime, datetime]] = []

    def compose(self) -> ComposeResult:
        yield self.strip

    def on_histogram_strip_zoomed(self, event: HistogramStrip.Zoomed) -> None:
        self.asked.append((event.start, event.end))

    def answer(self, **counts: int) -> None:
        """Every bucket of the stretch asked for last holds the same."""
        start, end = self.asked[-1]
        named = {name.replace("_", "-"): count for name, count in counts.items()}
        self.strip.show(Histogram(start, end, (named,) * BUCKETS))


async def test_it_asks_for_the_stretch_the_log_is_in_and_shows_what_was_counted_with_the_rows_marked() -> None:
    app = StripApp()
    async with app.run_test(size=(66, 6)) as pilot:
        app.strip.look(NOON - MINUTE, NOON)
        await pilot.pause()
        [(start, end)] = app.asked
        assert end - start == timedelta(minutes=5)
        assert start <= NOON - MINUTE
        assert NOON < end <= NOON + timedelta(seconds=25)
        app.answer(guaranteed=90, server_error=30)
        await pilot.pause()
        lines = shown(app)
        assert lines[0].startswith("  120│")
        axis = lines[3]
        assert axis.startswith("    0└")
        marked = [at for at, glyph in enumerate(axis[6:]) if glyph == "═"]
        assert marked == list(range(marked[0], marked[-1] + 1))
        assert 12 <= len(marked) <= 13  # a fifth of sixty, and a cell begun
        assert marked[-1] == 60 - (end - NOON) / (5 * SECOND) - 1
        assert lines[4].split() == [f"{start:%H:%M:%S}", "requests", "in", "5", "s", f"{end:%H:%M:%S}", "UTC"]


async def test_it_moves_with_the_log_but_seldom() -> None:
    app = StripApp()
    async with app.run_test(size=(66, 6)) as pilot:
        for second in range(300):
            app.strip.look(NOON + (second - 10) * SECOND, NOON + second * SECOND)
            stretch = app.strip.stretch
            assert stretch is not None
            assert stretch.start <= NOON + (second - 10) * SECOND <= NOON + second * SECOND < stretch.end
        await pilot.pause()
        assert 10 <= len(app.asked) <= 16
        app.strip.look(NOON - timedelta(hours=1), NOON - timedelta(minutes=59))  # somebody scrolls back
        await pilot.pause()
        start, end = app.asked[-1]
        assert start <= NOON - timedelta(hours=1) <= end


async def test_zooming_keeps_the_rows_in_the_stretch_and_ends_at_both_ends() -> None:
    app = StripApp()
    async with app.run_test(size=(66, 6)) as pilot:
        app.strip.zoom(1)  # nothing to zoom around yet
        app.strip.look(NOON - 10 * SECOND, NOON)
        await pilot.pause()
        for step, spans in ((-1, (*SPANS[2::-1], SPANS[0])), (1, SPANS[1:])):
            for span in spans:
                app.strip.zoom(step)
                await pilot.pause()
                start, end = app.asked[-1]
                assert end - start == span
                assert start <= NOON - 10 * SECOND < NOON < end
        asked = len(app.asked)
        app.strip.zoom(1)
        await pilot.pause()
        assert len(app.asked) == asked


async def test_moved_away_it_stays_says_where_the_log_is_and_the_next_zoom_comes_back() -> None:
    app = StripApp()
    async with app.run_test(size=(66, 6)) as pilot:
        app.strip.look(NOON - 10 * SECOND, NOON)
        for _ in range(4):
            app.strip.move(-1)
        await pilot.pause()
        away = app.asked[-1]
        assert away[1] == app.asked[0][1] - timedelta(minutes=10)
        app.answer(burst=1)
        app.strip.look(NOON, NOON + 10 * SECOND)
        await pilot.pause()
        assert app.asked[-1] == away
        assert shown(app)[3].endswith("─►")
        app.strip.zoom(1)
        await pilot.pause()
        assert app.asked[-1][0] <= NOON < app.asked[-1][1]
        for _ in range(50):
            app.strip.move(1)
        await pilot.pause()
        assert app.asked[-1][0] <= NOON + 10 * SECOND, "never beyond what was seen"


async def test_a_late_answer_of_another_stretch_is_left_out_and_another_filter_forgets_all() -> None:
    app = StripApp()
    async with app.run_test(size=(66, 6)) as pilot:
        app.strip.look(NOON - 10 * SECOND, NOON)
        await pilot.pause()
        first = app.asked[-1]
        app.strip.zoom(1)
        app.strip.show(Histogram(*first, ({"burst": 7},) * BUCKETS))
        await pilot.pause()
        assert shown(app)[0] == "loading…"
        app.answer(burst=8)
        await pilot.pause()
        assert shown(app)[0].startswith("    8│")
        app.strip.forget()
        await pilot.pause()
        assert shown(app)[0] == "loading…"


async def test_a_stretch_over_midnight_has_dates() -> None:
    app = StripApp()
    async with app.run_test(size=(80, 6)) as pilot:
        app.strip.look(NOON, NOON)
        app.strip.zoom(len(SPANS))
        await pilot.pause()
        app.answer(guaranteed=5)
        await pilot.pause()
        line = shown(app)[4]
        assert "03-12 " in line
        assert "03-14 " in line
        assert "requests in 48 min" in line


moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))
zooms = st.integers(0, len(SPANS) - 1)


# As long as a stretch, or nearly: there the leeway before and behind the rows has no room.
lengths = st.timedeltas(timedelta(0), timedelta(days=3)) | st.builds(
    lambda span, less: span - less, st.sampled_from(SPANS), st.timedeltas(timedelta(0), SPANS[0])
)


@given(moments, zooms, moments, lengths, st.integers(-3, 3))
def test_whatever_is_in_view_the_stretch_holds_its_newest_row_and_begins_at_a_bucket(
    start: datetime, zoom: int, first: datetime, length: timedelta, steps: int
) -> None:
    last = first + length
    for stretch in (Stretch(start, zoom).holding(first, last), Stretch(start, zoom).zoomed(steps, first, last)):
        assert stretch.start <= last < stretch.end
        if stretch.start == start:
            continue
        width = stretch.span / BUCKETS
        assert length > stretch.span - width or stretch.start <= first
        assert (stretch.start - datetime(1970, 1, 1, tzinfo=UTC)) % width == timedelta(0)


@pytest.mark.parametrize("span", SPANS)
def test_from_an_hour_on_buckets_are_whole_minutes(span: timedelta) -> None:
    assert (span / BUCKETS) % MINUTE == timedelta(0) or span < timedelta(hours=1)

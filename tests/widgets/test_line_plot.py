"""Lines as text: which line is which without colour, gaps, and the columns they share with other charts."""

import pytest

from widgets.heat_strips import HeatStrip, HeatStrips
from widgets.line_plot import GLYPHS, HEAD, Line, LinePlot, columns_of, draw, short


def rising(steps: int, factor: float) -> tuple[float, ...]:
    return tuple(factor * (step + 1) for step in range(steps))


@pytest.mark.parametrize("width", [20, 80, 120])
@pytest.mark.parametrize("log", [False, True])
def test_every_line_has_its_glyph_in_the_columns_of_its_steps(width: int, log: bool) -> None:
    low, high = (3.0, None, None, 3.0, 4.0), rising(5, 1000.0)
    plot = LinePlot((Line("p50", low), Line("p99", high)), "ms", ((0, "14:00"), (4, "18:00")), log=log)
    drawn = draw(plot, width, 12)
    assert [len(line) for line in drawn] == [width] * 12
    room = width - HEAD
    for step in range(5):
        columns = range(columns_of(step, 5, room).start + HEAD, columns_of(step, 5, room).stop + HEAD)
        cells = {line[column] for line in drawn[:-2] for column in columns}
        assert GLYPHS[1] in cells, step
        # Linear, the low line lies below the high one at the very bottom; it is there all the same.
        assert (GLYPHS[0] in cells) == (low[step] is not None), step
    assert all(line[HEAD - 1] in "│┤" for line in drawn[:-2])
    assert drawn[-1].split() == ["14:00", "18:00"]
    assert any(line.startswith(" 5.0k┤" if not log else " 1.0k┤") for line in drawn)


def test_a_peak_is_on_top_and_zero_at_the_bottom() -> None:
    top, *_, bottom = draw(LinePlot((Line("sent", (0.0, 0.0, 8.0, 0.0)),), "B"), HEAD + 8, 6)
    for line, steps in ((top, {2}), (bottom, {0, 1, 3})):
        assert {(column - HEAD) // 2 for column, cell in enumerate(line) if cell == GLYPHS[0]} == steps
    assert top.startswith("    8┤")
    assert bottom.startswith("    0┤")


@pytest.mark.parametrize("values", [(), (None, None)])
def test_nothing_to_draw_is_no_picture(values: tuple[None, ...]) -> None:
    assert draw(LinePlot((Line("p50", values),), "ms", log=True), 80, 10) == []


@pytest.mark.parametrize("values", [(0.0,), (0.2, 0.4), (131072.0, None), (1.0, 1.0)])
def test_odd_values_are_drawn(values: tuple[float | None, ...]) -> None:
    for log in (False, True):
        for size in ((7, 2), (40, 3), (40, 9)):
            drawn = draw(LinePlot((Line("p50", values),), "ms", ((0, "now"),), log=log), *size)
            assert [len(line) for line in drawn] == [size[0]] * size[1]
            assert any(GLYPHS[0] in line for line in drawn)


@pytest.mark.parametrize(("steps", "room"), [(1, 10), (7, 10), (60, 72), (110, 110), (300, 72)])
def test_steps_share_the_columns_out_among_them(steps: int, room: int) -> None:
    taken = [column for step in range(steps) for column in columns_of(step, steps, room)]
    assert sorted(set(taken)) == list(range(room))
    assert taken == sorted(taken)


def test_numbers_have_five_cells_at_most() -> None:
    assert [short(n) for n in (0, 0.5, 7, 999, 1000, 12_345, 999_999, 3_400_000, 5e12)] == [
        "0", "0.5", "7", "999", "1.0k", "12k", "1.0M", "3.4M", "5.0T",
    ]  # fmt: skip


async def test_a_share_is_as_dark_as_it_is_large() -> None:
    from textual.app import App, ComposeResult

    class Strips(App[None]):
        def compose(self) -> ComposeResult:
            yield HeatStrips()

    shares = (0.0, None, 0.0005, 0.005, 0.03, 0.1, 0.5)
    async with Strips().run_test(size=(HEAD + 14, 5)) as pilot:
        strips = pilot.app.query_one(HeatStrips)
        strips.strips = (HeatStrip("5xx", shares), HeatStrip("4xx", (0.001,) * 30 + (0.5,) + (0.001,) * 39))
        strips.cursor = 6  # of the strip of seven
        await pilot.pause()
        first, second = strips.render_line(0), strips.render_line(1)
        assert first.text == "  5xx│    ··░░▒▒▓▓██"
        assert second.text == "  4xx│" + "░" * 6 + "█" + "░" * 7  # five steps in a column: the worst shows
        reversed_ = "".join(segment.text for segment in first if segment.style and segment.style.reverse)
        assert reversed_ == "██"

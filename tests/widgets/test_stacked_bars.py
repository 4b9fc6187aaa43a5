from collections import Counter

import pytest
from textual.app import App, ComposeResult
from textual.strip import Strip

from widgets.stacked_bars import Bars, StackedBars
from widgets.tone import Tone

LABELS = ("served", "rejected", "failed")
TONES = (Tone.GOOD, Tone.NOTICE, Tone.BAD)


class CountedBars(StackedBars):
    painted = 0

    def render_line(self, y: int) -> Strip:
        self.painted += 1
        return super().render_line(y)


class BarsApp(App[None]):
    def __init__(self, bars: Bars | None) -> None:
        super().__init__()
        self.view = CountedBars(bars)
        self.view.styles.height = "1fr"

    def compose(self) -> ComposeResult:
        yield self.view


def of(*buckets: tuple[int, ...]) -> Bars:
    return Bars(buckets, LABELS, "10:00", "now", "requests a minute", TONES)


def seen(view: StackedBars) -> list[str]:
    return [view.render_line(y).text for y in range(view.size.height)]


def columns(view: StackedBars) -> list[str]:
    """The plot by columns, each from the bottom up, without axes and legend."""
    plot = [line[6:] for line in seen(view) if "│" in line]
    return ["".join(cells).rstrip() for cells in zip(*reversed(plot), strict=True)]


async def test_classes_are_stacked_with_their_own_glyphs() -> None:
    app = BarsApp(of((4, 2, 2), (2, 0, 0), (0, 0, 0), (0, 4, 0)))
    async with app.run_test(size=(6 + 4, 13)):
        lines = seen(app.view)
        assert columns(app.view)[0][:1] == "█"
        rows = sum("│" in line for line in lines)
        assert columns(app.view) == [
            "█" * (rows // 2) + "▓" * (rows // 4) + "▒" * (rows // 4),
            "█" * (rows // 4),
            "",
            "▓" * (rows // 2),
        ]
        assert lines[0].startswith("    8│")


async def test_axis_and_legend() -> None:
    app = BarsApp(of((900, 95, 5), (11_000, 0, 0)))
    async with app.run_test(size=(80, 10)):
        lines = [line.rstrip() for line in seen(app.view)]
        assert lines[0].startswith("  11k│")
        assert lines[-2].startswith("    0└10:00 ──")
        assert lines[-2].endswith("── now")
        assert len(lines[-2]) == 80
        assert lines[-1] == "█ served 99%  ▓ rejected <1%  ▒ failed <1%  (requests a minute)"


async def test_too_many_buckets_are_summed_newest_at_the_right_and_the_axis_tells_the_mean() -> None:
    app = BarsApp(of(*[(10, 0, 0)] * 99, (0, 10, 0), (0, 10, 0)))
    async with app.run_test(size=(6 + 51, 10)):
        assert seen(app.view)[0].startswith("   10│")
        kinds = columns(app.view)
        assert len(kinds) == 51
        assert set(kinds[-1]) == {"▓"}
        assert set(kinds[-2]) == {"█"}
        assert len(kinds[0]) < len(kinds[1])  # 101 is odd: the oldest column has one bucket only


async def test_few_buckets_fill_the_width() -> None:
    app = BarsApp(of((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    async with app.run_test(size=(6 + 30, 10)):
        assert Counter(column[0] for column in columns(app.view)) == {"█": 10, "▓": 10, "▒": 10}


async def test_a_single_failure_among_many_is_a_thin_line_on_top_and_a_harmless_trifle_is_not_seen() -> None:
    app = BarsApp(of((50_000, 1, 1), (50_000, 1, 0), (100_000, 0, 1)))
    async with app.run_test(size=(6 + 3, 12)):
        failing, fine, full = columns(app.view)
        assert failing == fine + "_"
        assert set(fine) == {"█", "▄"}
        assert full == "█" * (len(full) - 1) + "_"  # no cell left above it


async def test_a_share_of_half_a_cell_is_drawn_as_a_cell() -> None:
    app = BarsApp(of((940, 0, 60), (980, 0, 20)))
    async with app.run_test(size=(6 + 2, 14)):
        much, little = columns(app.view)
        assert (much[-1], little[-1]) == ("▒", "_")


async def test_a_column_is_as_high_as_its_count_also_where_there_are_few_lines() -> None:
    app = BarsApp(of((1000, 0, 0), (740, 0, 0), (260, 0, 0), (10, 0, 0), (0, 0, 0)))
    async with app.run_test(size=(6 + 5, 3)):
        assert columns(app.view) == ["██", "█▄", "▄", "_", ""]


async def test_of_two_traces_the_worse_is_shown() -> None:
    app = BarsApp(Bars(((100_000, 1, 1),), LABELS, "10:00", "now", "requests", (Tone.GOOD, Tone.BAD, Tone.WARN)))
    async with app.run_test(size=(6 + 1, 12)):
        [segment] = [part for part in app.view.render_line(0) if "_" in part.text]
        assert segment.style is not None
        assert segment.style.bold  # as bad is; warn is not


@pytest.mark.parametrize("bars", [of(), of((0, 0, 0))])
async def test_nothing_counted_says_so(bars: Bars) -> None:
    app = BarsApp(bars)
    async with app.run_test(size=(60, 6)):
        assert seen(app.view)[0].rstrip() == "no requests a minute from 10:00 to now"


async def test_no_data_yet() -> None:
    app = BarsApp(None)
    async with app.run_test(size=(60, 6)) as pilot:
        assert seen(app.view)[0].rstrip() == "loading…"
        app.view.bars = of((1, 0, 0))
        await pilot.pause()
        assert "█ served 100%" in "".join(seen(app.view))


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (20, 6), (10, 3), (7, 2), (3, 1), (1, 1)])
async def test_every_size(size: tuple[int, int]) -> None:
    app = BarsApp(of(*((n, n % 7, n % 11) for n in range(200))))
    async with app.run_test(size=size):
        lines = [app.view.render_line(y) for y in range(size[1])]
        assert {line.cell_length for line in lines} == {size[0]}
        assert size[0] < 7 or set("█▓▒") & set("".join(line.text for line in lines))


async def test_equal_data_repaint_nothing() -> None:
    app = BarsApp(of((1, 2, 3)))
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        app.view.painted = 0
        app.view.bars = of((1, 2, 3))
        await pilot.pause()
        assert app.view.painted == 0
        app.view.bars = of((1, 2, 4))
        await pilot.pause()
        assert app.view.painted == 10


@pytest.mark.parametrize(
    ("mark", "axis"),
    [
        ((0.0, 0.1), "══──────────────────"),
        ((0.5, 0.52), "──────────═─────────"),
        ((0.75, 1.0), "───────────────═════"),
        ((1.0, 1.0), "───────────────────═"),
        ((-0.5, 0.1), "══──────────────────"),
        ((-2.0, 3.0), "════════════════════"),
        ((-0.5, -0.1), "◄───────────────────"),
        ((1.1, 1.2), "───────────────────►"),
    ],
)
async def test_a_part_of_the_time_axis_is_marked(mark: tuple[float, float], axis: str) -> None:
    app = BarsApp(Bars(((1, 0, 0), (2, 0, 0)), LABELS, "10:00", "now", "5 s", TONES, mark))
    async with app.run_test(size=(26, 5)):
        lines = seen(app.view)
        assert [line[:6] for line in lines] == ["    2│", "     │", "     │", "    0└", "      "]
        assert lines[3][6:] == axis
        assert lines[4].rstrip() == "      10:00    5 s     now"
        [marked] = [part for part in app.view.render_line(3) if set(part.text) & set("═◄►")]
        assert set(marked.text) <= set("═◄►"), "the mark has a tone of its own"

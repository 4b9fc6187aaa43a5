import pytest
from textual.app import App, ComposeResult
from textual.widgets import Static

from widgets.shares import shares
from widgets.timing_bar import Phase, TimingBar
from widgets.tone import Tone

PHASES = (
    Phase("request", 10, Tone.DIM),
    Phase("queue", 0, Tone.WARN),
    Phase("connect", 20, Tone.NOTICE),
    Phase("response", 60, Tone.ACCENT),
    Phase("transfer", 10, Tone.GOOD),
)


class BarApp(App[None]):
    def __init__(self, phases: tuple[Phase, ...]) -> None:
        super().__init__()
        self.bar = TimingBar(phases)

    def compose(self) -> ComposeResult:
        yield self.bar
        yield Static("below")


def seen(bar: TimingBar) -> list[str]:
    return [bar.render_line(y).text.rstrip() for y in range(bar.size.height)]


async def test_the_bar_is_in_proportion_and_tells_phases_apart_without_colour() -> None:
    app = BarApp(PHASES)
    async with app.run_test(size=(100, 10)):
        assert seen(app.bar) == [
            "█" * 10 + "▓" * 20 + "░" * 60 + "=" * 10,
            "█ request 10 ms  ▒ queue 0 ms  ▓ connect 20 ms  ░ response 60 ms  = transfer 10 ms  total 100 ms",
        ]


async def test_phases_not_reached_are_named_and_take_no_room() -> None:
    app = BarApp((Phase("request", 5), Phase("queue", 3000), Phase("connect", None)))
    async with app.run_test(size=(80, 10)):
        assert seen(app.bar) == [
            "█" + "▒" * 79,  # 5 ms of 3 s are seen all the same
            "█ request 5 ms  ▒ queue 3,000 ms  ─ connect not reached  total 3,005 ms",
        ]


async def test_nothing_reached() -> None:
    app = BarApp((Phase("request", None),))
    async with app.run_test(size=(40, 10)):
        assert seen(app.bar) == ["─" * 40, "─ request not reached  total 0 ms"]


async def test_the_legend_grows_when_the_terminal_gets_narrow_and_when_the_phases_change() -> None:
    app = BarApp(PHASES[:1])
    async with app.run_test(size=(100, 12)) as pilot:
        assert app.bar.size.height == 2
        app.bar.phases = PHASES
        await pilot.resize_terminal(30, 12)
        await pilot.pause()
        lines = seen(app.bar)
        assert len(lines) > 3
        for phase in PHASES:
            assert any(f"{phase.name} {phase.milliseconds} ms" in line for line in lines)


@pytest.mark.parametrize("width", [1, 2, 5, 13])
async def test_any_width(width: int) -> None:
    app = BarApp(PHASES)
    async with app.run_test(size=(width, 20)):
        assert len(seen(app.bar)[0]) == width


@pytest.mark.parametrize("weights", [(0, 0), (1, 1, 1), (997, 1, 1, 1), (5,), (3, 0, 9, 2**40)])
@pytest.mark.parametrize("total", [0, 1, 2, 3, 7, 80])
def test_shares_use_all_cells_and_keep_what_must_be_seen(weights: tuple[int, ...], total: int) -> None:
    cells = shares(weights, total, every=True)
    assert sum(cells) == (total if any(weights) else 0)
    assert all(not n for n, weight in zip(cells, weights, strict=True) if not weight)
    if total >= sum(map(bool, weights)):
        assert all(n for n, weight in zip(cells, weights, strict=True) if weight)


def test_shares_do_not_favour_what_need_not_be_seen() -> None:
    assert shares((997, 1, 1), 10, every=False) == (10, 0, 0)

"""What the header writes to the terminal while its numbers count."""

from time import monotonic

from textual.app import App, ComposeResult

from tests.recorder import Recorder, recorder
from widgets.status_line import Item, StatusLine
from widgets.tone import Tone


class LineApp(App[None]):
    def __init__(self, driver: type[Recorder]) -> None:
        super().__init__(driver_class=driver)
        self.line = StatusLine()

    def compose(self) -> ComposeResult:
        yield self.line

    def tell(self, rows: int, *, paused: bool = False) -> None:
        state = Item("PAUSED", Tone.WARN) if paused else Item("following", Tone.GOOD)
        self.line.right = (state, Item(f"{rows:,} rows/s"), Item(f"lag {rows / 1000} s"))


async def test_numbers_alone_are_painted_once_a_second_and_the_last_one_stays() -> None:
    driver = recorder()
    app = LineApp(driver)
    async with app.run_test(headless=False, size=(60, 3)) as pilot:
        began = monotonic()
        app.tell(1)
        await pilot.pause(0.1)
        driver.written.clear()
        for rows in range(990, 1010):
            app.tell(rows)
            await pilot.pause(0.02)
        assert "".join(driver.written).count(" rows/s") <= int(monotonic() - began)
        await pilot.pause(1.0)
        written = "".join(driver.written)
        assert 1 <= written.count(" rows/s") <= int(monotonic() - began)
        assert "1,009 rows/s" in written


async def test_what_it_means_changes_at_once() -> None:
    driver = recorder()
    app = LineApp(driver)
    async with app.run_test(headless=False, size=(60, 3)) as pilot:
        app.tell(1)
        await pilot.pause(0.1)
        driver.written.clear()
        app.tell(2, paused=True)
        await pilot.pause(0.1)
        assert "PAUSED" in "".join(driver.written)
        assert "2 rows/s" in "".join(driver.written)

"""A row is a named tuple; the owner in these tests answers nothing by itself, so that each answer is seen."""

from typing import Any, NamedTuple

import pytest
from textual.app import App, ComposeResult
from textual.message import Message
from textual.strip import Strip

from widgets.keyset_table import Column, KeysetTable
from widgets.tone import Tone

SIZE = (40, 11)  # a header and ten lines


class Customer(NamedTuple):
    id: int
    name: str = "somebody"
    status: str = "active"


COLUMNS = (
    Column[Customer]("id", 6, lambda row: str(row.id), align="right"),
    Column[Customer]("name", 8, lambda row: row.name, flex=True),
    Column[Customer]("status", 9, lambda row: (row.status, Tone.GOOD if row.status == "active" else Tone.BAD)),
    Column[Customer]("remark", 10, lambda row: "seldom", hide_below=60),
)


class CountedTable(KeysetTable[Customer]):
    """Counts the lines that were really painted."""

    painted = 0

    def render_line(self, y: int) -> Strip:
        self.painted += 1
        return super().render_line(y)


class TableApp(App[None]):
    def __init__(self, max_rows: int = 20_000) -> None:
        super().__init__()
        self.heard: list[Message] = []
        self.table = CountedTable(COLUMNS, lambda row: row.id, "No customer matches.", max_rows)

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self) -> None:
        self.table.focus()

    def on_keyset_table_picked(self, message: KeysetTable.Picked[Customer]) -> None:
        self.heard.append(message)

    def on_keyset_table_highlighted(self, message: KeysetTable.Highlighted[Customer]) -> None:
        self.heard.append(message)

    def on_keyset_table_more_wanted(self, message: KeysetTable.MoreWanted[Customer]) -> None:
        self.heard.append(message)

    def said(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]


def people(*numbers: int) -> list[Customer]:
    return [Customer(n) for n in numbers]


def seen(table: KeysetTable[Customer]) -> list[str]:
    return [table.render_line(y).text.rstrip() for y in range(table.size.height)]


def ids(table: KeysetTable[Customer]) -> list[int]:
    return [int(line[2:8]) for line in seen(table)[1:] if line[2:8].strip().isdigit()]


def pointed(table: KeysetTable[Customer]) -> str:
    lines = [line for line in seen(table) if line.startswith("›")]
    assert len(lines) == 1
    return lines[0]


async def test_header_rows_and_the_sentence_for_none() -> None:
    app = TableApp()
    async with app.run_test(size=SIZE):
        assert seen(app.table)[1].strip() == "loading…"
        app.table.show([], complete=True)
        assert seen(app.table)[1].strip() == "No customer matches."
        app.table.show([Customer(7, "日本語日本語日本語日本語"), Customer(8, "eve\x1b[2J\n", "closed")], complete=True)
        lines = seen(app.table)
        assert lines[0] == "      id name                 status"
        assert lines[1] == "›      7 日本語日本語日本語…  active"
        assert lines[2] == "       8 eve·[2J·             closed"
        assert lines[3:] == [""] * 8
        header = next(iter(app.table.render_line(0)))
        assert header.style is not None
        assert header.style.bold


@pytest.mark.parametrize("size", [(120, 11), (60, 11), (40, 11), (20, 3), (4, 2), (1, 1)])
async def test_columns_fit_every_width(size: tuple[int, int]) -> None:
    app = TableApp()
    async with app.run_test(size=size):
        app.table.show(people(*range(100)), complete=True)
        lines = [app.table.render_line(y) for y in range(size[1])]
        assert {line.cell_length for line in lines} == {size[0] - 1}  # one cell is the scrollbar's
        assert ("remark" in lines[0].text) == (size[0] > 60)


async def test_the_cursor_moves_and_picks() -> None:
    app = TableApp()
    async with app.run_test(size=SIZE) as pilot:
        app.table.show(people(*range(100)), complete=True)
        await pilot.press("down", "j", "up", "k", "j", "enter")
        assert [message.row.id for message in app.said(KeysetTable.Picked)] == [1]
        assert [message.row.id for message in app.said(KeysetTable.Highlighted)] == [0, 1, 2, 1, 0, 1]
        await pilot.press("pagedown")
        assert ids(app.table)[0] == 9
        assert "10 somebody" in pointed(app.table)
        await pilot.press("end")
        assert ids(app.table) == list(range(90, 100))
        assert "99 somebody" in pointed(app.table)
        await pilot.press("down")
        assert app.table.cursor_row == Customer(99)
        await pilot.press("g")
        assert ids(app.table) == list(range(10))
        await pilot.press("G", "pageup", "home", "up")
        assert app.table.cursor_row == Customer(0)


async def test_mouse() -> None:
    app = TableApp()
    async with app.run_test(size=SIZE) as pilot:
        app.table.show(people(*range(100)), complete=True)
        await pilot.click(KeysetTable, offset=(5, 4))
        assert "3 somebody" in pointed(app.table)
        await pilot.click(KeysetTable, offset=(5, 0))  # the header is no row
        assert app.table.cursor_row == Customer(3)
        await pilot.click(KeysetTable, offset=(5, 6), times=2)
        assert [message.row.id for message in app.said(KeysetTable.Picked)] == [5]


async def test_a_renewal_keeps_the_cursor_on_its_key_and_the_lines_in_place() -> None:
    app = TableApp()
    async with app.run_test(size=SIZE) as pilot:
        app.table.show(people(*range(10, 60)), complete=True)
        await pilot.press("end", "pageup", "pageup", "up", "up", "up")
        before, at = ids(app.table), pointed(app.table)
        app.table.show(people(*range(60)), complete=True)  # ten rows more above
        assert ids(app.table) == before
        assert pointed(app.table) == at
        row = app.table.cursor_row
        assert row is not None
        app.table.show([r for r in app.table.rows if r != row], complete=True)
        assert app.table.cursor_row == Customer(row.id + 1)  # the same place, now the next row's
        app.table.show(people(1, 2), complete=True)
        assert app.table.cursor_row == Customer(2)
        app.table.show([], complete=True)
        assert app.table.cursor_row is None
        await pilot.press("enter", "space", "down", "ctrl+space")
        assert app.said(KeysetTable.Picked) == []
        assert app.table.marked == ()


async def test_a_reader_at_the_top_sees_new_rows_appear_above() -> None:
    app = TableApp()
    async with app.run_test(size=SIZE):
        app.table.show(people(*range(10, 60)), complete=True)
        app.table.show(people(8, 9, *range(10, 60)), complete=True)
        assert ids(app.table)[:3] == [8, 9, 10]
        assert "10 somebody" in pointed(app.table)


async def test_a_table_that_nobody_is_in_goes_on_showing_what_is_new_however_much_comes() -> None:
    app = TableApp()
    async with app.run_test(size=SIZE) as pilot:
        app.table.show(people(*range(30, 60)), complete=True)
        app.screen.set_focus(None)
        app.table.show(people(*range(60)), complete=True)
        assert "0 somebody" in pointed(app.table)
        assert ids(app.table)[:2] == [0, 1]
        app.table.focus()
        await pilot.press("down")
        app.screen.set_focus(None)  # it was left on a row of its reader's
        app.table.show(people(*range(-40, 60)), complete=True)
        assert "1 somebody" in pointed(app.table)


async def test_a_renewed_row_under_the_cursor_is_told() -> None:
    app = TableApp()
    async with app.run_test(size=SIZE) as pilot:
        app.table.show(people(1, 2), complete=True)
        app.table.show([Customer(1, status="closed"), Customer(2)], complete=True)
        await pilot.pause()
        assert [message.row.status for message in app.said(KeysetTable.Highlighted)] == ["active", "closed"]


async def test_more_is_wanted_once_near_the_end() -> None:
    app = TableApp()
    async with app.run_test(size=SIZE) as pilot:
        app.table.show(people(*range(40)), complete=False)
        await pilot.press("pagedown", "pagedown")
        assert app.said(KeysetTable.MoreWanted) == []
        await pilot.press("pagedown", "end", "up", "end")
        assert [message.last.id for message in app.said(KeysetTable.MoreWanted)] == [39]
        assert seen(app.table)[-1].strip() == "loading more…"
        app.table.add(people(38, 39, *range(40, 80)), complete=False)  # pages may overlap
        assert len(app.table.rows) == 80
        assert app.table.cursor_row == Customer(39)
        await pilot.press("end")
        assert [message.last.id for message in app.said(KeysetTable.MoreWanted)] == [39, 79]
        app.table.add([Customer(80)], complete=True)
        await pilot.press("end")
        assert seen(app.table)[-1].startswith("›     80 somebody ")
        assert len(app.said(KeysetTable.MoreWanted)) == 2


async def test_a_renewal_with_equal_rows_does_not_ask_again_for_the_page_on_its_way() -> None:
    app = TableApp()
    async with app.run_test(size=SIZE) as pilot:
        app.table.show(people(1, 2), complete=False)
        app.table.show(people(1, 2), complete=False)
        await pilot.pause()
        assert len(app.said(KeysetTable.MoreWanted)) == 1
        app.table.show(people(1, 2, 3), complete=False)
        await pilot.pause()
        assert [message.last.id for message in app.said(KeysetTable.MoreWanted)] == [2, 3]


async def test_a_short_first_page_wants_more_at_once() -> None:
    app = TableApp()
    async with app.run_test(size=SIZE) as pilot:
        app.table.show(people(1, 2), complete=False)
        await pilot.pause()
        assert [message.last.id for message in app.said(KeysetTable.MoreWanted)] == [2]


async def test_after_a_failed_load_the_next_step_asks_again() -> None:
    app = TableApp()
    async with app.run_test(size=SIZE) as pilot:
        app.table.show(people(1, 2), complete=False)
        app.table.add((), complete=False)
        await pilot.pause()
        assert len(app.said(KeysetTable.MoreWanted)) == 1
        assert "more rows follow" in seen(app.table)[3]
        await pilot.press("down")
        assert len(app.said(KeysetTable.MoreWanted)) == 2
        assert seen(app.table)[3].strip() == "loading more…"


@pytest.mark.parametrize("complete", [True, False])
async def test_the_cap_stops_asking(complete: bool) -> None:
    app = TableApp(max_rows=1500)
    async with app.run_test(size=SIZE) as pilot:
        app.table.show(people(*range(1490)), complete=False)
        await pilot.press("end")
        app.table.add(people(*range(1490, 1520)), complete=complete)
        await pilot.press("end")
        assert seen(app.table)[-1].strip() == "1,500 rows shown; narrow the search"
        assert seen(app.table)[-2].startswith("›   1499")
        assert len(app.said(KeysetTable.MoreWanted)) == 1


async def test_exactly_the_cap_is_a_complete_list() -> None:
    app = TableApp(max_rows=5)
    async with app.run_test(size=SIZE):
        app.table.show(people(*range(5)), complete=True)
        assert seen(app.table)[6] == ""


async def test_marks() -> None:
    app = TableApp()
    async with app.run_test(size=SIZE) as pilot:
        app.table.show(people(*range(50)), complete=True)
        await pilot.press("down", "space", "down", "down", "down", "ctrl+space")
        assert [row.id for row in app.table.marked] == [1, 2, 3, 4]
        assert [line[1:2] for line in seen(app.table)[1:7]] == [" ", "●", "●", "●", "●", " "]
        await pilot.press("up", "space")
        assert [row.id for row in app.table.marked] == [1, 2, 4]
        await pilot.press("end")  # out of sight, not out of mind
        assert seen(app.table)[0].endswith(" 3 marked, ctrl+\\ unmarks")
        app.table.show(people(0, 4, 3, 1), complete=True)
        await pilot.pause()
        assert [row.id for row in app.table.marked] == [4, 1]
        await pilot.press("ctrl+backslash")
        assert app.table.marked == ()
        assert "●" not in "".join(seen(app.table))
        assert "marked" not in seen(app.table)[0]


async def test_a_terminal_that_sends_nul_for_ctrl_space_marks_a_range_too() -> None:
    app = TableApp()
    async with app.run_test(size=SIZE) as pilot:
        app.table.show(people(1, 2, 3), complete=True)
        await pilot.press("space", "down", "down", "ctrl+at")
        assert len(app.table.marked) == 3


async def test_equal_rows_repaint_nothing_and_one_changed_row_repaints_one_line() -> None:
    app = TableApp()
    async with app.run_test(size=SIZE) as pilot:
        app.table.show(people(*range(50)), complete=True)
        await pilot.pause()
        app.table.painted = 0
        app.table.show(people(*range(50)), complete=True)
        await pilot.pause()
        assert app.table.painted == 0
        changed = people(*range(50))
        changed[3] = Customer(3, "new name")
        app.table.show(changed, complete=True)
        await pilot.pause()
        assert app.table.painted == 1
        await pilot.press("down")
        await pilot.pause()
        assert app.table.painted == 3  # the line left and the line entered


async def test_a_resize_keeps_the_cursor_in_view() -> None:
    app = TableApp()
    async with app.run_test(size=SIZE) as pilot:
        app.table.show(people(*range(100)), complete=True)
        await pilot.press(*["down"] * 9)
        await pilot.resize_terminal(40, 5)
        assert "9 somebody" in pointed(app.table)
        await pilot.resize_terminal(80, 30)
        assert "9 somebody" in pointed(app.table)

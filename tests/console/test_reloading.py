"""A long list that is read again: nothing moves under the cursor, and what is not renewed is said."""

from console.reloading import as_many, renew
from db.source import Page
from tests.widgets.test_keyset_table import SIZE, Customer, TableApp, people, pointed, seen


def page(rows: int, *, complete: bool = False) -> Page[Customer]:
    return Page(tuple(people(*range(rows))), complete)


async def test_a_reload_takes_no_rows_away_that_came_while_it_ran() -> None:
    app = TableApp()
    async with app.run_test(size=SIZE) as pilot:
        renew(app.table, page(100))
        asked = as_many(app.table)
        app.table.add(people(*range(100, 200)), complete=False)
        await pilot.press("end")
        renew(app.table, page(asked))
        assert " 199 " in pointed(app.table)
        assert as_many(app.table) == 200
        renew(app.table, page(150, complete=True))  # there are no more
        assert " 149 " in pointed(app.table)


async def test_a_list_too_long_to_be_read_again_says_so_until_it_is_short() -> None:
    app = TableApp()
    async with app.run_test(size=(80, 11)):
        renew(app.table, page(1000))
        assert "not renewed" not in seen(app.table)[0]
        app.table.add(people(*range(1000, 1100)), complete=False)
        renew(app.table, page(as_many(app.table)))
        assert len(app.table.rows) == 1100
        assert seen(app.table)[0].endswith("not renewed beyond 1,000 rows")
        renew(app.table, page(90, complete=True))
        assert "not renewed" not in seen(app.table)[0]

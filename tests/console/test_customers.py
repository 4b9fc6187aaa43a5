"""The list of customers: found by status, wallet and id; a search that cannot be read changes nothing."""

import asyncio
from typing import Any

import pytest

from db.source import Customer, CustomerSearch, Page
from tests.console.conftest import CUSTOMER
from tests.console.screens import console, hint, query
from tests.db.seed import add_customer, wallet


def ids(lines: list[str]) -> list[int]:
    """The customers in the table, from the top."""
    return [int(line[2:13]) for line in lines[1:-1] if line[2:13].strip().isdecimal() and " 0x" in line]


async def test_every_customer_is_listed_by_id_with_status_keys_and_balance(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("2")
        await deck.sees("4294967295")
        assert ids(deck.lines) == [7, 8, 9, CUSTOMER]
        first = deck.line(wallet(7)[:20]).split()
        assert first[-4:] == ["1", "$123.45", "-", "unlimited"]
        assert "suspended" in deck.line(" 8 ")


SEARCHES = (
    ("suspended", [8]),
    ("active", [7, CUSTOMER]),
    (wallet(7), [7]),
    ("0x" + "0" * 63, [7, 8, 9]),
    ("0x" + "0" * 63 + " closed", [9]),
    (str(CUSTOMER), [CUSTOMER]),
)


async def test_a_search_narrows_the_list(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("2")
        await deck.sees("4294967295")
        for search, found in SEARCHES:
            await deck.say("/", search)
            await deck.until(lambda found=found: ids(deck.lines) == found, f"only {found} for {search}")
            assert f"/ {search}   ctrl+l shows all" in deck.text


async def test_a_search_without_a_match_says_so_and_ctrl_l_shows_all_again(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("2")
        await deck.say("/", "12345")
        await deck.sees("No customer matches.")
        await deck.press("ctrl+l")
        await deck.until(lambda: len(ids(deck.lines)) == 4, "all customers")


async def test_a_search_that_cannot_be_read_says_why_and_stays(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("2")
        await deck.sees("4294967295")
        await deck.say("/", "frozen")
        await deck.sees("cannot search customers for 'frozen'")
        assert len(ids(deck.lines)) == 4
        await deck.press("ctrl+u")
        await deck.paste("suspended")
        await deck.sees_no("cannot search")
        await deck.press("enter")
        await deck.until(lambda: ids(deck.lines) == [8], "the mended search")


async def test_showing_all_of_what_is_all_there_leaves_the_list_as_it_is(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("2")
        await deck.sees("4294967295")
        await deck.press("ctrl+l")
        await deck.until(lambda: len(ids(deck.lines)) == 4, "all customers")


async def test_the_same_search_twice_finds_the_same_twice(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("2")
        for _ in range(2):
            await deck.say("/", "suspended")
            await deck.until(lambda: ids(deck.lines) == [8], "only 8")


async def test_a_list_that_was_asked_for_before_the_search_is_not_shown_after_it(
    same_business: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console(same_business) as deck:
        await deck.press("2")
        await deck.sees("4294967295")
        asked: list[CustomerSearch] = []
        let_go = [asyncio.Event(), asyncio.Event()]
        page = deck.app.source.customers.page

        async def held(search: CustomerSearch, **rest: Any) -> Page[Customer]:
            asked.append(search)
            rows = await page(search, **rest)
            await let_go[search.status is not None].wait()
            return rows

        monkeypatch.setattr(deck.app.source.customers, "page", held)
        deck.app.live.changed.publish("customers")
        await deck.until(lambda: asked, "the whole list is asked for")
        await deck.say("/", "suspended")
        await deck.sees("loading…")
        let_go[0].set()
        await deck.never_sees("4294967295", for_s=0.3)
        let_go[1].set()
        await deck.until(lambda: ids(deck.lines) == [8], "only 8")


async def test_escape_closes_the_search_and_the_list_has_the_keys_again(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("2")
        await deck.sees("4294967295")
        await deck.press("/")
        await deck.type("9x")
        await deck.press("escape", "down", "enter")
        await deck.until(lambda: "suspended" in deck.line(" status  "), "customer 8")


async def test_going_down_loads_page_after_page_until_all_are_there(dsn: str) -> None:
    with_gaps = list(range(1, 520, 2))
    query(
        dsn,
        "INSERT INTO customers (customer_id, wallet_address) SELECT n, '0x' || lpad(to_hex(n), 64, '0')"
        " FROM unnest(%s::int[]) n",
        with_gaps,
    )
    seen: list[int] = []
    async with console(dsn) as deck:
        await deck.press("2")
        await deck.until(lambda: ids(deck.lines), "the first page")
        while not seen or seen[-1] != with_gaps[-1]:
            new = [number for number in ids(deck.lines) if not seen or number > seen[-1]]
            assert new == with_gaps[len(seen) : len(seen) + len(new)]
            seen += new
            await deck.press("pagedown")
        assert seen == with_gaps


async def test_a_change_of_status_elsewhere_shows_at_the_next_hint(business: str) -> None:
    async with console(business) as deck:
        await deck.press("2")
        await deck.sees("4294967295")
        query(business, "UPDATE customers SET status = 'suspended' WHERE customer_id = 7")
        hint(business, "customers")
        await deck.until(lambda: deck.text.count("suspended") == 2, "two suspended customers", wait_s=3)


async def test_the_list_keeps_the_cursor_on_its_customer_when_one_comes_before_it(business: str) -> None:
    async with console(business) as deck:
        await deck.press("2")
        await deck.sees("4294967295")
        await deck.press("down")
        assert deck.line("›").split()[1] == "8"
        add_customer(business, 1)
        hint(business, "customers")
        await deck.until(lambda: 1 in ids(deck.lines), "the new customer")
        assert deck.line("›").split()[1] == "8"

"""Digits, commands, the palette, history and help: every way from one place to another."""

import asyncio

import pytest

from console.directory import DIGITS
from tests.console.conftest import CUSTOMER, OTHER_CUSTOMER, PASTED, PASTED_KEY, wallet
from tests.console.screens import Operator, console, cut_connections, query
from tests.db.seed import add_key


async def heading(deck: Operator, title: str) -> None:
    await deck.until(lambda: f"opsdeck  {title}  default" in deck.header, f"the header says {title}")


async def test_digits_switch_screens(same_business: str) -> None:
    async with console(same_business) as deck:
        for digit, title in (("2", "customers"), ("3", "keys"), ("1", "overview"), ("4", "requests")):
            await deck.press(digit)
            await heading(deck, title)
        await deck.press("1")
        await deck.sees("window: 1m")  # the log has its own use for them
        await heading(deck, "requests")


async def test_commands_go_anywhere(same_business: str) -> None:
    async with console(same_business) as deck:
        for command, title, seen in (
            ("customers suspended", "customers suspended", "suspended"),
            ("key 0x0000002a", "key 0x0000002a", "decimal 42"),
            ("c 7", "customer 7", "wallet"),
            ("log status:5xx", "requests", "[status:5xx]"),
            ("o", "overview", "busiest customers"),
        ):
            await deck.say(":", command)
            await heading(deck, title)
            await deck.sees(seen)


async def test_a_command_is_completed_as_it_is_typed(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("colon")
        await deck.sees(": overview, customers, keys, requests, an id")
        await deck.type("req")
        await deck.sees(": requests")
        await deck.press("right", "enter")
        await heading(deck, "requests")


async def test_a_command_nobody_knows_is_answered_with_a_sentence_and_can_be_mended(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.say(":", "custmers")
        await deck.sees("there is no command 'custmers'; did you mean customers?")
        await deck.press("ctrl+u")
        await deck.paste("customers")
        await deck.sees_no("there is no command")
        await deck.press("enter")
        await heading(deck, "customers")


async def test_a_bare_number_goes_to_whichever_exists(business: str) -> None:
    add_key(business, 7, CUSTOMER)
    async with console(business) as deck:
        for number, title in (("42", "key 0x0000002a"), ("8", "customer 8"), ("7", "customer 7")):
            await deck.say(":", number)
            await heading(deck, title)
        await deck.say(":", f"0x{PASTED:08x}")
        await heading(deck, f"key 0x{PASTED:08x}")


async def test_a_search_that_cannot_be_read_is_answered_and_changes_nothing(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("2")
        await deck.sees("4294967295")
        await deck.say(":", "customers [/bold]")
        await deck.sees("cannot search customers for '[/bold]'")
        assert "4294967295" in deck.text


async def test_escape_goes_down_one_screen_at_a_time_and_stays_at_the_bottom(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("2")
        await deck.sees("4294967295")
        await deck.press("enter")
        await heading(deck, "customer 7")
        await deck.sees("0x0000004d")
        await deck.press("enter")
        await heading(deck, "key 0x0000004d")
        for title in ("customer 7", "customers", "customers"):
            await deck.press("escape")
            await heading(deck, title)


async def test_escape_leads_back_to_where_a_link_was_followed(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.say(":", "7")
        await heading(deck, "customer 7")
        await deck.press("l")
        await heading(deck, "requests")
        await deck.press("escape")
        await heading(deck, "customer 7")
        await deck.press("4", "escape")
        await heading(deck, "requests")
        await deck.say(":", "goto -1h")
        await deck.press("escape", "escape")
        await heading(deck, "requests")


async def test_brackets_go_back_and_ahead_through_the_places(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("2")
        await deck.say(":", "customer 7")
        await heading(deck, "customer 7")
        await deck.press("3")
        await heading(deck, "keys")
        for key, title in (
            ("left_square_bracket", "customer 7"),
            ("left_square_bracket", "customers"),
            ("left_square_bracket", "overview"),
            ("left_square_bracket", "overview"),
            ("right_square_bracket", "customers"),
            ("right_square_bracket", "customer 7"),
            ("right_square_bracket", "keys"),
            ("right_square_bracket", "keys"),
        ):
            await deck.press(key)
            await heading(deck, title)


async def test_what_changed_while_updates_were_held_back_is_painted(same_business: str) -> None:
    """Textual holds them back itself, for a moment at each new screen, and longer while the line of keys is made."""
    async with console(same_business) as deck:
        for digit, title in (("2", "customers"), ("3", "keys")):
            await deck.press(digit)
            await heading(deck, title)
        await deck.sees("0x0000002a")
        with deck.app.batch_update():
            await deck.press("2")
            await asyncio.sleep(0.5)
            held = deck.app.painted
        await deck.until(lambda: deck.app.painted > held, "the screen that was gone to is painted", wait_s=3.0)
        assert "  customers  " in deck.header


async def test_brackets_undo_a_search_and_do_it_again_and_a_digit_keeps_it(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("2")
        await deck.sees("4294967295")
        await deck.say("/", "suspended")
        await heading(deck, "customers suspended")
        await deck.press("3")
        await heading(deck, "keys")
        await deck.press("2")
        await heading(deck, "customers suspended")
        for key, title, count in (
            ("left_square_bracket", "keys", 0),
            ("left_square_bracket", "customers suspended", 1),
            ("left_square_bracket", "customers", 4),
            ("right_square_bracket", "customers suspended", 1),
        ):
            await deck.press(key)
            await heading(deck, title)
            await deck.until(lambda count=count: deck.text.count(" 0x00000000000000") == count, f"{count} customers")


async def test_brackets_lead_out_of_the_log_and_of_usage_after_a_change(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("5")
        await heading(deck, "usage")
        await deck.press("minus")
        await deck.press("4")
        await deck.sees("all requests")
        await deck.say("/", "status:5xx")
        await deck.sees("[status:5xx]")
        await deck.press("left_square_bracket")
        await deck.sees("all requests")
        for title in ("usage", "usage", "overview"):
            await deck.press("left_square_bracket")
            await heading(deck, title)


async def test_a_command_without_a_search_shows_all(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.say(":", "customers suspended")
        await heading(deck, "customers suspended")
        await deck.say(":", "customers")
        await heading(deck, "customers")
        await deck.sees("4294967295")


async def test_keys_work_while_the_database_is_asked_what_a_number_is(
    same_business: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console(same_business) as deck:
        let_go = asyncio.Event()
        found = deck.app.source.found

        async def held(kind: str, subject: str) -> tuple[str, str] | None:
            await asyncio.wait_for(let_go.wait(), 3)  # a console that waits too must not wait for ever
            return await found(kind, subject)

        monkeypatch.setattr(deck.app.source, "found", held)
        await deck.say(":", "42")
        await deck.press("3")
        await heading(deck, "keys")
        let_go.set()
        await deck.settle()
        await heading(deck, "keys")  # who has gone elsewhere stays there
        let_go.clear()
        await deck.say(":", "42")
        let_go.set()
        await heading(deck, "key 0x0000002a")


async def test_after_escape_the_bracket_goes_to_the_place_before_the_one_that_is_shown(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("2")
        await deck.say(":", "customer 7")
        await heading(deck, "customer 7")
        await deck.press("escape")
        await heading(deck, "customers")
        await deck.press("left_square_bracket")
        await heading(deck, "customer 7")


async def test_the_palette_opens_screens_and_subjects(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("ctrl+p")
        await deck.sees("Is anything wrong right now?", "The live request log")
        await deck.type("42")
        await deck.sees("customer 42", "key 0x0000002a")
        await deck.press("down", "enter")
        await heading(deck, "key 0x0000002a")
        await deck.press("ctrl+p")
        await deck.type("keys")
        await deck.sees("Find a key by fingerprint")
        await deck.press("enter")
        await heading(deck, "keys")


async def test_help_lists_every_key_of_each_screen_with_its_purpose(same_business: str) -> None:
    async with console(same_business, size=(120, 72)) as deck:
        for place in (
            "overview",
            "customers",
            "keys",
            "requests",
            "customer 7",
            "key 42",
            "billing",
            "ledger 7",
            "database",
        ):
            await deck.say(":", place)
            await deck.until(lambda place=place: f"opsdeck  {place[:4]}" in deck.header, place)
            await deck.until(lambda: deck.app.screen.focused is not None, "something has the focus")
            bindings = [
                active.binding
                for active in deck.app.screen.active_bindings.values()
                if active.enabled and not active.binding.system
            ]
            assert [binding for binding in bindings if binding.id and not binding.tooltip] == []
            purposes = {binding.tooltip for binding in bindings if binding.tooltip}
            assert len(purposes) >= 12
            await deck.press("question_mark")
            await deck.sees("everywhere")
            assert [purpose for purpose in purposes if purpose not in deck.text] == []
            assert "shift+g" not in deck.text  # it is G, and this is ^space
            assert "^@" not in deck.text
            assert ("Digits are windows of time here" in deck.text) == (place == "requests")
            await deck.press("escape")
            await deck.sees_no("everywhere")


async def test_help_names_the_keys_of_one_purpose_together(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("question_mark")
        await deck.sees("everywhere")
        assert deck.line("Leave the console").split()[1:4] == ["^c", "^q", "q"]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_line_of_keys_ends_with_whole_words(same_business: str, size: tuple[int, int]) -> None:
    *_, last = DIGITS
    async with console(same_business, size=size) as deck:
        for place in (
            "overview", "customers", "keys", "requests", "usage", "control", "groups", "jobs", "customer 7", "key 42",
        ):  # fmt: skip
            await deck.say(":", place)
            heading = {"groups": "requests by"}.get(place, place[:4])
            await deck.until(lambda heading=heading: heading in deck.header, place)
            await deck.until(lambda: deck.footer.split()[-4:] == ["?", "Help", "q", "Quit"], f"the keys of {place}")
            digits = any(group in deck.footer for group in (f"1-{last} Screens", "0-6 Windows"))
            assert digits or len(deck.footer) + len("0-6 Windows ") >= size[0] - 2, deck.footer


@pytest.mark.parametrize("way", ["q", "ctrl+c", "ctrl+q", ":quit"])
async def test_there_are_three_ways_out(same_business: str, way: str) -> None:
    async with console(same_business) as deck:
        if way == ":quit":
            await deck.say(":", "quit")
        else:
            await deck.press(way)
        await deck.until(lambda: not deck.app.is_running or deck.app.return_code is not None, "it ends")
        assert deck.app.return_code == 0


async def test_places_can_be_visited_while_the_connection_is_lost(same_business: str) -> None:
    async with console(same_business) as deck:
        for digit in "2341":
            cut_connections(same_business)
            await deck.press(digit)
        await deck.until(lambda: "● connected" in deck.header, "connected again")


async def test_what_is_typed_in_one_breath_with_the_sign_goes_into_the_line(same_business: str) -> None:
    """As a slow link delivers it: one packet, one read."""
    async with console(same_business) as deck:
        await deck.type(":key 42")
        await deck.press("enter")
        await heading(deck, "key 0x0000002a")
        await deck.press("escape", "2")
        await heading(deck, "customers")
        await deck.type("/12:/3")
        await deck.until(lambda: deck.lines[-2].split() == ["/", "12:/3"], "all of it stands in the line")
        await deck.type("\x15ad\x1b[Dcb\x1b[F:e")
        await deck.until(lambda: deck.lines[-2].split() == ["/", "acbd:e"], "in the order of the keys")


async def test_a_wallet_or_a_transaction_leads_to_its_customer_or_to_a_sentence(business: str) -> None:
    digest = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE"
    query(
        business,
        "INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, tx_hash) VALUES (%s, 'deposit', 1, %s)",
        OTHER_CUSTOMER,
        digest,
    )
    async with console(business) as deck:
        await deck.say(":", digest)
        await heading(deck, f"customer {OTHER_CUSTOMER}")
        await deck.say(":", wallet(CUSTOMER))
        await heading(deck, f"customer {CUSTOMER}")
        await deck.say(":", "keys")
        await deck.say("/", digest)
        await deck.sees("0x0000004d")
        await deck.sees_no("0x0000002a")
        await deck.press("2")
        await deck.say("/", PASTED_KEY)
        await deck.until(lambda: str(CUSTOMER) in deck.text and PASTED_KEY not in deck.text, "whose key it is")
        await deck.say(":", "JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFG")
        await deck.sees("Nothing was found", "is known by")
        assert "customers" in deck.header

"""The list of keys: found by fingerprint in any spelling, by the pasted key (never shown), by customer and state."""

from typing import ClassVar

import pytest
from textual import events

from tests.console.conftest import CUSTOMER, PASTED, PASTED_KEY
from tests.console.screens import WatchedDeck, audit_rows, console, live_keys, query, shown


def labels(lines: list[str]) -> list[str]:
    """The fingerprints in the table, from the top."""
    return [line[2:12] for line in lines[1:-1] if line[2:4] == "0x"]


class EveryFrame(WatchedDeck):
    """Keeps the text of all that was ever painted."""

    frames: ClassVar[list[str]]

    def post_display_hook(self) -> None:
        super().post_display_hook()
        self.frames.append("\n".join(shown(self)))


@pytest.fixture
def frames() -> list[str]:
    """All that an EveryFrame painted in this test."""
    EveryFrame.frames = []
    return EveryFrame.frames


async def test_keys_are_listed_newest_first_with_customer_and_state(business: str) -> None:
    query(business, "UPDATE customers SET status = 'suspended' WHERE customer_id = 7")
    query(
        business,
        "UPDATE api_keys SET is_active = false, revoked_at = '2026-01-02 03:04:05Z', revocation_reason = 'lost'"
        " WHERE api_key_fp = 43",
    )
    async with console(business) as deck:
        await deck.press("3")
        await deck.sees("0x0000002a")
        assert labels(deck.lines) == ["0x0000004d", f"0x{PASTED:08x}", "0xffffffff", "0x0000002b", "0x0000002a"]
        assert "live, suspended" in deck.line("0x0000004d")
        revoked = deck.line("0x0000002b")
        assert "revoked" in revoked
        assert "2026-01-02 03:04:05 lost" in revoked


SEARCHES = (
    ("42", ["0x0000002a"]),
    ("0x0000002b", ["0x0000002b"]),
    ("0x2A", ["0x0000002a"]),
    ("ffffffff", ["0xffffffff"]),
    ("77", ["0x0000004d"]),
    ("-1", ["0xffffffff"]),
    ("customer:7", ["0x0000004d"]),
    ("customer:7 revoked", []),
    (f"customer:{CUSTOMER} live", [f"0x{PASTED:08x}", "0xffffffff", "0x0000002b", "0x0000002a"]),
)


async def test_a_search_narrows_the_list(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("3")
        await deck.sees("0x0000002a")
        for search, found in SEARCHES:
            await deck.say("/", search)
            await deck.until(lambda found=found: labels(deck.lines) == found, f"only {found} for {search}")
            await deck.until(lambda found=found: bool(found) != ("No key matches." in deck.text), "what is not there")


@pytest.mark.parametrize("way", ["/", ":"])
async def test_a_pasted_key_is_found_and_appears_in_no_frame(same_business: str, frames: list[str], way: str) -> None:
    async with console(same_business, kind=EveryFrame) as deck:
        await deck.press("3")
        await deck.sees("0x0000002a")
        await deck.press(way)
        for character in PASTED_KEY[:3]:  # a slip of the hand before the paste
            await deck.press(character, "backspace")
        await deck.paste(f"{PASTED_KEY}\n")
        await deck.sees(f"0x{PASTED:08x}", f"{way} 0x{PASTED:08x}")
        await deck.press("enter")
        if way == ":":
            await deck.sees(f"0x{PASTED:08x}, decimal {PASTED}")
        else:
            await deck.until(lambda: labels(deck.lines) == [f"0x{PASTED:08x}"], "only the pasted key")
    assert len(frames) > 5
    assert any(f"{way} 0x{PASTED:08x}" in frame for frame in frames)
    assert not any(PASTED_KEY[:20] in frame or PASTED_KEY[-20:] in frame for frame in frames)


@pytest.mark.parametrize("way", ["/", ":"])
async def test_of_a_key_typed_by_hand_no_frame_shows_more_than_its_beginning(
    same_business: str, frames: list[str], way: str
) -> None:
    async with console(same_business, kind=EveryFrame) as deck:
        await deck.press("3")
        await deck.sees("0x0000002a")
        await deck.press(way)
        await deck.press(*PASTED_KEY[:-1])
        await deck.sees(f"{way} ••••••••••••••••")
        await deck.press("enter")
        await deck.until(lambda: "but is none" in deck.text or "give a decimal number" in deck.text, "why")
        await deck.press(PASTED_KEY[-1])
        await deck.sees(f"{way} 0x{PASTED:08x}")
    assert not any(PASTED_KEY[:11] in frame or PASTED_KEY[10:14] in frame for frame in frames)


@pytest.mark.parametrize("line", ["the palette", "a reason"])
async def test_nor_does_any_other_line_show_one_that_is_typed(same_business: str, frames: list[str], line: str) -> None:
    async with console(same_business, kind=EveryFrame) as deck:
        if line == "the palette":
            await deck.press("ctrl+p")
        else:
            await deck.press("3")
            await deck.sees("0x0000002a")
            await deck.press("ctrl+r")
            await deck.sees("Why? It goes on record.")
        await deck.type(PASTED_KEY[:-1])
        await deck.sees("••••••••••••••••")
        await deck.type(PASTED_KEY[-1])
        await deck.sees(f"0x{PASTED:08x}")
        await deck.type(" seen")
        await deck.sees(f"0x{PASTED:08x} seen")
    assert not any(PASTED_KEY[:11] in frame or PASTED_KEY[10:14] in frame for frame in frames)


async def test_a_key_pasted_into_the_palette_appears_in_no_frame(same_business: str, frames: list[str]) -> None:
    async with console(same_business, kind=EveryFrame) as deck:
        await deck.press("ctrl+p")
        deck.app.post_message(events.Paste(PASTED_KEY))
        await deck.sees(f"key 0x{PASTED:08x}")
    assert not any(PASTED_KEY[:20] in frame or PASTED_KEY[-20:] in frame for frame in frames)


async def test_a_search_that_cannot_be_read_says_why_and_stays(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("3")
        await deck.sees("0x0000002a")
        await deck.say("/", "nonsense")
        await deck.sees("fingerprint: give a decimal number")
        assert len(labels(deck.lines)) == 5


async def test_enter_opens_the_key_under_the_cursor(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.press("3")
        await deck.sees("0x0000002a")
        await deck.press("down", "down", "enter")
        await deck.sees("0xffffffff, decimal 4294967295")


async def test_marked_keys_are_revoked_together(business: str) -> None:
    async with console(business) as deck:
        await deck.press("3")
        await deck.sees("0x0000002a")
        await deck.press("down", "down", "space", "down", "space")
        assert [label for line in deck.lines if "●0x" in line for label in [line[2:12]]] == ["0xffffffff", "0x0000002b"]
        await deck.sees("2 marked, ctrl+\\ unmarks")
        await deck.press("up", "up", "ctrl+r")
        await deck.sees("Revoke 2 keys", "0xffffffff (seal): live → revoked", "0x0000002b (seal): live → revoked")
        await deck.type("leaked")
        await deck.press("tab")
        await deck.type("revoke 2")
        await deck.press("tab", "tab", "enter")
        await deck.sees("Revoked 0x0000002b, 0xffffffff at")
        await deck.until(lambda: sum(" revoked " in line for line in deck.lines[1:]) >= 3, "both rows say revoked")
        await deck.sees_no(" marked, ", "●0x")  # what is done is not done again with the next key
    assert live_keys(business) == {42, 77, PASTED}
    (row,) = audit_rows(business)
    assert sorted(row["subjects"]) == ["key:4294967295", "key:43"]


async def test_what_a_small_dialog_has_no_room_for_is_a_page_further(business: str) -> None:
    async with console(business, size=(80, 24)) as deck:
        await deck.press("3")
        await deck.sees("0x0000002a")
        await deck.press("home", "space", "end", "ctrl+space", "ctrl+r")
        await deck.sees("Revoke 5 keys", "Why? It goes on record.", "Type revoke 5 to go on.", "Cancel")
        for _ in range(100):  # what is at stake is asked of the log, and comes a little later
            await deck.press("pagedown")
            if "0xffffffff: no request" in deck.text:
                break
            await deck.settle()
        await deck.sees("0xffffffff: no request in the last 15 min.", "Cancel")
        for _ in range(4):
            await deck.press("pagedown")
        await deck.sees(f"0x{PASTED:08x} (seal): live → revoked", "0xffffffff (seal): live → revoked")  # all of them
        for _ in range(5):
            await deck.press("pageup")
        await deck.sees("… and 2 more, see pagedown.", "0x0000004d (seal): live → revoked", "0x0000002a (seal)")


async def test_keys_of_several_customers_can_be_revoked_together(business: str) -> None:
    async with console(business) as deck:
        await deck.press("3")
        await deck.sees("0x0000002a")
        await deck.press("home", "space", "end", "ctrl+space", "ctrl+r")
        await deck.sees("Revoke 5 keys", "Customers 7, 4294967295 have no other live key.", "… and 2 more.")
        await deck.type("breach")
        await deck.press("tab")
        await deck.type("revoke 5")
        await deck.press("tab", "tab", "enter")
        await deck.sees("Revoked 0x")
    assert live_keys(business) == set()

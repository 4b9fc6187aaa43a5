import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult

from widgets.ring_log import RingLog
from widgets.tone import Palette, Tone, clean, cut, fit, inked


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[2Jevil", "·[2Jevil"),
        ("\x9b2J", "·2J"),  # the one-byte escape of the C1 set
        ("a\tb\r\nc\x00\x7f", "a·b··c··"),
        ("user\u202egnp.exe", "user·gnp.exe"),
        ("a\u200bb\ufeffc", "a·b·c"),
        ("1\u00a0204", "1 204"),
        ("日本語 é", "日本語 é"),
    ],
)
def test_clean_leaves_nothing_that_could_drive_a_terminal(raw: str, shown: str) -> None:
    assert clean(raw) == shown


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [("abcdef", 6, "abcdef"), ("abcdef", 5, "abcd…"), ("日本語", 4, "日…"), ("日本語", 5, "日本…"), ("ab", 0, "")],
)
def test_cut_counts_cells_not_characters(text: str, width: int, shown: str) -> None:
    assert cut(text, width) == shown


@pytest.mark.parametrize("text", ["", "abc", "日本語日本語", "a\x1bb", "abcdefghij"])
@pytest.mark.parametrize("width", range(8))
def test_fit_is_exactly_as_wide_as_asked(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) == width
    assert cell_len(fit(text, width, "right")) == width


class ToneApp(App[None]):
    def compose(self) -> ComposeResult:
        yield RingLog[str](lambda row, width: [(row, Tone.PLAIN)])


async def test_inked_joins_neighbours_of_one_tone_and_fills_the_line() -> None:
    app = ToneApp()
    async with app.run_test():
        palette = Palette.of(app.query_one(RingLog))
    spans = [("a", Tone.PLAIN), ("b", Tone.PLAIN), ("c", Tone.BAD), ("d", Tone.BAD), ("日日", Tone.PLAIN)]
    wide = inked(spans, 12, palette)
    assert [segment.text for segment in wide] == ["ab", "cd", "日日    "]
    assert inked(spans, 5, palette).text == "abcd "  # half of a wide character is a space
    assert inked(spans, 3, palette).text == "abc"
    assert inked([], 4, palette).text == "    "
    assert inked(spans, 0, palette).text == ""
    # An empty span changes nothing, not even the tone of the blank end.
    assert list(inked([("a", Tone.PLAIN), ("", Tone.BAD), ("b", Tone.PLAIN), ("", Tone.GOOD)], 4, palette)) == [
        *inked([("ab", Tone.PLAIN)], 4, palette)
    ]


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "ansi-dark", "ansi-light"])
async def test_every_theme_tells_good_from_bad_and_bad_without_colour(theme: str) -> None:
    app = ToneApp()
    async with app.run_test() as pilot:
        app.theme = theme
        await pilot.pause()
        tones = Palette.of(app.query_one(RingLog)).tones
    assert tones[Tone.GOOD].color != tones[Tone.BAD].color
    assert tones[Tone.BAD].bold
    assert tones[Tone.DIM].dim
    assert not tones[Tone.GOOD].bold

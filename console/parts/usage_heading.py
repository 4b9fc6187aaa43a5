"""The two lines that head the usage screen: which window and filter, and by what its biggest are ranked."""

from rich.text import Text

from console.usage_words import counted_in, window_words
from db.source import USAGE_SPANS, Top, TopBy, Usage, UsageQuestion


def question_line(question: UsageQuestion, usage: Usage | None) -> Text:
    """The windows to choose from with the one chosen, the filter, and what was read once it was."""
    line = Text()
    words = dict.fromkeys((*USAGE_SPANS, question.window_word))
    for word in words:
        line.append(f" {word} ", "reverse" if question.window_word == word else "")
    chips = "  ".join(f"[{chip}]" for chip in question.wanted.chips())
    line.append(f"   {chips}   ctrl+l shows all" if chips else "   all")
    if usage is not None:
        line.append(f" · {window_words(usage)}")
        if usage.behind is not None:
            line.append(f"   ! rollups end at {usage.behind:%m-%d %H:%M}: run roll-up-traffic", "bold")
    return line


def ranking_line(by: TopBy, found: Top | str | None) -> Text:
    """What can be ranked with what is; then how many there are, or why that is not known. None: nothing was read."""
    line = Text("top by", "dim")
    for other in TopBy:
        line.append(" ")
        line.append(f" {other} ", "reverse" if other is by else "")
    if found is not None:
        words = found if isinstance(found, str) else f"{found.count:,} in all   {counted_in(found)}"
        line.append(f"   {words}")
    return line

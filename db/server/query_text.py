"""The text of other people's statements, without what may be secret in it."""

import re

_SHORT = 600
LONG = 4000  # of what the server told
_LITERALS = re.compile(
    r"""
    \b[Ee]'(?:[^'\\]|\\.|'')*(?:'|\Z)        # E'it\'s'
    | '(?:[^']|'')*(?:'|\Z)                  # 'it''s'; one that the server cut off has no end
    | \$([A-Za-z_]\w*)?\$.*?(?:\$\1\$|\Z)    # $tag$ ... $tag$
    """,
    re.VERBOSE | re.DOTALL,
)
_LONG_WORD = re.compile(r"[A-Za-z0-9+/=]{32,}")  # a key, a token or a digest that stands outside quotes


def masked(text: str, most: int = _SHORT) -> str:
    """On one line, with every literal as '…' and every long word as …, and cut: how it goes, not what it is about."""
    hidden = _LONG_WORD.sub("…", _LITERALS.sub("'…'", text[:LONG]))
    line = " ".join(hidden.split())
    return line if len(line) <= most else line[: most - 1] + "…"

"""What an operation changed, field by field."""

import json
from typing import Any, cast

from console.parts.subjects import subject_words
from widgets.facts import Fact
from widgets.tone import Tone

_MOST = 200  # fields: an entry about 500 keys has more than anybody reads


def field_diff(before: dict[str, Any] | None, after: dict[str, Any] | None) -> list[Fact]:
    """A line for each field that was changed, set or taken away, under its subject."""
    facts: list[Fact] = []
    old, new = before or {}, after or {}
    for subject in dict.fromkeys((*old, *new)):
        fields = _fields(old.get(subject)), _fields(new.get(subject))
        for field in dict.fromkeys((*fields[0], *fields[1])):
            line = _line(fields[0].get(field), fields[1].get(field), was=bool(fields[0]))
            facts += [(f"{subject_words(subject)} {field}".rstrip(), line)] if line else []
    if len(facts) > _MOST:
        return [*facts[:_MOST], ("…", f"and {len(facts) - _MOST} more", Tone.DIM)]
    return facts


def _fields(value: Any) -> dict[str, Any]:
    """By name; what is no object is one field without a name."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    return {} if value is None else {"": value}


def _line(old: Any, new: Any, *, was: bool) -> str:
    if not was:
        return _text(new)  # nothing before: what was done, not what was changed
    return "" if old == new else f"{_text(old)} → {_text(new)}"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

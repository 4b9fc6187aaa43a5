"""stdout is data, stderr is narration."""

import dataclasses
import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.moments import rfc3339, span

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, timedelta):
        return span(value)
    if isinstance(value, (date, UUID, Decimal)):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no JSON form")


def to_json(value: Any, *, indent: int | None = 2) -> str:
    """Dataclasses become objects, times RFC 3339, spans 2h, decimals and ids text."""
    return json.dumps(value, default=_plain, indent=indent, ensure_ascii=False)


def emit(text: str) -> None:
    """One piece of data on stdout."""
    sys.stdout.write(text + "\n")


def narrate(text: str) -> None:
    """One line for the person at the terminal, on stderr."""
    sys.stderr.write("\n".join(_CONTROL.sub("·", line) for line in text.split("\n")) + "\n")
    sys.stderr.flush()


def cell(value: Any) -> str:
    """A value in a text table. Control characters are shown as dots: a path may hold an escape sequence."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return _CONTROL.sub("·", str(value))


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Columns padded to their widest cell."""
    cells = [list(headers), *([cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )

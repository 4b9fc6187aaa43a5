"""Filters this operator keeps by name: `:save errors`, then `/@errors` and `opsdeck tail --saved errors`.

They stay in one small file of this operator. It holds what a filter says in words, so never a full key.
"""

import fcntl
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from console.settings import configuration_folder
from db.source import FilterError, RequestFilter, begins_like_key, parse_request_filter

_HEAD = (
    "# Filters saved with :save in opsdeck. It writes this file anew each time; comments are not kept.\n\n[filters]\n"
)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


class SavedFilterError(ValueError):
    """Why a filter cannot be saved, found or read: one sentence."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    filters: dict[str, str] = Field(default_factory=dict)


def filters_path() -> Path:
    """opsdeck/filters.toml in the user's configuration folder."""
    return configuration_folder() / "filters.toml"


def saved_filters() -> dict[str, str]:
    """What is saved: names in order, and each filter in words. Raises SavedFilterError."""
    return {name: _in_words(name, text) for name, text in sorted(_read().items())}


def find_filter(name: str) -> RequestFilter:
    """The filter of that name. Raises SavedFilterError."""
    saved = _read()
    wanted = _checked(name)
    if wanted not in saved:
        known = ", ".join(sorted(saved)) or "none yet; :save NAME keeps the filter on screen"
        raise SavedFilterError(f"no filter is saved as {wanted}; there are: {known}")
    return _parsed(wanted, saved[wanted])


def read_filter(text: str) -> RequestFilter:
    """A filter as typed, where @NAME stands for a saved one. Raises ValueError with one sentence."""
    words: list[str] = []
    for word in text.split():
        words += find_filter(word[1:]).chips() if word.startswith("@") else (word,)
    return parse_request_filter(" ".join(words))


def save_filter(name: str, wanted: RequestFilter) -> str | None:
    """Keeps a filter, and returns what the name stood for before. Raises SavedFilterError."""
    name = _checked(name)
    if not wanted.asked:
        raise SavedFilterError("all requests are shown: there is no filter to save; / narrows first")
    with _changing() as saved:
        before = saved.get(name)
        saved[name] = " ".join(wanted.chips())
    return before


def delete_filter(name: str) -> None:
    """Forgets a filter; one that is not there is no error. Raises SavedFilterError."""
    with _changing() as saved:
        saved.pop(name, None)


def _checked(name: str) -> str:
    name = name.strip().lower()
    if not name:
        raise SavedFilterError("give the filter a name, such as :save errors")
    if begins_like_key(name) or not _NAME.fullmatch(name):
        raise SavedFilterError("a filter's name has up to 32 letters, digits, - and _, such as slow-seal")
    return name


def _parsed(name: str, text: str) -> RequestFilter:
    try:
        return parse_request_filter(text)
    except FilterError as error:
        raise SavedFilterError(f"the filter saved as {name} cannot be read: {error}") from None


def _in_words(name: str, text: str) -> str:
    """As it was saved, or why it cannot be read: a hand may have written anything there, even a key."""
    try:
        return " ".join(_parsed(name, text).chips())
    except SavedFilterError as error:
        return str(error)


def _read() -> dict[str, str]:
    path = filters_path()
    try:
        return dict(_File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).filters)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SavedFilterError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError):
        raise SavedFilterError(
            f'{path} is not a file of saved filters ([filters], then name = "status:5xx"); mend it or move it away'
        ) from None


@contextmanager
def _changing() -> Generator[dict[str, str]]:
    """The saved filters, written back at the end. Consoles of one operator take turns; a file that cannot be read is
    left as it is."""
    path = filters_path().resolve()  # the file itself where its place holds a link
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            saved = _read()
            yield saved
            _write(path, saved)
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise SavedFilterError(f"{path} cannot be written: {error.strerror}") from None


def _write(path: Path, saved: dict[str, str]) -> None:
    # A JSON string is a TOML string; chips hold no control characters.
    lines = [f"{json.dumps(name)} = {json.dumps(text, ensure_ascii=False)}\n" for name, text in sorted(saved.items())]
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=".filters-")  # 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_HEAD + "".join(lines))
            file.flush()
            os.fsync(descriptor)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise

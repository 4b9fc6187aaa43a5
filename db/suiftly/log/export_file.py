"""The file of an export: its formats, pseudonyms, and that it is there whole or not at all."""

import csv
import fcntl
import hmac
import io
import json
import os
import stat
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from secrets import token_bytes
from tempfile import mkstemp
from time import time
from typing import Any, TextIO

from db.errors import Refused
from db.suiftly.log.record import COLUMNS

_BEGINNING, _END = ".opsdeck-export-", ".part"  # of the name of a file that is not whole yet
_LOCKED_S = 60.0  # by then it surely is


class Format(StrEnum):
    """`json` is one document, a list of objects; `jsonl` one object a line."""

    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"

    @property
    def opening(self) -> str:
        """What stands before the first record."""
        return {Format.CSV: _csv([COLUMNS]), Format.JSON: "["}.get(self, "")

    @property
    def closing(self) -> str:
        """What stands behind the last one."""
        return "\n]\n" if self is Format.JSON else ""

    def text(self, records: Sequence[dict[str, Any]], *, first: bool) -> str:
        """Some records, at least one; `first` when none was written before them."""
        if self is Format.CSV:
            return _csv(record.values() for record in records)
        objects = [json.dumps(record, ensure_ascii=False) for record in records]
        if self is Format.JSONL:
            return "\n".join(objects) + "\n"
        return ("\n" if first else ",\n") + ",\n".join(objects)


def _csv(lines: Iterable[Iterable[object]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(lines)
    return buffer.getvalue()


class Disguise:
    """Pseudonyms by a key that is thrown away with this object: alike within one export, in no two the same."""

    def __init__(self) -> None:
        self._key = token_bytes(32)

    def over(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record with customer and key replaced; where there is none, it stays so."""
        return record | {
            "customer_id": self._pseudonym("customer", record["customer_id"]),
            "api_key_fp": self._pseudonym("key", record["api_key_fp"]),
        }

    def _pseudonym(self, kind: str, value: int | None) -> str | int | None:
        if not value:
            return value
        return f"{kind}-{hmac.digest(self._key, f'{kind}:{value}'.encode(), 'sha256')[:6].hex()}"


def usable(path: Path) -> Path:
    """The absolute path of a file to be made. Raises Refused when there is one, or no folder to write it to."""
    try:
        path = path.expanduser().absolute()
    except RuntimeError:
        raise Refused(f"{path} names the home of somebody who is not known here") from None
    if os.path.lexists(path):
        raise Refused(f"{path} exists already; name another file")
    if not path.parent.is_dir():
        raise Refused(f"{path.parent} is no folder; name a file in one that exists")
    if not os.access(path.parent, os.W_OK):
        raise Refused(f"{path.parent} cannot be written to; name a file in another folder")
    return path


@contextmanager
def whole_or_nothing(path: Path) -> Generator[TextIO]:
    """A file beside `path`, of mode 0600, that takes this name once the block is through, and else is gone.

    What a process that was killed has left in the folder goes first. Raises Refused when it cannot be written.
    """
    part: Path | None = None
    try:
        _sweep(path.parent)
        handle, name = mkstemp(dir=path.parent, prefix=_BEGINNING, suffix=_END)
        part = Path(name)
        with open(handle, "w", encoding="utf-8", errors="replace", newline="") as file:  # noqa: PTH123 - of a handle
            with suppress(OSError):  # a file system without locks: what is left there stays
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file
            file.flush()
            part.rename(usable(path))
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}; nothing is left of it") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Removes files of ours that are not whole and never will be: the kernel has let go of their locks."""
    for part in folder.glob(f"{_BEGINNING}*{_END}"):
        with suppress(OSError):
            known = part.lstat()
            ours = known.st_uid == os.geteuid() and stat.S_ISREG(known.st_mode)
            if ours and time() - known.st_mtime > _LOCKED_S:
                with part.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    part.unlink()

"""Filters kept by name: what the file holds, what it never holds, and that it is never lost."""

import os
from multiprocessing import get_context
from pathlib import Path

import pytest

from console.saved_filters import (
    SavedFilterError,
    delete_filter,
    filters_path,
    find_filter,
    read_filter,
    save_filter,
    saved_filters,
)
from db.source import RequestFilter, parse_request_filter
from tests.console.conftest import PASTED, PASTED_KEY

ERRORS = parse_request_filter("status:5xx !class:burst")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "opsdeck"


def test_what_is_saved_is_found_listed_and_deleted() -> None:
    assert saved_filters() == {}
    assert save_filter("Errors", ERRORS) is None
    assert save_filter("a-b_1", parse_request_filter(r'path:/"q\u0041ü customer:42,none')) is None
    assert saved_filters() == {"a-b_1": 'customer:none,42 path:/"q\\u0041ü', "errors": "status:5xx !class:burst"}
    assert find_filter("ERRORS") == ERRORS
    assert save_filter("errors", parse_request_filter("404")) == "status:5xx !class:burst"
    assert find_filter("errors") == parse_request_filter("404")
    delete_filter("errors")
    delete_filter("errors")
    assert list(saved_filters()) == ["a-b_1"]


def test_a_name_behind_an_at_sign_stands_for_its_words() -> None:
    save_filter("errors", ERRORS)
    assert read_filter("@errors customer:7") == parse_request_filter("customer:7 status:5xx !class:burst")
    assert read_filter("status:404") == parse_request_filter("status:404")
    with pytest.raises(ValueError, match=r"^status: given twice"):
        read_filter("@errors status:404")
    with pytest.raises(SavedFilterError, match=r"^no filter is saved as slow; there are: errors$"):
        read_filter("@slow")


def test_the_file_is_the_operators_alone_and_holds_no_key(folder: Path) -> None:
    umask = os.umask(0)
    try:
        save_filter("leak", parse_request_filter(f"key:{PASTED_KEY}"))
    finally:
        os.umask(umask)
    assert filters_path() == folder / "filters.toml"
    assert filters_path().stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    text = filters_path().read_text(encoding="utf-8")
    assert f'"leak" = "key:0x{PASTED:08x}"' in text
    assert PASTED_KEY not in text
    assert [path.name for path in folder.iterdir()] == ["filters.toml"]


@pytest.mark.parametrize("name", ["", " ", "two words", "ü", "-x", "x" * 33, "../x", PASTED_KEY, PASTED_KEY[:20]])
def test_a_name_that_cannot_be_one_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(SavedFilterError) as caught:
        save_filter(name, ERRORS)
    assert not name.strip() or name not in str(caught.value)
    assert saved_filters() == {}


def test_no_filter_is_not_saved() -> None:
    with pytest.raises(SavedFilterError, match="there is no filter to save"):
        save_filter("all", RequestFilter())


BROKEN = (b"[filters\n", b"\xff\xfe", b"[filters]\nerrors = 5\n", b'[other]\nx = "y"\n', b"filters = 3\n")


@pytest.mark.parametrize("content", BROKEN)
def test_a_file_that_cannot_be_read_is_told_in_one_sentence_and_stays(folder: Path, content: bytes) -> None:
    folder.mkdir()
    filters_path().write_bytes(content)
    for attempt in (saved_filters, lambda: find_filter("x"), lambda: save_filter("x", ERRORS)):
        with pytest.raises(SavedFilterError, match="is not a file of saved filters") as caught:
            attempt()
        assert "\n" not in str(caught.value)
    assert filters_path().read_bytes() == content


def test_one_filter_that_cannot_be_read_spoils_no_other(folder: Path) -> None:
    folder.mkdir()
    filters_path().write_text(f'[filters]\nfine = "5xx"\nodd = "colour:red"\nbad = "key:{PASTED_KEY}A"\n')
    listed = saved_filters()
    assert listed["fine"] == "status:5xx"
    assert listed["odd"].startswith("the filter saved as odd cannot be read: colour:red: not understood")
    assert PASTED_KEY[:12] not in listed["bad"]
    save_filter("new", ERRORS)
    assert 'odd" = "colour:red"' in filters_path().read_text()
    with pytest.raises(SavedFilterError, match="odd cannot be read"):
        find_filter("odd")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "opsdeck").write_text("in the way")
    with pytest.raises(SavedFilterError, match=r"cannot be (written|read)"):
        save_filter("errors", ERRORS)


def test_a_link_in_the_files_place_stays_a_link(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    filters_path().symlink_to(tmp_path / "elsewhere.toml")
    save_filter("errors", ERRORS)
    assert filters_path().is_symlink()
    assert "errors" in (tmp_path / "elsewhere.toml").read_text()


def _save_many(number: int) -> None:
    for each in range(10):
        save_filter(f"c{number}-{each}", ERRORS)


def test_two_consoles_that_save_at_once_lose_nothing() -> None:
    context = get_context("spawn")
    savers = [context.Process(target=_save_many, args=(number,)) for number in range(2)]
    for saver in savers:
        saver.start()
    for saver in savers:
        saver.join(60)
    assert len(saved_filters()) == 20

"""Exports: every row once in each format, a file that is whole or not there, nothing in it that was not asked for."""

import asyncio
import csv
import json
import os
import random
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from db.audit import Actor, Audit
from db.database import Database
from db.errors import DatabaseError, Refused
from db.suiftly.log.export import Export, Exported, Progress, export
from db.suiftly.log.export_file import Format, whole_or_nothing
from db.suiftly.log.filter import RequestFilter, parse
from db.suiftly.log.record import COLUMNS
from db.suiftly.log.requests import Requests
from tests.db.seed import CUSTOMER, OTHER_CUSTOMER, add_request
from tests.db.suiftly.log_traffic import ALL, a_row, in_table, write

ANN = Actor("ann", "198.51.100.7")
NOW = datetime.now(UTC)
_READERS: dict[Format, Callable[[str], list[dict[str, Any]]]] = {
    Format.CSV: lambda text: list(csv.DictReader(text.splitlines(keepends=True))),
    Format.JSON: json.loads,
    Format.JSONL: lambda text: [json.loads(line) for line in text.splitlines()],
}


async def exported(
    database: Database,
    path: Path,
    wanted: RequestFilter = ALL,
    *,
    tell: Callable[[Progress], None] = print,
    **more: Any,
) -> Exported:
    cursor = (await Requests(database).begin(wanted, recent=0)).cursor
    span = {"start": NOW - timedelta(hours=3), "end": datetime.now(UTC) + timedelta(minutes=1)}
    order = Export(cursor, path, **({"format": Format.JSONL} | span | more))
    return await export(database, order, actor=ANN, tell=tell)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def rows(path: Path, format_: Format = Format.JSONL) -> list[dict[str, Any]]:
    return _READERS[format_](path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("format_", Format)
async def test_every_row_of_the_filter_is_in_the_file_once_and_nobody_else_may_read_it(
    dsn: str, database: Database, tmp_path: Path, format_: Format
) -> None:
    randomness = random.Random(3)
    write(dsn, [a_row(randomness, n, NOW - timedelta(seconds=n / 3)) for n in range(12_345)])
    path = tmp_path / f"log.{format_}"
    told: list[Progress] = []
    done = await exported(database, path, RequestFilter(service=(1, 2)), tell=told.append, format=format_)
    found = rows(path, format_)
    expected = in_table(dsn, "service_type IN (1, 2)")
    assert Counter(int(row["bytes_sent"]) for row in found) == expected
    assert done.rows == len(found) == told[-1].rows
    assert {tuple(row) for row in found} == {COLUMNS}
    assert [row["timestamp"] for row in found] == sorted(row["timestamp"] for row in found)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == [path.name]
    assert [progress.share for progress in told] == sorted(progress.share for progress in told)
    assert told[-1].share == 1.0
    assert told[0].share == pytest.approx(told[0].rows / done.rows, abs=0.05)  # as no row is of the first two hours


@pytest.mark.parametrize("format_", Format)
async def test_an_export_without_rows_is_a_file_that_can_be_read(
    database: Database, tmp_path: Path, format_: Format
) -> None:
    path = tmp_path / "none"
    done = await exported(database, path, format=format_)
    assert (done.rows, rows(path, format_)) == (0, [])


async def test_what_a_client_chose_comes_back_as_it_was(dsn: str, database: Database, tmp_path: Path) -> None:
    hostile = 'a,"\n\x1b[2J\u202eé'
    add_request(dsn, path_prefix=hostile)
    for format_ in Format:
        await exported(database, tmp_path / format_, format=format_)
        (row,) = rows(tmp_path / format_, format_)
        assert row["path_prefix"] == hostile


async def test_addresses_are_masked_unless_somebody_says_why_and_that_is_on_record_first(
    dsn: str, database: Database, tmp_path: Path
) -> None:
    add_request(dsn, client_ip="203.0.113.77", customer_id=7)
    await exported(database, tmp_path / "masked", parse("customer:7 ip:203.0.113.0/24"))
    assert "113" not in (tmp_path / "masked").read_text().partition("client_ip")[2].partition(",")[0]
    with pytest.raises(Refused, match="reason"):
        await exported(database, tmp_path / "no", addresses=True, reason=" ")
    done = await exported(database, tmp_path / "open", parse("key:42"), addresses=True, reason="abuse case 7")
    assert [row["client_ip"] for row in rows(tmp_path / "open")] == ["203.0.113.77"]
    assert "readable" in done.sentence
    second, release, first = (await Audit(database).page()).rows
    assert (first.action, first.subjects, first.reason) == ("export-requests", ("customer:7",), "")
    assert first.after is not None
    assert first.after["export"] | {"from": 0, "to": 0} == {
        "file": str(tmp_path / "masked"), "format": "jsonl", "filter": "customer:7 ip:203.0.x.x", "from": 0, "to": 0,
        "rows": 1, "client_addresses": "masked", "identities": "as logged",
    }  # fmt: skip
    assert (release.action, release.subjects, release.reason) == ("reveal-address", ("key:42",), "abuse case 7")
    assert (second.action, second.operation_id, second.os_user) == ("export-requests", done.operation_id, "ann")
    assert "203.0.113" not in json.dumps([row.after for row in (second, release, first)]).replace(str(tmp_path), "")
    assert names(tmp_path) == ["masked", "open"]


async def test_pseudonyms_are_stable_within_a_file_and_different_in_the_next(
    dsn: str, database: Database, tmp_path: Path
) -> None:
    for customer, key in ((CUSTOMER, 42), (CUSTOMER, 43), (OTHER_CUSTOMER, 42), (None, 0)):
        add_request(dsn, customer_id=customer, api_key_fp=key)
    seen: list[set[str]] = []
    for name in ("one", "two"):
        done = await exported(database, tmp_path / name, anonymise=True)
        assert "pseudonyms" in done.sentence
        found = rows(tmp_path / name)
        people = [row["customer_id"] for row in found]
        keys = [row["api_key_fp"] for row in found]
        assert people[0] == people[1] != people[2]
        assert keys[0] == keys[2] != keys[1]
        assert (people[3], keys[3]) == (None, 0)
        assert str(CUSTOMER) not in (tmp_path / name).read_text()
        assert {row["client_ip"] for row in found} == {"203.0.x.x"}
        seen.append({*people[:3], *keys[:3]})
    assert not seen[0] & seen[1]
    with pytest.raises(Refused, match="anonymised"):
        await exported(database, tmp_path / "both", anonymise=True, addresses=True, reason="abuse case 7")


async def test_a_file_that_is_there_already_is_never_touched(dsn: str, database: Database, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("mine")
    with pytest.raises(Refused, match="exists already"):
        await exported(database, path)
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(Refused, match="exists already"):
        await exported(database, path)
    path.unlink()
    add_request(dsn)
    with pytest.raises(Refused, match="exists already"):
        await exported(database, path, tell=lambda _: path.write_text("made meanwhile") and None)
    assert path.read_text() == "made meanwhile"
    assert names(tmp_path) == [path.name]
    with pytest.raises(Refused, match="is no folder"):
        await exported(database, tmp_path / "no" / "folder")
    with pytest.raises(Refused, match="home of somebody"):
        await exported(database, Path("~nobody-of-that-name/log"))


@pytest.mark.parametrize("after", range(0, 12, 3))
async def test_whatever_ends_it_leaves_nothing(dsn: str, database: Database, tmp_path: Path, after: int) -> None:
    randomness = random.Random(4)
    write(dsn, [a_row(randomness, n, NOW - timedelta(seconds=n)) for n in range(6_000)])
    for kind in (asyncio.CancelledError, DatabaseError):
        told = 0

        def end(progress: Progress, kind: type[BaseException] = kind) -> None:
            nonlocal told
            told += 1
            parts = list(tmp_path.iterdir())
            assert len(parts) == 1
            assert parts[0].name.startswith(".opsdeck-export-")
            assert stat.S_IMODE(parts[0].stat().st_mode) == 0o600
            if told > after or progress.share == 1.0:
                raise kind

        with pytest.raises(kind):
            await exported(database, tmp_path / "log", tell=end)
        assert told
        assert names(tmp_path) == []
    assert (await Audit(database).page()).rows == ()


async def test_an_empty_span_is_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no time between"):
        await exported(database, tmp_path / "log", start=NOW, end=NOW)
    assert names(tmp_path) == []


_KILLED = """
import os, pathlib, sys
from db.suiftly.log.export_file import whole_or_nothing
with whole_or_nothing(pathlib.Path(sys.argv[1])) as file:
    print("begun", file=file, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_export_left_goes_with_the_next_and_one_under_way_stays(tmp_path: Path) -> None:
    strange = tmp_path / ".opsdeck-export-folder.part"
    strange.mkdir()
    subprocess.run([sys.executable, "-c", _KILLED, tmp_path / "killed.csv"], check=False)
    [left] = [path for path in tmp_path.iterdir() if path != strange]
    assert left.read_text() == "begun\n"
    with whole_or_nothing(tmp_path / "running.csv") as running:
        assert left.exists(), "it may be about to begin"
        for path in tmp_path.iterdir():
            os.utime(path, (0, 0))
        with whole_or_nothing(tmp_path / "next.csv"):
            assert not left.exists()
        print("all of it", file=running)
    assert names(tmp_path) == [strange.name, "next.csv", "running.csv"]
    assert (tmp_path / "running.csv").read_text() == "all of it\n"

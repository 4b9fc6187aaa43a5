"""Lines on the normal screen, for the terminal's own selection: the console steps aside until it is called back."""

import asyncio
import os
import sys
import termios
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from textual.app import App

_BACK = frozenset(b"\r\n\x1bq\x03")


async def show_plainly(app: App[Any], lines: Sequence[str]) -> None:
    """Prints the lines where the shell's own output is, and waits for enter. Raises Textual's SuspendNotSupported.

    The console's work goes on meanwhile, an operation's too; only painting waits.
    """
    with app.batch_update():
        with app.suspend():
            sys.stdout.write("\n".join((*lines, "", "enter goes back to opsdeck ")))
            sys.stdout.flush()
            with _keys_unechoed():
                await _called_back()
            sys.stdout.write("\n")
            sys.stdout.flush()
        app.refresh(layout=True)


@contextmanager
def _keys_unechoed() -> Generator[None]:
    """Keys come one by one, ctrl+c as a key like others: it would end the console."""
    keyboard = sys.__stdin__.fileno() if sys.__stdin__ else 0
    before = termios.tcgetattr(keyboard)
    attributes = termios.tcgetattr(keyboard)
    attributes[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG)
    termios.tcsetattr(keyboard, termios.TCSADRAIN, attributes)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


async def _called_back() -> None:
    """Until one of the keys that go back is pressed, or the terminal is gone."""
    keyboard = sys.__stdin__.fileno() if sys.__stdin__ else 0
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def pressed() -> None:
        try:
            typed = os.read(keyboard, 1024)
        except OSError:
            typed = b""
        if not typed or _BACK & set(typed):
            done.set()

    loop.add_reader(keyboard, pressed)
    try:
        await done.wait()
    finally:
        loop.remove_reader(keyboard)

"""Rows leave the console: into the clipboard, or onto the normal screen for the terminal's own selection."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from textual.app import App, SuspendNotSupported

from console.clipboard import Route, refusal
from console.plain import show_plainly


class Taking:
    """What screens hand lines to. It tells the operator which way they went."""

    def __init__(self, app: App[Any], clipboard: str) -> None:
        self._app = app
        self._route = Route.told(clipboard)

    def copy(self, lines: Sequence[str], what: str = "") -> None:
        """Lines as they are shown, to the operator's own clipboard. `what` they are, unless they are rows."""
        text = "\n".join(lines)
        if not lines:
            self._app.notify("There is no row under the cursor.", title="Nothing was copied", timeout=5)
        elif why := refusal(text, self._route):
            self._app.notify(why, title="Nothing was copied", severity="warning", timeout=10, markup=False)
        else:
            self._app.copy_to_clipboard(text)
            what = what or ("1 row" if len(lines) == 1 else f"{len(lines):,} rows")
            self._app.notify(f"Copied {what} {self._route.words}.", timeout=6, markup=False)

    def show(self, lines: Sequence[str]) -> None:
        """Lines on the normal screen, until the operator comes back."""
        self._app.run_worker(partial(self._show, lines), group="plain", exclusive=True)

    async def _show(self, lines: Sequence[str]) -> None:
        try:
            await show_plainly(self._app, lines)
        except SuspendNotSupported:
            self._app.notify("This terminal has no normal screen to show them on.", severity="warning", timeout=8)

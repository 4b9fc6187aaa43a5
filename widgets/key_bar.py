"""The line of keys at the bottom."""

from typing import Any, cast

from textual.app import App, ComposeResult
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Footer


class KeyBar(Footer):
    """Textual's footer, built anew only when it has other keys to show.

    Each time costs 40 ms of CPU, and Textual asks for it at every change of focus, some six times a switch of screens.
    A group, such as the digits, is named by its first key and its last. Where not all have room the groups go first,
    the last of them before the others, then the space between the keys, so that Help is not cut off.
    """

    DEFAULT_CSS = """
    KeyBar KeyGroup.-compact { margin: 0; padding: 0; }
    KeyBar KeyGroup.-compact FooterKey.-grouped { margin: 0 1; }
    KeyBar.-narrow .of-later-group, KeyBar.-narrower .of-group { display: none; }
    """

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)
        self._keys: tuple[tuple[str, str, bool], ...] | None = None

    def compose(self) -> ComposeResult:
        """Of the keys of a group only the first is built, and shows the last beside itself."""
        first: Any = None
        begin, groups = "", 0
        for widget in super().compose():
            key = cast("Any", widget)  # the class of a key is Textual's own
            grouped = widget.has_class("-grouped")
            if grouped and first is not None:
                first.key_display = f"{begin}-{key.key_display}"
                continue
            if grouped:
                first, begin, groups = key, key.key_display, groups + 1
            if first is not None:  # also the name behind the keys
                widget.add_class("of-group", *(("of-later-group",) if groups > 1 else ()))
            first = first if grouped else None
            yield widget

    def bindings_changed(self, screen: Screen[Any]) -> None:
        """Textual says that bindings may have changed."""
        app = cast("App[Any]", self.app)
        if not (self.is_attached and screen is self.screen and app.app_focus):
            return
        keys = tuple(
            (active.binding.key, active.binding.description, active.enabled)
            for active in screen.active_bindings.values()
            if active.binding.show
        )
        if keys != self._keys:
            self._keys = keys
            self._widen()
            super().bindings_changed(screen)  # pyright: ignore[reportUnknownMemberType]

    def on_resize(self) -> None:
        self._widen()

    def _widen(self) -> None:
        self.remove_class("-narrow", "-narrower")
        self.compact = False

    def watch_virtual_size(self, needed: Size) -> None:
        """Known once the keys were laid out."""
        if needed.width > self.size.width > 0:
            several = bool(self.query(".of-later-group"))
            if self.has_class("-narrower"):
                self.compact = True
            else:
                self.add_class("-narrow" if several and not self.has_class("-narrow") else "-narrower")

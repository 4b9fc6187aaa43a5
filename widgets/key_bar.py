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
    so that Help is not cut off.
    """

    DEFAULT_CSS = "KeyBar.-narrow KeyGroup, KeyBar.-narrow FooterLabel { display: none; }"

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)
        self._keys: tuple[tuple[str, str, bool], ...] | None = None

    def compose(self) -> ComposeResult:
        """Of the keys of a group only the first is built, and shows the last beside itself."""
        first: Any = None
        begin = ""
        for widget in super().compose():
            key = cast("Any", widget)  # the class of a key is Textual's own
            if not widget.has_class("-grouped"):
                first = None
            elif first is None:
                first, begin = key, key.key_display
            else:
                first.key_display = f"{begin}-{key.key_display}"
                continue
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
            self.remove_class("-narrow")
            super().bindings_changed(screen)  # pyright: ignore[reportUnknownMemberType]

    def on_resize(self) -> None:
        self.remove_class("-narrow")

    def watch_virtual_size(self, needed: Size) -> None:
        """Known once the keys were laid out."""
        if needed.width > self.size.width > 0:
            self.add_class("-narrow")

"""What the log and the table have in common: lines painted one by one, a cursor, scrolling without animation."""

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events, on
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollDown, ScrollTo, ScrollUp
from textual.strip import Strip
from textual.widget import Widget

from widgets.tone import TONE_CLASSES, Palette, tone_css

_NOTCH = 3  # lines that one notch of the wheel moves


class LineView(ScrollView, can_focus=True, inherit_bindings=False):
    """Turns wheel, scrollbar and clicks into `scroll_asked` and `line_clicked`, which a subclass answers."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"line-view--cursor", *TONE_CLASSES}
    DEFAULT_CSS = """
    LineView { height: 1fr; overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1; }
    LineView > .line-view--cursor {
        background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground; text-style: bold;
    }
    LineView:focus > .line-view--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
    """ + tone_css("LineView")
    ALLOW_SELECT = False  # a drag would select lines that have moved on before the button is up

    _palette: Palette | None = None
    _cursor_style: Style | None = None
    _thumb = (0, 0)

    def scroll_asked(self, y: int) -> None:
        """The reader wants scroll position `y`; it may lie outside of what there is."""
        raise NotImplementedError

    def line_clicked(self, y: int, twice: bool) -> None:
        """The reader clicked the line `y` below the top of the content."""
        raise NotImplementedError

    @property
    def view(self) -> Size:
        """The cells there are for lines; Textual's `size` counts the scrollbar as well."""
        return self.scrollable_size

    def fit_scroll(self, lines: int, y: int) -> None:
        """Tell Textual how many lines there are and which is the first in view; the caller repaints.

        It goes past the watchers, which would lay out and repaint the whole screen because a list has grown.
        """
        # Textual's types say that the attribute may be the value; on the class it is the Reactive.
        self.set_reactive(Widget.virtual_size, Size(self.view.width, lines))  # pyright: ignore[reportArgumentType]
        self.set_reactive(Widget.scroll_target_y, float(y))  # pyright: ignore[reportArgumentType]
        self.set_scroll(None, y)
        height, count = self.view.height, max(1, lines)
        thumb = (height * height * 8 // count, y * height * 8 // count)  # the scrollbar draws eighths of a cell
        if height and thumb != self._thumb:
            self._thumb = thumb
            self.vertical_scrollbar.window_virtual_size = lines
            self.vertical_scrollbar.position = y

    @property
    def palette(self) -> Palette:
        # Textual drops its own style cache at every refresh; resolving eight styles anew each frame shows in top.
        if self._palette is None:
            self._palette = Palette.of(self)
        return self._palette

    @property
    def cursor_style(self) -> Style:
        if self._cursor_style is None:
            self._cursor_style = self.get_component_rich_style("line-view--cursor")
        return self._cursor_style

    def on_cursor(self, strip: Strip) -> Strip:
        """The line in the one style of the cursor: tones on its background would be unreadable in 16 colours."""
        return Strip([Segment(strip.text, self.cursor_style)], strip.cell_length)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._palette = self._cursor_style = None

    def _ask(self, event: events.Event | ScrollTo | ScrollUp | ScrollDown, y: float) -> None:
        event.prevent_default()
        event.stop()
        self.scroll_asked(round(y))

    @on(events.MouseScrollUp)
    def _wheel_up(self, event: events.MouseScrollUp) -> None:
        self._ask(event, self.scroll_offset.y - _NOTCH)

    @on(events.MouseScrollDown)
    def _wheel_down(self, event: events.MouseScrollDown) -> None:
        self._ask(event, self.scroll_offset.y + _NOTCH)

    @on(ScrollTo)
    def _bar_dragged(self, event: ScrollTo) -> None:
        self._ask(event, self.scroll_offset.y if event.y is None else event.y)

    @on(ScrollUp)
    def _bar_clicked_above(self, event: ScrollUp) -> None:
        self._ask(event, self.scroll_offset.y - self.view.height)

    @on(ScrollDown)
    def _bar_clicked_below(self, event: ScrollDown) -> None:
        self._ask(event, self.scroll_offset.y + self.view.height)

    @on(events.Click)
    def _clicked(self, event: events.Click) -> None:
        if (place := event.get_content_offset(self)) is not None:
            self.line_clicked(place.y, twice=event.chain > 1)

"""What an app would write to a terminal, and a terminal that replies or does not."""

from typing import ClassVar

from textual.drivers.headless_driver import HeadlessDriver
from textual.events import CursorPosition

QUERY = "\x1b[6n"


class Recorder(HeadlessDriver):
    """Make a subclass for each test, with `written` of its own, and run the app with `run_test(headless=False)`."""

    written: ClassVar[list[str]]
    replies: ClassVar[bool] = False

    @property
    def is_headless(self) -> bool:
        """Else nothing is written."""
        return False

    def write(self, data: str) -> None:
        self.written.append(data)
        if data == QUERY and self.replies:
            self.process_message(CursorPosition(0, 0))


def recorder(*, replies: bool) -> type[Recorder]:
    """The class for one app."""
    written: list[str] = []
    return type("Recording", (Recorder,), {"written": written, "replies": replies})

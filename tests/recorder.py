"""What an app would write to a terminal."""

from typing import ClassVar

from textual.drivers.headless_driver import HeadlessDriver


class Recorder(HeadlessDriver):
    """Writes into a list. Run the app with `run_test(headless=False)`, else it writes nothing."""

    written: ClassVar[list[str]]

    @property
    def is_headless(self) -> bool:
        """So that the app writes."""
        return False

    def write(self, data: str) -> None:
        """Keeps what was written."""
        self.written.append(data)


def recorder() -> type[Recorder]:
    """The driver of one app, with a list of its own."""
    return type("Recording", (Recorder,), {"written": list[str]()})

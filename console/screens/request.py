"""One request explained in words."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from console.places import Place
from db.source import RequestRow, explain, server_label
from widgets.facts import Facts
from widgets.key_bar import KeyBar
from widgets.timing_bar import Phase, TimingBar
from widgets.tone import Tone

_PHASE_TONES = {
    "request": Tone.NOTICE,
    "queue": Tone.WARN,
    "connect": Tone.ACCENT,
    "response": Tone.GOOD,
    "transfer": Tone.PLAIN,
    "rest": Tone.DIM,
}


class RequestScreen(ModalScreen[Place | None]):
    """What happened, who is to blame, where the time went, every code in words. Answers with a place to go to."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss(None)", "Close", key_display="esc", id="request.close", tooltip="Back"),
        Binding("c", "go('customer')", "Customer", id="request.customer", tooltip="The customer of this request"),
        Binding("y", "go('key')", "Key", id="request.key", tooltip="The key of this request"),
        Binding("s", "go('server')", "Server's log", id="request.server", tooltip="Requests of the same server"),
        Binding("e", "go('event')", "Same event", id="request.event", tooltip="Requests with the same event"),
    ]
    DEFAULT_CSS = """
    RequestScreen { align: center middle; }
    RequestScreen > #box { width: 96%; max-width: 116; height: 94%; background: $surface; border: round $accent; }
    RequestScreen #headline { padding: 0 1; text-style: bold; height: auto; }
    RequestScreen TimingBar { margin: 1 1; }
    RequestScreen VerticalScroll { height: 1fr; }
    """

    def __init__(self, row: RequestRow) -> None:
        super().__init__()
        self.row = row

    def compose(self) -> ComposeResult:
        """Headline, timing, fields."""
        told = explain(self.row)
        phases = tuple(Phase(p.name, p.ms, _PHASE_TONES.get(p.name, Tone.PLAIN)) for p in told.timings)
        with Vertical(id="box"):
            yield Static(f"{told.headline} Blame: {told.blame.value}.", id="headline", markup=False)
            yield TimingBar(phases)
            with VerticalScroll():
                yield Facts(id="fields")
        yield KeyBar()

    def on_mount(self) -> None:
        fields = explain(self.row).fields
        self.query_one(Facts).tell(
            [(f.label, f.value + (f"  {f.explanation}" if f.explanation else "")) for f in fields]
        )
        self.query_one(VerticalScroll).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Links that lead nowhere are not bound."""
        if action != "go":
            return True
        known = {
            "customer": self.row.customer_id is not None,
            "key": self.row.api_key_fp != 0,
            "event": self.row.event_type != 0,
        }
        return known.get(str(parameters[0]), True)

    def action_go(self, kind: str) -> None:
        places = {
            "customer": Place("customer", str(self.row.customer_id)),
            "key": Place("key", str(self.row.api_key_fp)),
            "server": Place("requests", f"server:{server_label(self.row.server_id)}"),
            "event": Place("requests", f"event:{self.row.event_type}"),
        }
        self.dismiss(places[kind])

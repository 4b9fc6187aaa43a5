"""One request explained in words."""

from functools import partial
from typing import ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static

from console.deck import Deck
from console.failures import word
from console.parts.request_line import neighbour_text
from console.places import Place
from db.errors import DatabaseError
from db.source import RequestRow, RevealAddress, Source, explain, server_label
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
    """What happened, who is to blame, where the time went, every code in words, and what the customer did around it.

    Answers with a place to go to. The client address is shown to who may write the audit record, with a reason.
    """

    # No letter that means something else in the log below: what is typed ahead may arrive there.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss(None)", "Close", key_display="esc", id="request.close", tooltip="Back"),
        Binding("c", "go('customer')", "Customer", id="request.customer", tooltip="The customer of this request"),
        Binding("y", "go('key')", "Key", id="request.key", tooltip="The key of this request"),
        Binding("p", "go('server')", "Server's log", id="request.server", tooltip="Requests of the same server"),
        Binding("t", "go('event')", "Same event", id="request.event", tooltip="Requests with the same event"),
        Binding("i", "reveal", "Address", id="request.reveal", tooltip="The client address; goes on record"),
    ]
    DEFAULT_CSS = """
    RequestScreen { align: center middle; }
    RequestScreen > #box { width: 100%; max-width: 116; height: 94%; background: $surface; border: round $accent; }
    RequestScreen #headline { padding: 0 1; text-style: bold; height: auto; }
    RequestScreen TimingBar { margin: 1 1; }
    RequestScreen VerticalScroll { height: 1fr; }
    RequestScreen #around { padding: 0 1; margin-top: 1; color: $text-muted; }
    RequestScreen OptionList { height: auto; max-height: 10; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, source: Source, row: RequestRow) -> None:
        super().__init__()
        self.source = source
        self.row = row
        self._revealed = False
        self._neighbours: list[RequestRow] = []

    @property
    def deck(self) -> Deck:
        """The app, as far as a screen knows it."""
        return cast("Deck", self.app)

    def compose(self) -> ComposeResult:
        """Headline, timing, fields, what was around it."""
        with Vertical(id="box"):
            yield Static("", id="headline", markup=False)
            yield TimingBar()
            with VerticalScroll():
                yield Facts(id="fields")
                yield Static("", id="around", markup=False)
                yield OptionList(compact=True)
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self._show(self.row)

    def _show(self, row: RequestRow) -> None:
        self.row, self._revealed = row, False
        self._tell()
        self.query_one(VerticalScroll).scroll_home(animate=False)
        self.run_worker(partial(self._look_around, row), group="around", exclusive=True)

    def _tell(self) -> None:
        told = explain(self.row, reveal=self._revealed)
        self.query_one("#headline", Static).update(f"{told.headline} Blame: {told.blame.value}.")
        self.query_one(TimingBar).phases = tuple(
            Phase(phase.name, phase.ms, _PHASE_TONES.get(phase.name, Tone.PLAIN)) for phase in told.timings
        )
        self.query_one(Facts).tell(
            [(f.label, f.value + (f"  {f.explanation}" if f.explanation else "")) for f in told.fields]
        )
        self.refresh_bindings()

    async def _look_around(self, row: RequestRow) -> None:
        """Never holds the explanation up: it comes when it is known."""
        heading, options = self.query_one("#around", Static), self.query_one(OptionList)
        self._neighbours = []
        options.clear_options()
        options.display = False
        if row.customer_id is None:
            heading.update("")
            return
        about = f"Customer {row.customer_id} within 5 s of it, the nearest 20 at most"
        heading.update(f"{about}: looking …")
        try:
            found = await self.source.requests.around(row)
        except DatabaseError as error:
            heading.update(f"{about}: {word(error).sentence}")
            return
        if not self.display:  # it was closed meanwhile
            return
        self._neighbours = found
        here = found.index(row)
        others = len(found) - 1
        heading.update(f"{about}: {others or 'no'} other(s)" + ("; tab goes there, enter explains one" * bool(others)))
        options.add_options(
            Text(f"{'›' if number == here else ' '}{neighbour_text(other)}") for number, other in enumerate(found)
        )
        options.highlighted = here
        options.display = bool(others)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.query_one(VerticalScroll).focus()
        self._show(self._neighbours[event.option_index])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Links that lead nowhere are not bound, nor is what this operator may not do."""
        if action == "reveal":
            return self.deck.deck_state.may(RevealAddress) and not self._revealed
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

    def action_reveal(self) -> None:
        row = self.row

        def on_record() -> None:
            if self.is_running and self.row is row:
                self._revealed = True
                self._tell()

        self.deck.performer.start(RevealAddress.of(row), done=on_record)

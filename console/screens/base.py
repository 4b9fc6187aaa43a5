"""What all screens share: one snapshot loaded again and again, the header, the prompt, going places."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any, ClassVar, Generic, TypeVar, cast

from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Static

from console.deck import Deck
from console.failures import Failure
from console.places import Place, hide_key, may_be_key
from console.refresh import Refresh
from console.state import DeckState
from db.source import RequestFilter, Source
from widgets.key_bar import KeyBar
from widgets.prompt import Prompt
from widgets.status_line import Item, StatusLine
from widgets.tone import Tone

Snapshot = TypeVar("Snapshot")
Answer = TypeVar("Answer")

_BESIDE_S = 10.0


class DeckScreen(Screen[None], Generic[Snapshot]):
    """A screen asks `load()` for one frozen snapshot and paints it. A failed load keeps the last one, greyed.

    Textual calls the on_ handlers of subclass and base alike: a subclass adds its own and does not call super().
    """

    topics: ClassVar[frozenset[str]] = frozenset()  # hints that make it load again at once
    period: ClassVar[float | None] = 5.0  # seconds between loads; None: only on hints
    breather: ClassVar[float] = 4.0  # a load may take 1/(1 + breather) of the time
    DEFAULT_CSS = """
    DeckScreen #body { height: 1fr; }
    DeckScreen.stale #body { opacity: 55%; }
    DeckScreen #trouble { display: none; padding: 0 1; background: $panel; color: $text-warning; }
    DeckScreen.stale #trouble { display: block; }
    """

    # always_update: a cleared list must be painted again, also with the rows it had before.
    snapshot: reactive[Snapshot | None] = reactive(None, init=False, repaint=False, always_update=True)
    failure: reactive[Failure | None] = reactive(None, init=False, repaint=False)

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__()
        self.source = source
        self.place = place
        self._trouble = ""
        self._loaded: float | None = None
        self._loaded_at: datetime | None = None
        self._refresh = Refresh(self.load, self._show, self._fail, self.period, self.breather)
        self._beside: list[Refresh[Any]] = []

    @property
    def deck(self) -> Deck:
        """The app, as far as a screen knows it."""
        return cast("Deck", self.app)

    @abstractmethod
    async def load(self) -> Snapshot:
        """Asks the source. Raises the errors of db.errors."""

    @abstractmethod
    def paint(self, snapshot: Snapshot) -> None:
        """Tells the widgets what to show."""

    @abstractmethod
    def compose_body(self) -> ComposeResult:
        """The widgets between header and footer."""

    def compose(self) -> ComposeResult:
        """Header, body, prompt, footer."""
        yield StatusLine(id="status")
        yield Static("", id="trouble", markup=False)
        with Vertical(id="body"):
            yield from self.compose_body()
        yield Prompt(hide_key, may_be_key, id="prompt")
        yield KeyBar()

    def on_mount(self) -> None:
        """Starts loading; a hint, the header's state and the clock reach it from here on."""
        self.deck.live.changed.subscribe(self, self._hinted)
        self.watch(cast("App[Any]", self.app), "deck_state", self._tell_state)
        self.set_interval(1.0, self._tell_state)
        self.run_worker(self._refresh.run(), group="refresh")

    def on_screen_suspend(self) -> None:
        """Nobody looks: no loads."""
        for refresh in (self._refresh, *self._beside):
            refresh.pause()

    def on_screen_resume(self) -> None:
        """Seen again: what is shown is brought up to date at once."""
        for refresh in (self._refresh, *self._beside):
            refresh.resume()

    def reload(self) -> None:
        """Load as soon as possible."""
        for refresh in (self._refresh, *self._beside):
            refresh.wake()

    def ask_beside(
        self, ask: Callable[[], Awaitable[Answer]], told: Callable[[Answer | Failure], None]
    ) -> Refresh[Answer]:
        """Asks somebody else again and again while the screen is seen: one who may take seconds to answer."""

        def tell(answer: Answer | Failure) -> None:
            if self._there:
                told(answer)

        refresh = Refresh(ask, tell, tell, _BESIDE_S)
        self._beside.append(refresh)
        self.run_worker(refresh.run(), group="beside")
        return refresh

    def narrow(self, subject: str) -> None:
        """Shows what a place's subject says; screens without a search ignore it."""

    def on_prompt_entered(self, event: Prompt.Entered) -> None:
        """What was typed behind `/`; a command behind `:` goes on to the app."""
        if event.kind == "narrow":
            event.stop()
            self.enter(self.narrow, event.text)

    def enter(self, take: Callable[[str], None], text: str) -> None:
        """Hands over what was typed. A ValueError is said above the line, which stays open then."""
        try:
            take(text)
        except ValueError as error:
            self.query_one(Prompt).say(str(error))
        else:
            self.query_one(Prompt).close()

    def go(self, kind: str, subject: str = "") -> None:
        """Opens another place. The way there is the app's: on it this screen may be taken down."""
        cast("App[Any]", self.app).run_worker(self.deck.go(Place(kind, subject)), group="going")

    def _hinted(self, topic: str) -> None:
        if topic == "*" or topic in self.topics:
            self.reload()

    @property
    def _there(self) -> bool:
        """False while it is taken down: a load may end, or the clock strike, when the widgets are gone already."""
        return self.is_running and self.display

    def _show(self, snapshot: Snapshot) -> None:
        if not self._there:
            return
        self._loaded, self._loaded_at = monotonic(), datetime.now(UTC)
        self.failure = None
        self.snapshot = snapshot

    def _fail(self, failure: Failure) -> None:
        self.failure = failure

    def watch_snapshot(self, snapshot: Snapshot | None) -> None:
        """One reactive, one painter."""
        if snapshot is not None:
            self.paint(snapshot)
        self._tell_state()

    def watch_failure(self) -> None:
        """A failure shows in the header at once."""
        self._tell_state()

    @property
    def filtered_by(self) -> RequestFilter | None:
        """The filter of the log on screen, which `:save` keeps; None on a screen without one."""
        return None

    @property
    def heading(self) -> str:
        """What the header calls this screen."""
        return self.place.title

    def _tell_state(self) -> None:
        if not self._there:
            return
        state: DeckState = self.deck.deck_state
        trouble = state.link.sentence if state.link is not None and not state.link.up else ""
        if self.failure is not None:
            trouble = self.failure.text
        if trouble != self._trouble:
            self._trouble = trouble
            self.query_one("#trouble", Static).update(trouble)
            self.set_class(bool(trouble), "stale")
        line = self.query_one(StatusLine)
        line.left = (Item("opsdeck", Tone.ACCENT, 6), Item(self.heading), *state.identity())
        line.right = (*self._age(), *state.company(self.place), *state.condition())

    def _age(self) -> tuple[Item, ...]:
        """How old the data is, once it is older than the screen's own rhythm or a load failed."""
        if self._loaded is None or self._loaded_at is None:
            return (Item("nothing loaded yet", Tone.WARN) if self.failure else Item("loading …", Tone.DIM),)
        seconds = int(monotonic() - self._loaded)
        since = f"{self._loaded_at:%H:%M:%S} UTC"
        if not self._trouble and (self.period is None or seconds <= max(2 * self.period, 10)):
            return (Item("live", Tone.DIM, 5),)
        return (Item(f"as of {since}, {seconds} s old", Tone.WARN),)

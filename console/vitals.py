"""The few facts every screen's header tells, read now and then."""

from collections.abc import Callable
from dataclasses import dataclass, field

from console.failures import Failure
from console.refresh import Refresh
from db.source import Source, SystemControl

_PERIOD_S = 15.0


@dataclass(slots=True)
class Vitals:
    """Flags, what this role may do, and how many revoked keys are still served, as last read."""

    source: Source
    tell: "Callable[[Vitals], None]"
    control: SystemControl | None = None
    still_served: int = 0
    _refresh: "Refresh[tuple[SystemControl, int]]" = field(init=False)

    def __post_init__(self) -> None:
        self._refresh = Refresh(self._load, self._show, self._fail, _PERIOD_S)

    async def run(self) -> None:
        """Reads for ever."""
        await self._refresh.run()

    def wake(self) -> None:
        """Read as soon as possible."""
        self._refresh.wake()

    async def _load(self) -> tuple[SystemControl, int]:
        return await self.source.control.read(), await self.source.traffic.still_served()

    def _show(self, read: tuple[SystemControl, int]) -> None:
        self.control, self.still_served = read
        self.tell(self)

    def _fail(self, failure: Failure) -> None:
        """The screens tell of a lost database themselves; here the last known facts stay."""

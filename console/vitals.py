"""The few facts every screen's header tells, read now and then."""

from collections.abc import Callable
from dataclasses import dataclass, field

from console.failures import Failure
from console.refresh import Refresh
from db.errors import ReplicaUnavailable
from db.source import Replica, Source, SystemControl

_PERIOD_S = 15.0


@dataclass(slots=True)
class Vitals:
    """Flags, what this role may do, how many revoked keys are still served, how the replica is; as last read."""

    source: Source
    tell: "Callable[[Vitals], None]"
    control: SystemControl | None = None
    still_served: int = 0
    replica: str = ""  # what is wrong with it
    _refresh: "Refresh[tuple[SystemControl, int, str]]" = field(init=False)

    def __post_init__(self) -> None:
        self._refresh = Refresh(self._load, self._show, self._fail, _PERIOD_S)

    async def run(self) -> None:
        """Reads for ever."""
        await self._refresh.run()

    def wake(self) -> None:
        """Read as soon as possible."""
        self._refresh.wake()

    async def _load(self) -> tuple[SystemControl, int, str]:
        control = await self.source.control.read()
        try:
            replica = await self.source.replica()
            served = await self.source.traffic.still_served()
        except ReplicaUnavailable:
            return control, self.still_served, "replica lost"
        return control, served, _warning(replica) if replica is not None else ""

    def _show(self, read: tuple[SystemControl, int, str]) -> None:
        self.control, self.still_served, self.replica = read
        self.tell(self)

    def _fail(self, failure: Failure) -> None:
        """The screens tell of a lost database themselves; here the last known facts stay."""


def _warning(replica: Replica) -> str:
    """For the header; `opsdeck doctor` has room for the sentence."""
    if replica.trouble:
        return "wrong replica"
    if not replica.late:
        return ""
    return "replica behind" if replica.behind_s is None else f"replica up to {replica.behind_s:,.0f} s behind"

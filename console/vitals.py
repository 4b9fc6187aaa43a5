"""The few facts every screen's header tells, read now and then."""

from collections.abc import Callable
from dataclasses import dataclass, field

from console.failures import Failure
from console.refresh import Refresh
from db.errors import DatabaseError, ReplicaUnavailable
from db.source import Replica, Rights, SetMaintenance, Source, SystemControl, Visitor, Waiting

_PERIOD_S = 15.0
_CHAIN_PERIOD_S = 60.0

_Read = tuple[SystemControl, Rights, tuple[Visitor, ...], Waiting, int | None, str]


@dataclass(slots=True)
class Vitals:
    """Flags, what this role may do, who else is here, how many revoked keys are still served, how the replica is."""

    source: Source
    tell: "Callable[[Vitals], None]"
    control: SystemControl | None = None
    rights: Rights | None = None
    others: tuple[Visitor, ...] = ()
    waiting: Waiting = field(default_factory=Waiting)  # requests
    still_served: int | None = 0  # None: the log could not tell
    replica: str = ""  # what is wrong with it
    chain: str = ""  # what is wrong with it
    _refresh: Refresh[_Read] = field(init=False)

    def __post_init__(self) -> None:
        self._refresh = Refresh(self._load, self._show, self._fail, _PERIOD_S)

    async def run(self) -> None:
        """Reads for ever."""
        await self._refresh.run()

    async def watch_chain(self) -> None:
        """Asks the node now and then, so that it shows when it is gone, and when it is back; nobody without one."""
        if self.source.chain is not None:
            ask = self.source.chain.reader.service_info
            await Refresh(ask, self._chain_told, self._chain_told, _CHAIN_PERIOD_S).run()

    def _chain_told(self, _: object) -> None:
        self.chain = self.source.chain_trouble
        self.tell(self)

    def wake(self) -> None:
        """Read as soon as possible."""
        self._refresh.wake()

    async def _load(self) -> _Read:
        rights = await self.source.rights()
        ends = not self.source.database.read_only and rights.may(SetMaintenance)
        control = await (self.source.end_what_is_over() if ends else self.source.control.read())
        others, waiting = await self.source.others(), await self.source.waiting_for_me()
        return control, rights, others, waiting, await self._served(), await self._replica()

    # These two may take long or find nobody: the other facts must not wait in vain for them.

    async def _served(self) -> int | None:
        try:
            return await self.source.traffic.still_served()
        except DatabaseError:
            return None

    async def _replica(self) -> str:
        try:
            replica = await self.source.replica()
        except ReplicaUnavailable:
            return "replica lost"
        except DatabaseError:
            return "replica not known"
        return "" if replica is None else _warning(replica)

    def _show(self, read: _Read) -> None:
        self.control, self.rights, self.others, self.waiting, self.still_served, self.replica = read
        self.chain = self.source.chain_trouble
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

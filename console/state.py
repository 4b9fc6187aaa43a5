"""What every screen's header tells: one frozen value, held by the app."""

from dataclasses import dataclass, field

from console.live import Link
from console.places import Place
from db.source import Operation, Rights, SystemControl, Visitor, Waiting
from widgets.status_line import Item
from widgets.tone import Tone


@dataclass(frozen=True, slots=True)
class DeckState:
    """The connection and the flags as last known."""

    profile: str
    place: str
    read_only: bool
    production: bool = False
    pgbouncer: bool = False  # who comes through it is not seen
    link: Link | None = None
    control: SystemControl | None = None
    rights: Rights | None = None
    others: tuple[Visitor, ...] = ()  # who else has a console open
    waiting: Waiting = field(default_factory=Waiting)  # requests for a second person
    still_served: int | None = 0  # revoked keys that gateways still serve; None: not known
    replica: str = ""  # what is wrong with it
    chain: str = ""  # what is wrong with it
    exporting: str = ""  # how far an export is

    @property
    def may_write(self) -> bool:
        return not self.read_only and (self.control is None or self.control.can_write)

    def may(self, operation: type[Operation]) -> bool:
        """Whether the role may carry out operations of that kind. Until the database has said so, it may."""
        return not self.read_only and (self.rights is None or self.rights.may(operation))

    @property
    def may_run_jobs(self) -> bool:
        return not self.read_only and (self.rights is None or self.rights.may_run_jobs)

    def identity(self) -> tuple[Item, ...]:
        """Profile, database and role, for the left of the header."""
        loud = Tone.WARN if self.production else Tone.ACCENT
        role = "read-only" if not self.may_write else (self.control.role if self.control else "…")
        return (
            Item(self.profile.upper() if self.production else self.profile, loud, 1),
            Item(self.place, Tone.DIM, 3),
            Item(role, Tone.NOTICE if not self.may_write else Tone.DIM, 1 if not self.may_write else 4),
        )

    def company(self, place: Place) -> tuple[Item, ...]:
        """Who else has a console open; loud where they look at the same customer or key."""
        beside = [one for one in self.others if one.subject == f"{place.kind}:{place.subject}"]
        if beside:
            who = " and ".join(sorted({one.words for one in beside}))
            return (Item(f"▲ {who} on this {place.kind} too", Tone.WARN),)
        if not self.others:
            return (Item("others not known", Tone.DIM, 4),) if self.pgbouncer else ()
        return (Item(f"{len(self.others)} other{'s' if len(self.others) > 1 else ''} here", Tone.DIM, 4),)

    def condition(self) -> tuple[Item, ...]:
        """Connection, maintenance and the badge, for the right of the header."""
        items: list[Item] = []
        if self.still_served is None:
            items.append(Item("▲ served keys: not known", Tone.WARN, 1))
        elif self.still_served:
            items.append(Item(f"▲ {self.still_served} revoked key(s) served", Tone.BAD))
        if self.waiting.asked:
            items.append(Item(f"{self.waiting.asked} to approve", Tone.NOTICE, 1))
        if self.waiting.approved:
            items.append(Item(f"{self.waiting.approved} approved for you", Tone.GOOD, 1))
        if self.replica:
            items.append(Item(f"▲ {self.replica}", Tone.BAD))
        if self.chain:
            items.append(Item(f"▲ {self.chain}", Tone.WARN, 1))
        if self.exporting:
            items.append(Item(self.exporting, Tone.NOTICE))
        if self.control is not None:
            on = self.control.maintenance_mode
            items.append(
                Item("MAINTENANCE" if on else "maintenance off", Tone.WARN if on else Tone.DIM, 0 if on else 5)
            )
        if self.link is None:
            items.append(Item("○ connecting", Tone.DIM))
        elif self.link.up:
            items.append(Item("● connected", Tone.GOOD, 1))
        else:
            items.append(Item(f"✕ connection lost, retry in {self.link.retry_s} s", Tone.BAD))
        return tuple(items)

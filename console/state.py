"""What every screen's header tells: one frozen value, held by the app."""

from dataclasses import dataclass

from console.live import Link
from db.source import SystemControl
from widgets.status_line import Item
from widgets.tone import Tone


@dataclass(frozen=True, slots=True)
class DeckState:
    """The connection and the flags as last known."""

    profile: str
    place: str
    read_only: bool
    production: bool = False
    link: Link | None = None
    control: SystemControl | None = None
    still_served: int = 0  # revoked keys that gateways still serve
    replica: str = ""  # what is wrong with it
    exporting: str = ""  # how far an export is

    @property
    def may_write(self) -> bool:
        return not self.read_only and (self.control is None or self.control.can_write)

    def identity(self) -> tuple[Item, ...]:
        """Profile, database and role, for the left of the header."""
        loud = Tone.WARN if self.production else Tone.ACCENT
        role = "read-only" if not self.may_write else (self.control.role if self.control else "…")
        return (
            Item(self.profile.upper() if self.production else self.profile, loud, 1),
            Item(self.place, Tone.DIM, 3),
            Item(role, Tone.NOTICE if not self.may_write else Tone.DIM, 1 if not self.may_write else 4),
        )

    def condition(self) -> tuple[Item, ...]:
        """Connection, maintenance and the badge, for the right of the header."""
        items: list[Item] = []
        if self.still_served:
            items.append(Item(f"▲ {self.still_served} revoked key(s) served", Tone.BAD))
        if self.replica:
            items.append(Item(f"▲ {self.replica}", Tone.BAD))
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

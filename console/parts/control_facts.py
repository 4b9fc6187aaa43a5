"""What the control screen says above its tables: flags, gateways in a line, how the log is kept."""

from console.words import ago, moment
from db.moments import span
from db.source import ControlField, GatewayVault, LogKeeping, SystemControl, fleet_words
from widgets.facts import Fact
from widgets.tone import Tone


def field_facts(field: ControlField, control: SystemControl, *, meant: bool) -> list[Fact]:
    loud = field.name == "maintenance_mode" and control.maintenance_mode
    entry = field.entry
    who = "   nothing on record of who set it" if field.is_set else ""
    if entry is not None:
        who = f"   {entry.os_user}, {moment(entry.at)}" + (f": {entry.reason}" if entry.reason else "")
    facts: list[Fact] = [(field.name, field.value + who, Tone.WARN if loud else Tone.PLAIN)]
    return [*facts, ("", field.meaning, Tone.DIM)] if meant else facts


def fleet_fact(gateways: tuple[GatewayVault, ...]) -> Fact:
    trouble = any(one.trouble for one in gateways)
    return ("gateways", fleet_words(gateways), Tone.BAD if trouble else Tone.PLAIN)


def keeping_facts(keeping: LogKeeping, control: SystemControl) -> list[Fact]:
    parts = ("chunk" if keeping.hypertable else "hourly partition") + ("s" if keeping.parts != 1 else "")
    oldest = ""
    if keeping.oldest:
        verb = "ended" if keeping.oldest <= control.now else "ends"
        oldest = f", the oldest {verb} {ago(keeping.oldest, control.now)}"
    overdue = f"; {keeping.overdue} past it and not dropped" if keeping.overdue else ""
    compressed = "not here: plain partitions, without TimescaleDB"
    if keeping.hypertable:
        left = keeping.uncompressed or 0
        compressed = f"after {span(keeping.compress_after)}; "
        compressed += f"{left} past it and not compressed" if left else "all are"
    return [
        ("log kept for", f"{span(keeping.retention)}; {keeping.parts} {parts} there{oldest}{overdue}",
         Tone.WARN if keeping.overdue > 1 else Tone.PLAIN),
        ("log compressed", compressed, Tone.WARN if (keeping.uncompressed or 0) > 1 else Tone.PLAIN),
    ]  # fmt: skip

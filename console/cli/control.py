"""opsdeck control show | set"""

from argparse import Namespace
from dataclasses import asdict
from datetime import timedelta

from console import failures
from console.cli import change
from console.cli.context import Context, Subparsers, add_command
from console.cli.output import emit, table, to_json
from console.moments import parse_age
from console.settings import UsageError
from db.source import CONTROL_SET_BY, ControlField, SetMaintenance, fleet_words


def _age(text: str) -> timedelta:
    try:
        return parse_age(text)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from None


def add(commands: Subparsers) -> None:
    verbs = add_command(commands, "control", "the flags of system_control").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    show = add_command(verbs, "show", "show every flag and who set it, and what the gateways have applied")
    show.add_argument("--json", action="store_true", help="one JSON document")
    show.set_defaults(run=show_flags)
    setting = change.add_verb(verbs, "set", "set a flag")
    setting.add_argument("name", metavar="NAME", help="maintenance_mode: pauses new signups, nothing else")
    setting.add_argument("value", metavar="VALUE", help="on or off")
    setting.add_argument("--for", dest="lasts", metavar="AGE", type=_age, help="on for this long (30m, 2h), then off")
    setting.set_defaults(run=set_flag)


async def show_flags(context: Context, options: Namespace) -> int:
    async with context.source() as source:
        control, fields, keeping = (
            await source.control.read(), await source.control.fields(), await source.control.keeping()
        )  # fmt: skip
        gateways = await source.gateways.states()
    if options.json:
        told = [{"state": one.state} | asdict(one) for one in gateways]
        emit(to_json({"control": control, "fields": fields, "log": keeping, "gateways": told}))
        return failures.DONE
    emit(table(("name", "value", "set by", "at (UTC)", "why", "meaning"), [_row(field) for field in fields]))
    emit(f"\ngateways: {fleet_words(gateways)}")
    if gateways:
        rows = [(one.gateway, one.vault, one.state, one.applied_seq, one.seen_at, one.error) for one in gateways]
        emit(table(("gateway", "vault", "state", "applied", "seen (UTC)", "error"), rows))
    return failures.DONE


def _row(field: ControlField) -> tuple[object, ...]:
    entry = field.entry
    who = (entry.os_user, entry.at, entry.reason) if entry else ("not on record", None, "")
    return (field.name, field.value, *who, field.meaning)


def _operation(options: Namespace) -> SetMaintenance:
    """Raises UsageError when that flag cannot be set, or not to that."""
    if options.name in CONTROL_SET_BY:
        job = CONTROL_SET_BY[options.name]
        raise UsageError(f"{options.name} is set by a job alone; run `opsdeck jobs run {job}`. Nothing was changed")
    if options.name != "maintenance_mode":
        raise UsageError(f"there is no flag {options.name!r}; look with `opsdeck control show`. Nothing was changed")
    if options.value not in ("on", "off"):
        raise UsageError(f"maintenance_mode is on or off, not {options.value!r}. Nothing was changed")
    try:
        return SetMaintenance(options.value == "on", options.lasts)
    except ValueError as error:
        raise UsageError(f"--for: {error}. Nothing was changed") from None


async def set_flag(context: Context, options: Namespace) -> int:
    operation = _operation(options)
    change.check(context, options)
    async with context.source() as source:
        return await change.carry_out(context, options, source, operation)

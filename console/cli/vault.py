"""opsdeck vault list | show | diff | verify | publish"""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from console import failures
from console.cli import change
from console.cli.context import Context, Subparsers, add_command
from console.cli.output import cell, emit, narrate, table, to_json
from console.cli.paging import add_paging, narrate_cut
from console.cli.publishing import check_place, publish
from console.cli.values import customer_id
from console.settings import UsageError
from db.errors import Refused
from db.moments import rfc3339
from db.page import page_of
from db.source import VAULT_JOBS, VAULTS, Opened, PublishDespiteWarning, Source, VaultDiff, VaultVersion

_SECRET = ("encrypted_key", "metadata")  # of an encryption key: never shown


def add(commands: Subparsers) -> None:
    verbs = add_command(commands, "vault", "the files that tell the gateways whom to serve").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    listing = add_command(verbs, "list", "list published versions, newest first")
    listing.add_argument("--vault", choices=VAULTS, help="only this vault")
    add_paging(listing, "version", "VAULT:SEQ", _named_version)
    listing.set_defaults(run=list_versions)
    show = add_command(verbs, "show", "show what is in a version, or in it for one customer")
    show.add_argument("version", metavar="N", nargs="?", default="current", help="its number, or current (as without)")
    show.add_argument("--customer", metavar="ID", type=customer_id, help="what is in it for this customer")
    show.set_defaults(run=show_version)
    diff = add_command(verbs, "diff", "show what two versions do not share, by customer and key")
    diff.add_argument("before", metavar="A", help="a number, or current")
    diff.add_argument("after", metavar="B", help="a number, current, or next: what would be published now")
    diff.set_defaults(run=show_diff)
    verify = add_command(verbs, "verify", "open a vault file and check it", "Says what it is, never a secret.")
    verify.add_argument("file", metavar="FILE", type=Path, help="a vault file, as a gateway has it")
    verify.set_defaults(run=verify_file)
    despite = change.add_verb(verbs, "publish", "publish a vault despite a warning, such as that customers vanish")
    despite.add_argument("vault", choices=VAULTS, help="which vault")
    despite.add_argument(
        "--accept-loss", metavar="N", type=_count, required=True, help="how many customers may vanish from it"
    )
    despite.set_defaults(run=publish_despite_warning)
    for parser in (show, diff):
        parser.add_argument("--vault", choices=VAULTS, default="ma", help="which vault (ma)")
    for parser in (listing, show, diff, verify):
        _json(parser)


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise ArgumentTypeError(f"{text!r} is no number of customers")
    return int(text)


def _named_version(text: str) -> tuple[str, int]:
    vault, _, seq = text.partition(":")
    if vault not in VAULTS or not seq.isdecimal() or len(seq) > 9:
        raise ArgumentTypeError(f"{text!r} is no version such as ma:12")
    return vault, int(seq)


def _json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document")


async def list_versions(context: Context, options: Namespace) -> int:
    async with context.source() as source:
        before = None if options.before is None else await source.vaults.find(*options.before)
        if before is None and options.before is not None:
            raise UsageError("--before: there is no version {}:{}".format(*options.before))
        found = await source.vaults.versions(options.vault, before=before, limit=options.limit + 1)
    page = page_of(found, options.limit)
    if options.json:
        emit(to_json({"versions": page.rows, "complete": page.complete}))
        return failures.DONE
    headers = ("vault", "seq", "hash", "customers", "keys", "published (UTC)", "path")
    emit(
        table(
            headers,
            [(row.vault, row.seq, row.hash, row.customers, row.keys, row.published_at, row.path) for row in page.rows],
        )
    )
    narrate_cut(page, lambda row: f"{row.vault}:{row.seq}")
    return failures.DONE


async def _version(source: Source, vault: str, word: str) -> VaultVersion:
    """The version that was named. Raises UsageError."""
    if word != "current" and not word.isdecimal():
        raise UsageError(f"{word!r} is no version; give its number as `opsdeck vault list` shows it, or current")
    found = await source.vaults.find(vault, None if word == "current" else int(word))
    if found is None:
        which = "version yet" if word == "current" else f"version {word}"
        raise UsageError(f"the {vault} vault has no {which}; look with `opsdeck vault list`")
    return found


async def show_version(context: Context, options: Namespace) -> int:
    async with context.source() as source:
        version = await _version(source, options.vault, options.version)
        opened = await source.vaults.open(version)
    if options.customer is not None:
        return _show_customer(options, opened)
    counts = _counts(opened)
    if options.json:
        emit(to_json({"version": version, "content": counts}))
        return failures.DONE
    facts = [
        ("version", f"{version.vault} {version.label}"),
        ("path", version.path),
        ("sealed with", f"key {version.key_id!r}"),
        ("read at", rfc3339(version.built_at)),
        ("published", rfc3339(version.published_at)),
        *((name, f"{count:,}") for name, count in counts.items()),
    ]
    emit("\n".join(f"{name:<20} {cell(value)}" for name, value in facts))
    return failures.DONE


def _counts(opened: Opened) -> dict[str, int]:
    """How much of what is inside."""
    counts: Counter[str] = Counter()
    for customer in opened.customers.values():
        counts[f"{customer['status']} customers"] += 1
        counts["encryption keys"] += len(customer.get("keys", ()))
        for name, service in customer.get("services", {}).items():
            counts[f"{name} services"] += 1
            counts["keys"] += len(service["keys"])
            counts["without limits"] += service["limits"] is None
    return {name: counts[name] for name in sorted(counts) if counts[name]}


def _show_customer(options: Namespace, opened: Opened) -> int:
    entry: dict[str, Any] | None = opened.customers.get(str(options.customer))
    if entry is None:
        narrate(f"customer {options.customer} is not in version {opened.header.seq} of the {options.vault} vault")
        return failures.FAILED
    if "keys" in entry:
        shown = {
            name: {field: value for field, value in key.items() if field not in _SECRET}
            for name, key in entry["keys"].items()
        }
        entry = entry | {"keys": shown}
    emit(to_json({"customer_id": options.customer, "seq": opened.header.seq, **entry}))
    return failures.DONE


async def show_diff(context: Context, options: Namespace) -> int:
    async with context.source() as source:
        before = await _version(source, options.vault, options.before)
        if options.after == "next":
            diff = await source.vaults.planned(before)
        else:
            diff = await source.vaults.diff(before, await _version(source, options.vault, options.after))
    emit(to_json(diff) if options.json else _diff_text(diff))
    return failures.DONE


def _diff_text(diff: VaultDiff) -> str:
    if not diff.changes:
        return diff.sentence
    rows = [(change.customer_id, change.what, change.before, change.after) for change in diff.changes]
    return f"{table(('customer', 'what', 'before', 'after'), rows)}\n{diff.sentence}"


async def publish_despite_warning(context: Context, options: Namespace) -> int:
    change.check(context, options)
    async with context.source() as source:
        await check_place(source)
        warning = await source.vault_warning(options.vault)
        if warning is None:
            job = VAULT_JOBS[options.vault].name
            raise Refused(f"nothing warns of the {options.vault} vault; run `opsdeck jobs run {job}`")
        operation = PublishDespiteWarning(warning, options.accept_loss)
        return await change.carry_out(
            context, options, source, operation, partial(publish, source, vault=options.vault)
        )


async def verify_file(context: Context, options: Namespace) -> int:
    path = options.file.expanduser().absolute()
    async with context.source() as source:
        opened = await source.vaults.verify(path)
        recorded = await source.vaults.find(opened.header.vault, opened.header.seq)
    header = opened.header
    on_record = recorded is not None and recorded.sha256 == header.sha256
    if options.json:
        document = {
            "vault": header.vault,
            "seq": header.seq,
            "hash": header.sha256[:16],
            "path": str(path),
            "key_id": header.key_id,
            "built_at": header.built_at,
            "on_record": on_record,
            "content": _counts(opened),
        }
        emit(to_json(document))
    else:
        counts = ", ".join(f"{count:,} {name}" for name, count in _counts(opened).items()) or "nobody"
        emit(f"whole: {header.vault} {header.label}, sealed with key {header.key_id!r}; in it {counts}")
    if not on_record:
        narrate("this version is not on record in this database")
        return failures.FAILED
    return failures.DONE

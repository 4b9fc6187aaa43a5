"""opsdeck keys list | show | find | decode, and what key_proof and key_changes add"""

import asyncio
import sys
from argparse import ArgumentParser, Namespace

from console import failures
from console.cli import key_changes, key_proof
from console.cli.context import Context, Subparsers, add_command
from console.cli.output import cell, emit, narrate, table, to_json
from console.cli.paging import add_paging, narrate_cut
from console.cli.values import KEY, customer_id, fingerprint
from console.settings import UsageError
from db.errors import Refused, ReplicaUnavailable, TimedOut
from db.moments import rfc3339
from db.page import Page
from db.source import (
    RECENT_MINUTES,
    ApiKey,
    KeyFormatError,
    KeySearch,
    KeyTraffic,
    Source,
    format_fingerprint,
    key_metadata_words,
    parse_key_search,
    server_label,
)


def add(commands: Subparsers) -> None:
    verbs = add_command(commands, "keys", "find, show, create, rotate and revoke API keys").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    listing = add_command(verbs, "list", "list keys, newest first")
    listing.add_argument("--customer", metavar="ID", type=customer_id, help="only keys of this customer")
    listing.add_argument("--state", metavar="S", choices=("live", "revoked"), help="live or revoked")
    _add_page(listing)
    listing.set_defaults(run=list_keys)
    find = add_command(verbs, "find", "find keys by fingerprint, pasted key (- reads it from stdin) or customer:ID")
    find.add_argument(
        "what",
        metavar="WORD",
        nargs="+",
        help="decimal or hex fingerprint, full key or - for stdin, customer:ID, live, revoked",
    )
    _add_page(find)
    find.set_defaults(run=find_keys)
    show = add_command(verbs, "show", "show one key, and what the log says of it")
    show.add_argument("key", metavar="FP", type=fingerprint, help=KEY)
    show.add_argument("--json", action="store_true", help="one JSON document")
    show.set_defaults(run=show_key)
    decode = add_command(verbs, "decode", "check a full key and say what it holds; needs the API secret")
    decode.add_argument("key", metavar="KEY", help="the full key, or - to read it from stdin")
    decode.add_argument("--json", action="store_true", help="one JSON document")
    decode.set_defaults(run=decode_key)
    key_proof.add(verbs)
    key_changes.add(verbs)


def _add_page(parser: ArgumentParser) -> None:
    add_paging(parser, "key", "FP", fingerprint, option="--after")
    parser.add_argument("--json", action="store_true", help="one JSON document")


async def _page(context: Context, options: Namespace, search: KeySearch) -> Page[ApiKey]:
    """The page that was asked for. Raises UsageError."""
    async with context.source() as source:
        after = None
        if options.after is not None:
            after = await source.keys.find(options.after)
            if after is None:
                raise UsageError(f"--after: there is no key with fingerprint {format_fingerprint(options.after)}")
        return await source.keys.page(search, after=after, limit=options.limit)


def _emit(page: Page[ApiKey], options: Namespace) -> None:
    if options.json:
        emit(to_json({"keys": page.rows, "complete": page.complete}))
    elif page.rows:
        _print_keys(page.rows)
        narrate_cut(page, lambda row: row.label, option="--after")


def _print_keys(rows: tuple[ApiKey, ...]) -> None:
    headers = ("fingerprint", "decimal", "customer", "service", "state", "created", "revoked", "reason")
    emit(
        table(
            headers,
            [
                (
                    row.label,
                    row.fingerprint,
                    row.customer_id,
                    row.service_type,
                    "live" if row.is_active else "revoked",
                    row.created_at,
                    row.revoked_at,
                    row.revocation_reason,
                )
                for row in rows
            ],
        )
    )


async def list_keys(context: Context, options: Namespace) -> int:
    _emit(await _page(context, options, KeySearch(customer_id=options.customer, state=options.state)), options)
    return failures.DONE


async def find_keys(context: Context, options: Namespace) -> int:
    words = " ".join(options.what)
    if words == "-":
        # From a pipe the key reaches neither the shell history nor the process list.
        words = await _read_stdin()
    try:
        search = parse_key_search(words)
    except ValueError as error:
        raise UsageError(str(error)) from None
    page = await _page(context, options, search)
    _emit(page, options)
    if not page.rows:
        narrate("no key matches")
        return failures.FAILED
    return failures.DONE


async def _read_stdin() -> str:
    return (await asyncio.to_thread(sys.stdin.readline)).strip()


async def _key(source: Source, wanted: int) -> ApiKey | None:
    found = await source.keys.find(wanted)
    if found is None:
        narrate(f"there is no key with fingerprint {format_fingerprint(wanted)}")
    return found


async def show_key(context: Context, options: Namespace) -> int:
    async with context.source() as source:
        key = await _key(source, options.key)
        if key is None:
            return failures.FAILED
        traffic: KeyTraffic | None = None
        try:
            traffic = await source.keys.traffic(key)
        except (TimedOut, ReplicaUnavailable) as error:
            narrate(f"its traffic is not known: {failures.word(error).text}")
    emit(to_json({"key": key, "traffic": traffic}) if options.json else _as_text(key, traffic))
    return failures.DONE


def _as_text(key: ApiKey, traffic: KeyTraffic | None) -> str:
    facts = [
        ("fingerprint", f"{key.label} ({key.fingerprint})"),
        ("customer", f"{key.customer_id} ({key.customer_status})"),
        ("service", key.service_type),
        ("state", "live" if key.is_active else "revoked"),
        ("created", rfc3339(key.created_at)),
    ]
    if key.is_active and key.ends_at is not None and key.replaced_by is not None:
        facts += [("ends", f"{rfc3339(key.ends_at)}, replaced by {format_fingerprint(key.replaced_by)}")]
    if key.revoked_at:
        facts += [
            ("revoked", f"{rfc3339(key.revoked_at)} by {cell(key.revoked_by)}"),
            ("reason", cell(key.revocation_reason)),
        ]
    facts += [(f"last {RECENT_MINUTES} min", "not known")] if traffic is None else _traffic(traffic)
    return "\n".join(f"{name:<13} {cell(value)}" for name, value in facts)


def _traffic(traffic: KeyTraffic) -> list[tuple[str, str]]:
    served = f"{traffic.served:,} of {traffic.requests:,}" if traffic.requests else "no request"
    return [
        (
            f"last {RECENT_MINUTES} min",
            f"{served} served, {traffic.refused_as_revoked:,} refused as revoked (event 31)",
        ),
        ("last seen", cell(traffic.last_seen)),
        ("last served", cell(traffic.last_served)),
        ("servers", ", ".join(server_label(server) for server in traffic.servers) or "-"),
    ]


async def decode_key(context: Context, options: Namespace) -> int:
    """A key that decodes is no proof (its tag has 16 bits), so the table is asked too."""
    text = await _read_stdin() if options.key == "-" else options.key
    async with context.source() as source:
        try:
            decoded = await source.decode(text)
        except (KeyFormatError, Refused) as error:
            raise UsageError(str(error)) from None
        page = await source.keys.page(parse_key_search(text))
    known = page.rows[0] if page.rows else None
    fits = known is not None and (known.customer_id, known.service_type) == (decoded.customer_id, decoded.service)
    if options.json:
        emit(to_json({"decoded": decoded, "known": known is not None, "fits": fits}))
        return failures.DONE if fits else failures.FAILED
    stands = "is not in the table" if known is None else "fits the table" if fits else "is another one in the table"
    facts = (
        ("fingerprint", f"{format_fingerprint(decoded.fingerprint)} ({decoded.fingerprint})"),
        ("customer", decoded.customer_id),
        ("service", decoded.service),
        ("made for", key_metadata_words(decoded.metadata.to_json())),
        ("this key", stands + ("" if decoded.reserved_clear else "; bits are set that must be 0: treat it as forged")),
    )
    emit("\n".join(f"{name:<13} {cell(value)}" for name, value in facts))
    return failures.DONE if fits else failures.FAILED

"""Options of the commands that read the request log: filters, spans of time."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import datetime, timedelta

from console.moments import parse_age, parse_moment
from console.saved_filters import SavedFilterError, find_filter
from console.settings import UsageError
from db.source import FilterError, RequestFilter, filter_from_options, parse_request_filter

_LONGEST = timedelta(days=366)  # no log is kept that long
_FILTERS = {
    "customer": "customer id, none, comma list",
    "key": "fingerprint (decimal or hex) or a pasted key, none, comma list",
    "status": "200, 4xx, 500-504, comma list",
    "class": "guaranteed, burst, rejected, invalid, server-error, other",
    "event": "event code or name, comma list",
    "service": "seal, grpc, graphql, …",
    "network": "mainnet, testnet, devnet, localnet",
    "server": "r1-s03, 19 or 0x13",
    "ip": "address or CIDR",
    "path": "beginning of the path",
    "slower-than": "500ms, 2s",
}


def add_filters(parser: ArgumentParser) -> None:
    """One option for each filter, and one for a saved filter."""
    for name, hint in _FILTERS.items():
        parser.add_argument(f"--{name}", dest=f"filter_{name}", metavar="VALUE", help=hint)
    parser.add_argument(
        "--saved", metavar="NAME", help="a filter saved on screen with :save NAME; the others add to it"
    )


def filter_of(options: Namespace) -> RequestFilter:
    """What the options of add_filters() ask for. Raises UsageError."""
    told = {name: value for name in _FILTERS if (value := getattr(options, f"filter_{name}")) is not None}
    try:
        wanted = filter_from_options(told)
        if options.saved is not None:
            wanted = parse_request_filter(" ".join((*find_filter(options.saved).chips(), *wanted.chips())))
        return wanted
    except (FilterError, SavedFilterError) as error:
        raise UsageError(str(error)) from None


def duration(text: str) -> timedelta:
    """90s, 15m, 2h, 1d."""
    try:
        age = parse_age(text)
    except ValueError:
        age = timedelta()
    if not timedelta() < age <= _LONGEST:
        raise ArgumentTypeError(f"{text!r} is not a duration up to 366d; write 90s, 15m, 2h or 1d")
    return age


def moment(text: str) -> datetime:
    """An RFC 3339 time; without an offset it is UTC."""
    try:
        return parse_moment(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None

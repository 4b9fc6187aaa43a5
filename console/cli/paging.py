"""Listings longer than their limit: all are cut, say so and go on in one way."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from console.cli.output import narrate
from console.cli.values import rows_at_most
from db.page import Page

Row = TypeVar("Row")


def add_paging(
    listing: ArgumentParser,
    what: str,
    metavar: str,
    parse: Callable[[str], object],
    *,
    option: str = "--before",
    rows: int = 100,
) -> None:
    """--limit, and --before (what stands newest first) or --after (in another order) with a row of the page before."""
    listing.add_argument("--limit", metavar="N", type=rows_at_most, default=rows, help=f"rows at the most ({rows})")
    listing.add_argument(option, metavar=metavar, type=parse, help=f"go on behind this {what}, the last of a page")


def narrate_cut(
    page: Page[Row], name: Callable[[Row], object], *, option: str = "--before", rows: str = "rows"
) -> None:
    """Says that a listing was cut and how it goes on: the last line on stderr."""
    if not page.complete:
        narrate(f"{len(page.rows)} {rows} shown, there are more: go on with {option} {name(page.rows[-1])}")


def listed_id(text: str) -> UUID:
    """The id of a row as a page's last line tells it."""
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no id; copy it from the last line of the page before") from None

"""The price book: what usage and tiers cost and may do. Nothing else in opsdeck knows a price or a limit.

Money of usage is counted in whole units of 10^-8 USD, as usage_records.charged_amount holds it: no sum is ever rounded
on the way, only the total of a bill is.
"""

import hashlib
import json
import re
import tomllib
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, cached_property
from importlib.resources import files
from math import lcm
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

UNITS_PER_CENT = 10**6
"""1 unit = 10^-8 USD."""
_GIB = 2**30

Cents = Annotated[int, Field(ge=0)]
# From a TOML integer or a decimal, never through a float.
_Rate = Annotated[Decimal, Field(ge=0, strict=False, allow_inf_nan=False)]


class PriceBookError(ValueError):
    """Why a price book cannot be used: file, line, field and what is wrong, in one sentence."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class UsagePrice(_Part):
    """`cents` for `requests` requests, and `gib_cents` for each GiB sent."""

    cents: _Rate
    requests: int = Field(gt=0)
    gib_cents: _Rate = Decimal(0)

    def units(self, requests: int, size: int) -> int:
        """What one usage record costs, in units; what is less than a unit is not charged."""
        by_request, by_byte, divisor = self._whole
        return (requests * by_request + size * by_byte) // divisor

    @cached_property
    def _whole(self) -> tuple[int, int, int]:
        """Units for a request and for a byte, over a common divisor."""
        request, request_over = (self.cents * UNITS_PER_CENT).as_integer_ratio()
        byte, byte_over = (self.gib_cents * UNITS_PER_CENT).as_integer_ratio()
        divisor = lcm(request_over * self.requests, byte_over * _GIB)
        return (
            request * (divisor // (request_over * self.requests)),
            byte * (divisor // (byte_over * _GIB)),
            divisor,
        )


class Tier(_Part):
    """What a tier costs a month (None: agreed with each customer) and what the gateways allow it."""

    month_cents: Cents | None = None
    guaranteed_rps: int = Field(gt=0)
    burst_rps: int = Field(default=0, ge=0)  # beyond the guaranteed ones
    burst_qos: int = Field(default=0, ge=0, le=15)
    per_ip_rps: int | None = Field(default=None, gt=0)  # None: as many as guaranteed


class AddOn(_Part):
    """What each one beyond those included costs a month."""

    month_cents: Cents
    included: int = Field(default=0, ge=0)


class PriceList(_Part):
    """Prices from one day on. A service or tier that is missing has no price."""

    effective_from: date
    fees_per: Literal["service", "customer"]
    usage: dict[str, UsagePrice]
    tiers: dict[str, Tier]
    add_ons: dict[str, AddOn] = Field(default_factory=dict)


class PriceBook(_Part):
    """One preset of a price book: the rules, and the price lists by date, oldest first."""

    name: str = ""  # of the preset
    rounding: Literal["up", "floor", "half-up"]
    charge_threshold_cents: Cents | None = None  # None: bills are made when a month closes
    limit_period_days: int = Field(default=0, ge=0, le=366)  # 0: the calendar month
    default_limit_cents: int | None = Field(default=None, gt=0)
    minimum_limit_cents: int = Field(gt=0)
    maximum_limit_cents: int | None = Field(default=None, gt=0)
    minimum_balance_cents: Cents = 0
    payment_grace_days: int = Field(ge=0)
    keys_per_customer: int = Field(gt=0)
    prices: Annotated[tuple[PriceList, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        days = [one.effective_from for one in self.prices]
        if days != sorted(set(days)):
            raise ValueError("the price lists must stand in the order of effective_from, one a day")
        if self.maximum_limit_cents is not None and self.maximum_limit_cents < self.minimum_limit_cents:
            raise ValueError("maximum_limit_cents is below minimum_limit_cents")
        return self

    @property
    def label(self) -> str:
        """The preset's name, and a hash that any other price or rule changes."""
        content = json.dumps(self.model_dump(mode="json", exclude={"name"}), sort_keys=True)
        return f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    def on(self, day: date) -> PriceList | None:
        """The list in force on a day (UTC); None before the first."""
        return next((one for one in reversed(self.prices) if one.effective_from <= day), None)

    def at(self, moment: datetime) -> PriceList | None:
        """The list in force at an instant."""
        return self.on(moment.astimezone(UTC).date())

    def usage_units(self, service: str, hour: datetime, requests: int, size: int) -> int | None:
        """What one usage record costs, in units; None when it has no price."""
        prices = self.at(hour)
        price = prices and prices.usage.get(service)
        return price.units(requests, size) if price else None

    def tier(self, name: str, day: date) -> Tier | None:
        """A tier on a day; None when the book does not know it."""
        prices = self.on(day)
        return prices and prices.tiers.get(name)

    def cents(self, units: int) -> int:
        """A bill's total in whole cents, by the book's rounding."""
        match self.rounding:
            case "up":
                return -(-units // UNITS_PER_CENT)
            case "half-up":
                return (units + UNITS_PER_CENT // 2) // UNITS_PER_CENT
            case "floor":
                return units // UNITS_PER_CENT


class _File(_Part):
    default: str
    presets: dict[str, PriceBook]


def usd(units: int) -> Decimal:
    """Units as the NUMERIC(20,8) of the database."""
    return Decimal(units).scaleb(-8)


def units(amount: Decimal) -> int:
    """A NUMERIC(20,8) of USD in units."""
    return int(amount.scaleb(8))


@cache
def load_prices(path: Path | None = None, preset: str | None = None) -> PriceBook:
    """A preset of the book at `path`, or of the one that comes with opsdeck. Raises PriceBookError."""
    name = str(path or "the price book of opsdeck")
    try:
        text = (path or files("db.suiftly").joinpath("prices.toml")).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise PriceBookError(f"{name} cannot be read: {why}") from error
    book = _parsed(text, name)
    wanted = preset or book.default
    if wanted not in book.presets:
        raise PriceBookError(f"{name} has no preset {wanted!r}; it has {', '.join(book.presets)}")
    return book.presets[wanted].model_copy(update={"name": wanted})


def _parsed(text: str, name: str) -> _File:
    try:
        return _File.model_validate(tomllib.loads(text, parse_float=Decimal))
    except tomllib.TOMLDecodeError as error:
        raise PriceBookError(f"{name} is not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the book"
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = "there is no such setting"
        line = _line_of(text, first["loc"])
        raise PriceBookError(f"{name}, line {line}: {field}: {message}") from error


_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]#]+?)\s*\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+|\"[^\"]*\")\s*=")


def _line_of(text: str, where: tuple[int | str, ...]) -> int:
    """The line on which a field, or what would have to hold it, is written: tomllib does not tell."""
    lines: dict[tuple[int | str, ...], int] = {}
    lists: dict[tuple[int | str, ...], int] = {}
    table: tuple[int | str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = ()
            for part in header[2].split("."):
                table += (part.strip().strip('"'),)
                if table in lists and not (header[1] == "[[" and part == header[2].split(".")[-1]):
                    table += (lists[table],)
            if header[1] == "[[":
                lists[table] = lists.get(table, -1) + 1
                table += (lists[table],)
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, key[1].strip('"')), number)
    depth = next((n for n in range(len(where), 0, -1) if where[:n] in lines), 0)
    return lines[where[:depth]] if depth else 1

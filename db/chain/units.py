"""Amounts in the four units that meet here. Each adds to its own kind only: Python and the type checker both refuse
the rest, and a float besides."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Generic, Self, TypeVar

Number = TypeVar("Number", int, Decimal)

_USDC_PER_CENT: Final = 10_000


@dataclass(frozen=True, slots=True, order=True)
class _Amount(Generic[Number]):
    value: Number

    def __post_init__(self) -> None:
        """Refuses a number of another kind; each unit says which."""
        raise NotImplementedError

    def __add__(self, other: Self) -> Self:
        return type(self)(self.value + self._same(other).value)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.value - self._same(other).value)

    def _same(self, other: Self) -> Self:
        if type(other) is not type(self):
            raise TypeError(f"{type(self).__name__} and {type(other).__name__} do not add up")
        return other

    def __neg__(self) -> Self:
        return type(self)(-self.value)

    def __bool__(self) -> bool:
        return bool(self.value)


class _Whole(_Amount[int]):
    __slots__ = ()

    def __post_init__(self) -> None:
        if type(self.value) is not int:
            raise TypeError(f"{type(self).__name__} counts in whole numbers, not in {type(self.value).__name__}")


class Cents(_Whole):
    """US cents: the unit of limits, bills and the ledger, and of charges and credits on the chain."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{'-' if self.value < 0 else ''}${abs(self.value) // 100:,}.{abs(self.value) % 100:02}"

    @property
    def dollars(self) -> "Dollars":
        return Dollars(Decimal(self.value) / 100)


class Usdc(_Whole):
    """Base units of USDC, a millionth of a dollar: the unit of deposits, withdrawals and balances on the chain."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{Decimal(self.value) / 1_000_000:,.6f} USDC"

    @property
    def dollars(self) -> "Dollars":
        return Dollars(Decimal(self.value) / 1_000_000)

    def cents(self) -> tuple[Cents, Self]:
        """Whole cents, and what is left over of them (0 to 9,999): never rounded away, to be told."""
        whole, rest = divmod(self.value, _USDC_PER_CENT)
        return Cents(whole), type(self)(rest)


class Mist(_Whole):
    """A billionth of a SUI. Worth nothing in dollars without the rate of a moment."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{Decimal(self.value) / 1_000_000_000:,.9f} SUI"


class Dollars(_Amount[Decimal]):
    """US dollars of NUMERIC(20, 8): the unit of `escrow_transactions` and of usage."""

    __slots__ = ()

    def __post_init__(self) -> None:
        if type(self.value) is not Decimal:
            raise TypeError(f"Dollars are a Decimal, not a {type(self.value).__name__}")
        if self.value != self.value.quantize(Decimal("1e-8")):
            raise ValueError("dollars have eight decimal places at the most")

    def __str__(self) -> str:
        return f"{'-' if self.value < 0 else ''}${abs(self.value):,.8f}"

"""Money as text with two decimals, as the contract's statements of revenue have it."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Final

_ROUND: Final = Context(prec=200, rounding=ROUND_HALF_EVEN)
_CENT: Final = Decimal("0.01")

# What grants are purchased in, so the one currency that there are invoices of.
PRIMARY: Final = "USD"


def cents(amount: Decimal) -> Decimal:
    """Rounded half-even to two decimals; never -0.00."""
    with localcontext(_ROUND):
        return amount.quantize(_CENT) + Decimal("0.00")


def money(amount: Decimal) -> str:
    """The same as text."""
    return format(cents(amount), "f")

"""Costs: what serving customers costs the merchant, counted as usage is (contract 3.11)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, Overflow, localcontext
from functools import reduce
from typing import Final

from meterhouse.domain.billable_metric import BillableMetric

# A sum has up to 76 digits, a unit cost up to 38: their product, and any sum of such products, fits.
_EXACT: Final = Context(prec=160, traps=[Inexact, Overflow])
_QUOTIENT: Final = Context(prec=400, rounding=ROUND_HALF_EVEN)
_QUANTUM: Final = Decimal(1).scaleb(-18)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """A billable metric whose every unit costs `unit_cost`, at least 0, in `currency` (ISO 4217).

    The metric is the cost's own and has its id. The unit cost of now prices whatever was ever counted.
    """

    metric: BillableMetric
    currency: str
    unit_cost: Decimal

    @property
    def id(self) -> str:
        return self.metric.id

    def of(self, quantity: Decimal) -> Decimal:
        """What so much costs, to the last digit."""
        return _EXACT.multiply(quantity, self.unit_cost)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Their exact sum."""
    return reduce(_EXACT.add, amounts, Decimal(0))


def percentage(part: Decimal, whole: Decimal) -> Decimal:
    """The exact quotient in percent, rounded half-even to 18 fractional digits; 0 of nothing."""
    if not whole:
        return Decimal(0)
    with localcontext(_QUOTIENT):
        return (part * 100 / whole).quantize(_QUANTUM)


def percent_change(now: Decimal, before: Decimal) -> Decimal | None:
    """By how many percent of `before` there is more now; None where there was nothing before."""
    return percentage(_EXACT.subtract(now, before), before) if before else None

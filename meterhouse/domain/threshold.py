"""Thresholds of balances: at which of them a merchant wants to be told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, Overflow, localcontext
from typing import Final

from meterhouse.domain.balance import Balance
from meterhouse.domain.matching import plain

METADATA: Final = "balanceThresholds"
MOST: Final = 20

_THRESHOLD: Final = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,18})?)(%?)", re.ASCII)
_HUNDRED: Final = Decimal(100)
_EXACT: Final = Context(prec=200, traps=[Inexact, Overflow])  # a balance has 76 digits, a threshold 38


@dataclass(frozen=True, slots=True)
class Threshold:
    """`amount` percent of what the period had to use is used, or that much of it, or less, is left."""

    amount: Decimal
    is_percent: bool

    def __str__(self) -> str:
        return plain(self.amount) + ("%" if self.is_percent else "")

    def is_reached(self, balance: Balance) -> bool:
        """Whether the balance is there; never where the period has had nothing to use."""
        had = had_to_use(balance)
        if had is None:
            return False
        if not self.is_percent:
            return balance.balance <= self.amount
        with localcontext(_EXACT):
            return (had - balance.balance) * _HUNDRED >= self.amount * had


def had_to_use(balance: Balance) -> Decimal | None:
    """What is left, and what the usage of the period has burned; None where that is nothing at all.

    With overage it is all used, also where it is that of periods before, which can be more than the usage.
    """
    with localcontext(_EXACT):
        burned = max(balance.usage_in_period - balance.overage, Decimal(0))
        had = balance.balance + burned
    return had if had or balance.overage else None


def is_exhausted(balance: Balance) -> bool:
    """Whether nothing is left of what the period had to use."""
    return not balance.balance and had_to_use(balance) is not None


def parse_thresholds(text: str) -> tuple[Threshold, ...]:
    """Read `80%,95%,100`: each once, in their order.

    Raises ValueError with a reason that a sender can act on.
    """
    found: dict[Threshold, None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _THRESHOLD.fullmatch(part)
        if match is None:
            raise ValueError("must be percentages of use and amounts left, such as 80%,95%,100")
        threshold = Threshold(Decimal(plain(Decimal(match[1]))), match[2] == "%")
        if threshold.is_percent and not 0 < threshold.amount <= _HUNDRED:
            raise ValueError("a percentage must be over 0%, and 100% at most")
        found[threshold] = None
    if len(found) > MOST:
        raise ValueError(f"must be {MOST} thresholds at most")
    return tuple(found)


def thresholds_of(*metadata: Mapping[str, str]) -> tuple[Threshold, ...]:
    """Those of the first that names some, the entitlement's before its feature's; none of what is no list."""
    named = next((one[METADATA] for one in metadata if METADATA in one), "")
    try:
        return parse_thresholds(named)
    except ValueError:
        return ()

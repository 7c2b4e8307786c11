"""What became of an event: for one billable metric, and as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Counted:
    """The metric counted it. `value` is None for COUNT, text for UNIQUE_COUNT with a value path."""

    value: Decimal | str | None
    dimensions: tuple[str, ...]


class Flaw(StrEnum):
    """Why a metric cannot count a value, in one word of few: `Unusable.reason` as a label."""

    MISSING = "missing"
    NOT_A_NUMBER = "not_a_number"
    OUT_OF_RANGE = "out_of_range"
    TOO_PRECISE = "too_precise"
    NOT_A_SCALAR = "not_a_scalar"
    NO_VALUE_PROPERTY = "no_value_property"


@dataclass(frozen=True, slots=True)
class Unusable:
    """It is of the metric's type, but has no value the metric can count."""

    reason: str
    flaw: Flaw


@dataclass(frozen=True, slots=True)
class BeforeEventFrom:
    """It happened before the metric's `eventFrom`."""


Outcome = Counted | Unusable | BeforeEventFrom


class Disposition(StrEnum):
    """What became of a first-seen event as a whole. HIDDEN: a reset came after it."""

    COUNTED = "counted"
    UNMATCHED = "unmatched"
    UNUSABLE = "unusable"
    HIDDEN = "hidden"


def disposition_of(outcomes: Iterable[Outcome]) -> Disposition:
    """Counted if any metric counted it, else unusable if any could not use it, else unmatched."""
    found = Disposition.UNMATCHED
    for outcome in outcomes:
        match outcome:
            case Counted():
                return Disposition.COUNTED
            case Unusable():
                found = Disposition.UNUSABLE
            case BeforeEventFrom():
                continue
    return found

"""Numbers and instants as people read them: every digit, and UTC."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from meterhouse.domain.instant import DAY, Instant, render, to_datetime
from meterhouse.domain.matching import plain


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant for people, in `text`, and for machines."""

    text: str
    machine: str


def moment(instant: Instant) -> Moment:
    """The day, and the minute where it is not its first."""
    minute = "" if instant % DAY == 0 else f", {to_datetime(instant):%H:%M} UTC"
    return Moment(day_of(instant) + minute, render(instant))


def to_the_second(instant: Instant) -> Moment:
    """The day and the second, where minutes are not enough to tell one thing from the next."""
    return Moment(f"{day_of(instant)}, {to_datetime(instant):%H:%M:%S} UTC", render(instant))


def day_of(instant: Instant) -> str:
    """The UTC day that the instant lies in."""
    at = to_datetime(instant)
    return f"{at.day} {at:%B} {at.year}"


def grouped(number: Decimal) -> str:
    """Every digit of it, the whole ones in groups of three."""
    whole, point, fraction = plain(number).partition(".")
    sign, digits = ("\N{MINUS SIGN}", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}{int(digits):,}{point}{fraction}"

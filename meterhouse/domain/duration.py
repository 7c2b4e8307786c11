"""Durations of ISO 8601: so many years, months, weeks, days, hours, minutes and seconds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from meterhouse.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant

_ISO_8601: Final = re.compile(
    r"P(?:(\d{1,9})Y)?(?:(\d{1,9})M)?(?:(\d{1,9})W)?(?:(\d{1,9})D)?"
    r"(?:T(?=\d)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?",
    re.ASCII,
)
_DATE_PARTS: Final = "YMWD"
_TIME_PARTS: Final = "HMS"

# The Gregorian calendar repeats after 400 years.
_CYCLE_MONTHS: Final = 400 * 12
_CYCLE_DAYS: Final = 146_097
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time longer than zero. Years and months follow the calendar; a day is 24 hours, in UTC."""

    years: int = 0
    months: int = 0
    weeks: int = 0
    days: int = 0
    hours: int = 0
    minutes: int = 0
    seconds: int = 0

    def __post_init__(self) -> None:
        if min(self._numbers) < 0 or not any(self._numbers):
            raise ValueError("must be longer than zero")

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read `P1D`, `P1M`, `PT1H`, `P1M2DT3H` … (the pattern of contract 3.8).

        Raises ValueError with a reason that a sender can act on.
        """
        match = _ISO_8601.fullmatch(text)
        if match is None or text == "P":
            raise ValueError("is not an ISO 8601 duration such as P1M, P7D or PT12H, in whole numbers")
        return cls(*(int(number or 0) for number in match.groups()))

    def __str__(self) -> str:
        """ISO 8601, in the parts that it was made of: P12M is not written as P1Y."""
        numbers = self._numbers
        day_part = _written(numbers[:4], _DATE_PARTS)
        time_part = _written(numbers[4:], _TIME_PARTS)
        return f"P{day_part}T{time_part}" if time_part else f"P{day_part}"

    @property
    def calendar_months(self) -> int:
        """The part whose length depends on where it begins."""
        return 12 * self.years + self.months

    @property
    def rest(self) -> Instant:
        """The other part, in microseconds."""
        days = 7 * self.weeks + self.days
        return days * DAY + self.hours * HOUR + self.minutes * MINUTE + self.seconds * SECOND

    def after(self, instant: Instant, times: int = 1) -> Instant:
        """`instant` plus so many of it at once: first all the months, then all the rest.

        A day of the month that a month does not have is its last day, and its time of day stays: 31 January
        plus P1M is 28 or 29 February, plus two P1M is 31 March. It grows strictly with `times`, which may be
        negative: a later month is a later day whatever is cut off at its end.
        """
        months = times * self.calendar_months
        return (_months_after(instant, months) if months else instant) + times * self.rest

    @property
    def _numbers(self) -> tuple[int, ...]:
        return self.years, self.months, self.weeks, self.days, self.hours, self.minutes, self.seconds


def _written(numbers: tuple[int, ...], letters: str) -> str:
    return "".join(f"{number}{letter}" for number, letter in zip(numbers, letters, strict=True) if number)


def _months_after(instant: Instant, months: int) -> Instant:
    days, time_of_day = divmod(instant, DAY)
    cycles, day_of_cycle = divmod(days + _EPOCH_DAY - 1, _CYCLE_DAYS)
    start = date.fromordinal(day_of_cycle + 1)
    more_cycles, month_of_cycle = divmod((start.year - 1) * 12 + start.month - 1 + months, _CYCLE_MONTHS)
    years, month = divmod(month_of_cycle, 12)
    first = date(years + 1, month + 1, 1).toordinal()
    following = date(years + 1 + month // 11, (month + 1) % 12 + 1, 1).toordinal()
    day = first + min(start.day, following - first) - 1
    return (day + (cycles + more_cycles) * _CYCLE_DAYS - _EPOCH_DAY) * DAY + time_of_day

"""Recurrences: the instants that lie whole intervals away from an anchor, before it and after it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

from meterhouse.domain.duration import Duration
from meterhouse.domain.instant import DAY, EARLIEST, LATEST, Instant
from meterhouse.domain.window import Window

_MEAN_MONTH: Final = 146_097 * DAY // (400 * 12)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """`anchor` + k · `interval` for every whole k, each counted from the anchor (contract 10.3, decision 31).

    Only those in the years 1970 to 2199 exist. Each question costs the same wherever the anchor lies.
    """

    anchor: Instant
    interval: Duration

    def within(self, window: Window) -> tuple[Instant, ...]:
        """Those in the half-open `window`, in order."""
        start, end = max(window.start, EARLIEST), min(window.end, LATEST)
        if start >= end:
            return ()
        return tuple(map(self._instant, range(self._first_from(start), self._first_from(end))))

    def last_at_or_before(self, instant: Instant) -> Instant | None:
        """The one whose interval `instant` lies in; None where that began before 1970."""
        last = self._instant(self._first_from(min(instant, LATEST - 1) + 1) - 1)
        return last if last >= EARLIEST else None

    def first_after(self, instant: Instant) -> Instant | None:
        """Where the interval that `instant` lies in ends; None where that is after 2199."""
        first = self._instant(self._first_from(max(instant + 1, EARLIEST)))
        return first if first < LATEST else None

    def _instant(self, k: int) -> Instant:
        return self.interval.after(self.anchor, k)

    def _first_from(self, instant: Instant) -> int:
        """The smallest k whose instant is not before `instant`."""
        length = self.interval.calendar_months * _MEAN_MONTH + self.interval.rest
        near = (instant - self.anchor) // length
        # Months of the calendar stray less than nine days from months of mean length, so k less than one.
        nearby = range(near - 2, near + 4)
        return nearby[0] + bisect_left(nearby, instant, key=self._instant)

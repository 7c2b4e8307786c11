"""Windows: half-open intervals of event time, [start, end), in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from meterhouse.domain.instant import DAY, HOUR, MINUTE, Instant, month_of, month_start


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """Event time from `start` up to, not including, `end`."""

    start: Instant
    end: Instant

    def __contains__(self, instant: Instant) -> bool:
        return self.start <= instant < self.end


class WindowSize(StrEnum):
    """The sizes a reader may ask for. Weeks begin on Monday (ISO 8601)."""

    MINUTE = "MINUTE"
    HOUR = "HOUR"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    YEAR = "YEAR"

    def window_of(self, instant: Instant) -> Window:
        """The one window of this size in the UTC calendar that contains `instant`."""
        if self is WindowSize.MONTH:
            month = month_of(instant)
            following = month + 1 if month % 100 < 12 else month + 89
            return Window(month_start(month), month_start(following))
        if self is WindowSize.YEAR:
            january = month_of(instant) // 100 * 100 + 1
            return Window(month_start(january), month_start(january + 100))
        length = _LENGTH[self]
        start = instant - (instant - _FIRST[self]) % length
        return Window(start, start + length)


_LENGTH = {WindowSize.MINUTE: MINUTE, WindowSize.HOUR: HOUR, WindowSize.DAY: DAY, WindowSize.WEEK: 7 * DAY}
_FIRST = dict.fromkeys(_LENGTH, 0) | {WindowSize.WEEK: 4 * DAY}  # 5 January 1970 was a Monday

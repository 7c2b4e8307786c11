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
    """The sizes a reader may ask for (contract 3.2); each is aligned to the UTC calendar."""

    MINUTE = "MINUTE"
    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"

    def window_of(self, instant: Instant) -> Window:
        """The one window of this size that contains `instant`."""
        if self is WindowSize.MONTH:
            month = month_of(instant)
            following = month + 1 if month % 100 < 12 else month + 89
            return Window(month_start(month), month_start(following))
        length = _LENGTH[self]
        start = instant - instant % length
        return Window(start, start + length)


_LENGTH = {WindowSize.MINUTE: MINUTE, WindowSize.HOUR: HOUR, WindowSize.DAY: DAY}

"""The time of day."""

from __future__ import annotations

import time

from meterhouse.domain.instant import Instant


class SystemClock:
    """The operating system's clock, in UTC."""

    def now(self) -> Instant:
        return time.time_ns() // 1000

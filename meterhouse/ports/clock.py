"""The time of day. Every docstring says what a repeated call does."""

from __future__ import annotations

from typing import Protocol

from meterhouse.domain.instant import Instant


class Clock(Protocol):
    """The only way to the time of day."""

    def now(self) -> Instant: ...

"""Who sent a request, and when its events arrived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ingest.limits import Limits
from meterhouse.domain.instant import Instant
from meterhouse.ports.clock import Clock


class ReceiveTimes:
    """Receive times that grow strictly within one process (contract, decision 20)."""

    __slots__ = ("_clock", "_last")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> Instant:
        """Now, or just after the receive time before it where the clock stood still or went back."""
        self._last = max(self._clock.now(), self._last + 1)
        return self._last


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the wire's events need beside their own text."""

    namespace: str
    limits: Limits
    next_received_at: Callable[[], Instant]

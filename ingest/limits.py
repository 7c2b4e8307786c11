"""How much ingest takes: of one request, and of all requests together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from meterhouse.domain.errors import Overloaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of what is accepted; the defaults are those of the settings."""

    max_event_bytes: int = 256 * 1024
    max_batch_events: int = 10_000
    max_batch_bytes: int = 16 * 1024 * 1024
    max_ahead: timedelta = timedelta(hours=24)
    max_waiting_requests: int = 2_000
    max_waiting_bytes: int = 128 * 1024 * 1024
    max_body_wait: timedelta = timedelta(seconds=30)


class Waiting:
    """What all unanswered requests hold: a full house answers 503 instead of growing."""

    __slots__ = ("_limits", "held_bytes", "requests")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.requests = 0
        self.held_bytes = 0

    def enter(self) -> None:
        """Count one more request; Overloaded (and not counted) when there are too many."""
        if self.requests >= self._limits.max_waiting_requests:
            raise Overloaded("too many requests are waiting; try again")
        self.requests += 1

    def leave(self, held: int) -> None:
        """The request is answered, and the bytes that it held are free."""
        self.requests -= 1
        self.held_bytes -= held

    def hold(self, count: int) -> int:
        """Count bytes of a request and return `count`; Overloaded (and not counted) when it is too much."""
        if self.held_bytes + count > self._limits.max_waiting_bytes:
            raise Overloaded("too many bytes of requests are waiting; try again")
        self.held_bytes += count
        return count

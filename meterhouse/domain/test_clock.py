"""Test clocks: a "now" that a merchant sets, and moves, for subscriptions that run on it (contract 3.8)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final

from meterhouse.domain.duration import Duration
from meterhouse.domain.errors import Invalid
from meterhouse.domain.instant import LATEST, Instant

MOST_YEARS: Final = 10  # an advance; the contract has a limit, and does not say which


@dataclass(frozen=True, slots=True, kw_only=True)
class TestClock:
    """A clock that stands at `stands_at` until somebody advances it. A deleted one stays where it stood."""

    __test__: ClassVar[bool] = False  # to a test runner it looks like a test

    id: str
    merchant_id: str
    name: str | None
    description: str | None
    stands_at: Instant
    created_at: Instant
    updated_at: Instant
    deleted_at: Instant | None = None

    def advance_to(self, instant: Instant, *, at: Instant) -> TestClock:
        """The clock at a later instant; `at` is when that is asked. Raises Invalid."""
        return self._advanced(instant, "currentTime", at)

    def advance_by(self, duration: Duration, *, at: Instant) -> TestClock:
        """The clock so much later; months are those of the calendar. Raises Invalid."""
        return self._advanced(duration.after(self.stands_at), "advanceBy", at)

    def _advanced(self, instant: Instant, field: str, at: Instant) -> TestClock:
        if instant <= self.stands_at:
            raise Invalid.field(field, "must be after the instant that the clock stands at")
        if instant > Duration(years=MOST_YEARS).after(self.stands_at):
            raise Invalid.field(field, f"must not be more than {MOST_YEARS} years ahead of the clock")
        if instant >= LATEST:
            raise Invalid.field(field, "must not lead beyond the year 2199")
        return replace(self, stands_at=instant, updated_at=at)

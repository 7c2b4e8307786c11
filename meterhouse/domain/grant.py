"""Grants: amounts that usage burns down (contract 3.5, 4.6)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from meterhouse.domain.instant import Instant
from meterhouse.domain.recurrence import Recurrence

# What the contract shows where there is no limit, so it limits nothing.
UNLIMITED: Final = Decimal(999_999_999_999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """An amount of usage that is allowed from `effective_at` until it expires or is voided.

    One with a `recurrence` is issued at `effective_at`, and again at each of its later instants: the amount
    is added to what it still has. `reset_max_rollover` and `reset_min_rollover` bound what it keeps at a
    reset; their defaults are those of a grant that is made directly (contract 10, decision 14).
    """

    id: str
    amount: Decimal
    effective_at: Instant
    created_at: Instant
    priority: int = 0
    expires_at: Instant | None = None
    voided_at: Instant | None = None
    reset_max_rollover: Decimal = UNLIMITED
    reset_min_rollover: Decimal = Decimal(0)
    recurrence: Recurrence | None = None

    def __post_init__(self) -> None:
        if not self.amount > 0 or self.reset_max_rollover < 0 or self.reset_min_rollover < 0:
            raise ValueError(f"grant {self.id} has an amount that is not positive, or a negative rollover")

    @property
    def ends_at(self) -> Instant | None:
        """When it stops being active, at the latest: it is active in [effective_at, ends_at)."""
        ends = [end for end in (self.expires_at, self.voided_at) if end is not None]
        return min(ends, default=None)

    @property
    def ends_by_void(self) -> bool:
        """Whether what it has left at its end is voided; else it expires, also when both fall together."""
        if self.voided_at is None:
            return False
        return self.expires_at is None or self.voided_at < self.expires_at

    @property
    def burn_order(self) -> tuple[int, bool, Instant, Instant, str]:
        """Sorts grants as usage burns them: priority, expiry with none last, creation, id (contract 4.6).

        A void is not foreseen, so it changes nothing in what was burned before it.
        """
        expiry = (self.expires_at is None, self.expires_at or 0)
        return (self.priority, *expiry, self.created_at, self.id)

    def rolled_over(self, remainder: Decimal) -> Decimal:
        """What it has after a reset that finds `remainder`: the maximum wins over a greater minimum."""
        kept = max(self.reset_min_rollover, remainder)
        return kept if self.reset_max_rollover >= UNLIMITED else min(self.reset_max_rollover, kept)

"""A balance on its way through time: what happens, and what is used, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from meterhouse.domain.active_grants import ActiveGrants
from meterhouse.domain.allowance import Allowance, Happening, Kind

_NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What became of everything that was granted, and of all usage, since the start.

    granted + raised = burned + expired + voided + rolled_off + what the active grants have left, and
    usage = burned + overage + overage_dropped - credit - credit_dropped; both to the last digit.
    """

    granted: Decimal = _NOTHING
    raised: Decimal = _NOTHING
    burned: Decimal = _NOTHING
    expired: Decimal = _NOTHING
    voided: Decimal = _NOTHING
    rolled_off: Decimal = _NOTHING
    usage: Decimal = _NOTHING
    overage_dropped: Decimal = _NOTHING
    credit_dropped: Decimal = _NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that decides how a balance goes on.

    `remainders` are those of the active grants, by their place in burn order; `burns` those of the period,
    oldest first, as (place, amount).
    """

    remainders: tuple[tuple[int, Decimal], ...] = ()
    burns: tuple[tuple[int, Decimal], ...] = ()
    usage_in_period: Decimal = _NOTHING
    overage: Decimal = _NOTHING
    credit: Decimal = _NOTHING
    totals: Totals = Totals()


class RunningBalance:
    """Applies the rules of meterhouse.domain.balance to `state`, in the decimal context of its caller."""

    def __init__(self, allowance: Allowance, state: State) -> None:
        self._grants = allowance.grants
        self._preserve_overage = allowance.preserve_overage
        self._active = ActiveGrants(self._grants, dict(state.remainders))
        self._burns = list(state.burns)
        self._usage, self._overage, self._credit = state.usage_in_period, state.overage, state.credit
        self._totals = {name: getattr(state.totals, name) for name in Totals.__slots__}

    def state(self) -> State:
        return State(
            remainders=tuple(sorted(self._active.remainders.items())),
            burns=tuple(self._burns),
            usage_in_period=self._usage,
            overage=self._overage,
            credit=self._credit,
            totals=Totals(**self._totals),
        )

    def happen(self, happenings: list[Happening]) -> None:
        """All that happens at one instant, in the order of `Kind`; then overage is paid."""
        for _, kind, rank in happenings:
            if kind is Kind.END:
                self._lose(rank, self._active.end(rank))
            elif kind is Kind.RESET:
                self._reset()
            else:
                self._issue(rank, first=kind is Kind.BEGIN)
        if self._overage:
            self._overage -= self._burn(self._overage)

    def use(self, change: Decimal) -> None:
        """A phase's change of the usage, in which nothing happens."""
        self._usage += change
        self._totals["usage"] += change
        if change > 0:
            returned = min(self._credit, change)
            self._credit -= returned
            rest = change - returned
            self._overage += rest - self._burn(rest)
        elif change < 0:
            forgiven = min(self._overage, -change)
            self._overage -= forgiven
            rest = -change - forgiven
            self._credit += rest - self._give_back(rest)

    def _issue(self, rank: int, *, first: bool) -> None:
        if first:
            self._active.begin(rank)
        amount = self._grants[rank].amount
        self._active.add(rank, amount)
        self._totals["granted"] += amount

    def _reset(self) -> None:
        for difference in self._active.roll_over():
            if difference > 0:
                self._totals["raised"] += difference
            else:
                self._totals["rolled_off"] -= difference
        self._totals["credit_dropped"] += self._credit
        self._usage = self._credit = _NOTHING
        self._burns.clear()
        if not self._preserve_overage:
            self._totals["overage_dropped"] += self._overage
            self._overage = _NOTHING

    def _burn(self, amount: Decimal) -> Decimal:
        """How much of it the active grants had."""
        burned = _NOTHING
        for rank, part in self._active.burn(amount):
            burned += part
            self._burns.append((rank, part))
        self._totals["burned"] += burned
        return burned

    def _give_back(self, amount: Decimal) -> Decimal:
        """Undo the period's burns, newest first; how much of `amount` there was to undo."""
        left = amount
        while left and self._burns:
            rank, burned = self._burns.pop()
            part = min(burned, left)
            if part < burned:
                self._burns.append((rank, burned - part))
            left -= part
            if rank in self._active.remainders:
                self._active.add(rank, part)
            else:
                self._lose(rank, part)
        self._totals["burned"] -= amount - left
        return amount - left

    def _lose(self, rank: int, remainder: Decimal) -> None:
        self._totals["voided" if self._grants[rank].ends_by_void else "expired"] += remainder

"""Burn-down the slow and obvious way: tick by tick, and one unit of usage after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf


@dataclass(frozen=True, kw_only=True)
class PlainGrant:
    """A grant in whole ticks and whole units. `every` so many ticks from `anchor` it is issued again."""

    id: str
    amount: int
    effective: int
    created: int = 0
    priority: int = 0
    expires: int | None = None
    voided: int | None = None
    most: int | None = None
    least: int = 0
    every: int | None = None
    anchor: int = 0

    def ended(self, tick: int) -> bool:
        return tick >= min(self.expires_or_never, inf if self.voided is None else self.voided)

    @property
    def expires_or_never(self) -> float:
        return inf if self.expires is None else self.expires

    def begins(self, start: int) -> int:
        return max(self.effective, start)


@dataclass
class Outcome:
    """Units. `left` has the active grants; `totals` what became of the others, and of usage."""

    left: dict[str, int] = field(default_factory=dict)
    burned_from: list[str] = field(default_factory=list)
    usage: int = 0
    overage: int = 0
    credit: int = 0
    totals: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, kw_only=True)
class PlainAllowance:
    grants: tuple[PlainGrant, ...]
    resets: frozenset[int]
    start: int
    end: int | None
    preserve_overage: bool


def simulate(allowance: PlainAllowance, changes: Mapping[int, int], at: int) -> Outcome:
    """`changes` has the change of usage between a tick and the next."""
    outcome = Outcome()
    for tick in range(allowance.start, at + 1):
        if allowance.end is not None and tick >= allowance.end:
            break
        _happen(outcome, allowance, tick)
        if tick < at:
            _use(outcome, allowance, changes.get(tick, 0))
    return outcome


def _happen(outcome: Outcome, allowance: PlainAllowance, tick: int) -> None:
    for grant in allowance.grants:
        if grant.id in outcome.left and grant.ended(tick):
            _lose(outcome, grant, outcome.left.pop(grant.id))
    if tick in allowance.resets and tick > allowance.start:
        _reset(outcome, allowance)
    for grant in allowance.grants:
        if tick == grant.begins(allowance.start) and not grant.ended(tick):
            outcome.left[grant.id] = grant.amount
            outcome.totals["granted"] += grant.amount
        elif grant.id in outcome.left and grant.every and (tick - grant.anchor) % grant.every == 0:
            outcome.left[grant.id] += grant.amount
            outcome.totals["granted"] += grant.amount
    while outcome.overage and _burn_one(outcome, allowance):
        outcome.overage -= 1


def _reset(outcome: Outcome, allowance: PlainAllowance) -> None:
    for grant in allowance.grants:
        if grant.id in outcome.left:
            before = outcome.left[grant.id]
            kept = max(grant.least, before)
            kept = kept if grant.most is None else min(grant.most, kept)
            outcome.left[grant.id] = kept
            outcome.totals["raised"] += max(kept - before, 0)
            outcome.totals["rolled_off"] += max(before - kept, 0)
    outcome.burned_from, outcome.usage = [], 0
    outcome.totals["credit_dropped"] += outcome.credit
    outcome.credit = 0
    if not allowance.preserve_overage:
        outcome.totals["overage_dropped"] += outcome.overage
        outcome.overage = 0


def _use(outcome: Outcome, allowance: PlainAllowance, change: int) -> None:
    outcome.usage += change
    outcome.totals["usage"] += change
    for _ in range(change):
        if outcome.credit:
            outcome.credit -= 1
        elif not _burn_one(outcome, allowance):
            outcome.overage += 1
    for _ in range(-change):
        if outcome.overage:
            outcome.overage -= 1
        elif outcome.burned_from:
            _give_one_back(outcome, allowance)
        else:
            outcome.credit += 1


def _burn_one(outcome: Outcome, allowance: PlainAllowance) -> bool:
    order = sorted(
        allowance.grants, key=lambda grant: (grant.priority, grant.expires_or_never, grant.created, grant.id)
    )
    for grant in order:
        if outcome.left.get(grant.id):
            outcome.left[grant.id] -= 1
            outcome.burned_from.append(grant.id)
            outcome.totals["burned"] += 1
            return True
    return False


def _give_one_back(outcome: Outcome, allowance: PlainAllowance) -> None:
    id = outcome.burned_from.pop()
    outcome.totals["burned"] -= 1
    if id in outcome.left:
        outcome.left[id] += 1
    else:
        [grant] = [one for one in allowance.grants if one.id == id]
        _lose(outcome, grant, 1)


def _lose(outcome: Outcome, grant: PlainGrant, units: int) -> None:
    void_came_first = grant.voided is not None and grant.voided < grant.expires_or_never
    outcome.totals["voided" if void_came_first else "expired"] += units

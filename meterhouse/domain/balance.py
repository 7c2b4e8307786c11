"""Balances: what is left of an allowance at an instant, worked out from its grants and its usage.

A balance is derived, never stored as truth. The rules (contract 4.6, 10.3), of which
docs/entitlements.md has examples:

1.  A grant is active in [effective_at, ends_at), where the end is its expiry or its void, whichever is first.
2.  Usage burns active grants by priority, lowest first, then earliest expiry, none last, then creation, then
    id. What no grant covers is overage. A balance is never negative.
3.  The answer at an instant has all that happens at that very instant, and usage up to, not including, it.
4.  At one instant, in this order: grants end; the reset; grants begin; recurring grants are issued again;
    then active grants, in burn order, pay the overage there is.
5.  What a grant has left at its end is expired or voided. It counts as expired when both fall together.
6.  At a reset every grant that was active before and still is keeps min(max rollover, max(min rollover,
    remainder)): what is cut is rolled off, what is added is raised. An empty grant is raised too.
7.  A reset begins a period: usage in it starts at 0. Overage is dropped, or carried where the allowance
    preserves it; carried overage is not usage of the new period.
8.  A recurring grant that is issued again keeps what it has, and the amount is added to it.
9.  Usage that grows first uses the period's credit up, then burns grants, then is overage.
10. Usage that falls first takes overage back, then undoes the period's burns, newest first. What is given
    back to a grant that has ended is lost as its remainder was; what there is no burn for is credit.
11. A reset forgets the period's burns and drops its credit.
12. Nothing is granted before the allowance's start, and nothing happens at its end or later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import NamedTuple

from meterhouse.domain.allowance import Allowance, Happening, timeline
from meterhouse.domain.grant import Grant
from meterhouse.domain.instant import Instant
from meterhouse.domain.rollup import EXACT
from meterhouse.domain.running_balance import RunningBalance, State, Totals


class Phase(NamedTuple):
    """A piece [start, end) of time in which nothing happens to grants, and the change of usage in it."""

    start: Instant
    end: Instant
    change: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state at a reset, with all that it was made from: it cannot be mistaken for the state of others.

    The first phase of `usage` tells the start.
    """

    at: Instant
    grants: tuple[Grant, ...]
    resets: tuple[Instant, ...]
    preserve_overage: bool
    usage: tuple[Phase, ...]
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What is left at `at`, never below 0; `overage` is the usage that no grant has covered.

    `remainders` has the active grants by id, also the empty ones. `usage_in_period` is the usage since the
    last reset; `credit` how much of it may come yet without burning anything, since as much was taken back.
    """

    at: Instant
    balance: Decimal
    usage_in_period: Decimal
    overage: Decimal
    credit: Decimal
    remainders: Mapping[str, Decimal]
    totals: Totals
    snapshot: Snapshot | None


def burn_down(
    allowance: Allowance, usage: Sequence[Phase], at: Instant, *, snapshot: Snapshot | None = None
) -> Balance:
    """The balance at `at`, or at the end of the allowance if that comes first.

    `usage` has the phases between `cuts(allowance, at)`, or between more instants; else ValueError. It goes
    on from `snapshot`, which an earlier answer had, if all that the snapshot was made from is still the same.
    """
    last, phases = allowance.last(at), tuple(usage)
    happenings = dict(timeline(allowance, last))
    _check(phases, allowance.start, last, happenings)
    with localcontext(EXACT):
        known = snapshot if snapshot and _holds(snapshot, allowance, phases) else None
        return _answer(allowance, last, *_run(allowance, phases, last, happenings, known))


def _check(phases: tuple[Phase, ...], start: Instant, last: Instant, happenings: Iterable[Instant]) -> None:
    """Phases follow each other from `start` to `last`, and nothing happens inside of one."""
    bounds = [phase.start for phase in phases] + [max(start, last)]
    joined = all(phase.end == after for phase, after in zip(phases, bounds[1:], strict=True))
    if not joined or bounds[0] != start or any(one >= other for one, other in pairwise(bounds)):
        raise ValueError("the phases of usage do not follow each other from the start to the end")
    if not set(bounds).issuperset(happenings):
        raise ValueError("something happens in the middle of a phase of usage")


def _holds(snapshot: Snapshot, allowance: Allowance, phases: tuple[Phase, ...]) -> bool:
    """Whether a run from the start would come to the same state at the same instant."""
    return snapshot == _taken(allowance, phases, snapshot.at, snapshot.state)


def _taken(allowance: Allowance, phases: tuple[Phase, ...], at: Instant, state: State) -> Snapshot:
    return Snapshot(
        at=at,
        grants=allowance.grants,
        resets=allowance.resets_by(at),
        preserve_overage=allowance.preserve_overage,
        usage=tuple(phase for phase in phases if phase.end <= at),
        state=state,
    )


def _run(
    allowance: Allowance,
    phases: tuple[Phase, ...],
    last: Instant,
    happenings: Mapping[Instant, list[Happening]],
    snapshot: Snapshot | None,
) -> tuple[State, Snapshot | None]:
    """The state at `last`, and the snapshot of the last reset by then."""
    done = snapshot.at if snapshot else allowance.start - 1
    running = RunningBalance(allowance, snapshot.state if snapshot else State())
    changes = {phase.start: phase.change for phase in phases if phase.start >= done}
    last_reset = max(allowance.resets_by(last), default=done)
    for instant in sorted(changes.keys() | happenings.keys()):
        if instant > done and instant in happenings:
            running.happen(happenings[instant])
            if instant == last_reset:
                snapshot = _taken(allowance, phases, instant, running.state())
        if instant in changes:
            running.use(changes[instant])
    return running.state(), snapshot


def _answer(allowance: Allowance, at: Instant, state: State, snapshot: Snapshot | None) -> Balance:
    remainders = {allowance.grants[rank].id: left for rank, left in state.remainders}
    return Balance(
        at=at,
        balance=sum(remainders.values(), Decimal(0)),
        usage_in_period=state.usage_in_period,
        overage=state.overage,
        credit=state.credit,
        remainders=remainders,
        totals=state.totals,
        snapshot=snapshot,
    )

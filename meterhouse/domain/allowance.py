"""Allowances: what may be used over time, and the instants at which that changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain, groupby
from operator import itemgetter
from typing import NamedTuple

from meterhouse.domain.grant import Grant
from meterhouse.domain.instant import Instant
from meterhouse.domain.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """The grants of an entitlement, which are kept in burn order, and when it is reset, ascending.

    It begins at `start`: grants that are effective before begin there, resets up to it do not happen,
    usage before it does not count. Nothing happens at `end` any more: what there is then stays.
    """

    start: Instant
    end: Instant | None = None
    grants: tuple[Grant, ...]
    resets: tuple[Instant, ...] = ()
    preserve_overage: bool = False

    def __post_init__(self) -> None:
        if len({grant.id for grant in self.grants}) < len(self.grants):
            raise ValueError("two grants have the same id")
        object.__setattr__(self, "grants", tuple(sorted(self.grants, key=lambda grant: grant.burn_order)))

    def last(self, at: Instant) -> Instant:
        """The instant whose balance is the one of `at`: the end, once that has come."""
        return at if self.end is None else min(at, self.end)

    def happening(self, at: Instant) -> Window:
        """When things happen, up to and including `at`."""
        return Window(self.start, at + 1 if self.end is None else min(at + 1, self.end))

    def resets_by(self, at: Instant) -> tuple[Instant, ...]:
        """The resets that happen, up to and including `at`."""
        happening = self.happening(at)
        return tuple(reset for reset in self.resets if reset > self.start and reset in happening)


class Kind(IntEnum):
    """What happens at one instant, in this order: a grant that ends at a reset is not rolled over by it."""

    END = 0
    RESET = 1
    BEGIN = 2
    ISSUE_AGAIN = 3


class Happening(NamedTuple):
    """`rank` is the place of the grant in burn order; -1 for a reset, which is of all of them."""

    instant: Instant
    kind: Kind
    rank: int


def timeline(allowance: Allowance, at: Instant) -> list[tuple[Instant, list[Happening]]]:
    """What happens up to and including `at`: by instant, and at one instant in the order of `Kind`."""
    period = allowance.happening(at)
    resets = (Happening(reset, Kind.RESET, -1) for reset in allowance.resets_by(at))
    ranked = enumerate(allowance.grants)
    grants = chain.from_iterable(_happenings(grant, rank, period) for rank, grant in ranked)
    happenings = sorted(one for one in chain(resets, grants) if one.instant in period)
    return [(instant, list(together)) for instant, together in groupby(happenings, key=itemgetter(0))]


def _happenings(grant: Grant, rank: int, period: Window) -> Iterator[Happening]:
    begins, ends = max(grant.effective_at, period.start), grant.ends_at
    if ends is not None and ends <= begins:
        return
    yield Happening(begins, Kind.BEGIN, rank)
    if ends is not None:
        yield Happening(ends, Kind.END, rank)
    if grant.recurrence is not None:
        active = Window(begins + 1, period.end if ends is None else min(ends, period.end))
        for instant in grant.recurrence.within(active):
            yield Happening(instant, Kind.ISSUE_AGAIN, rank)


def cuts(allowance: Allowance, at: Instant) -> tuple[Instant, ...]:
    """The boundaries of the phases whose usage `burn_down` needs for its answer at `at`, ascending.

    They go from the start to `at`, or to the end of the allowance if that comes first, with each change of
    what usage burns among them. None before the start; one alone means that there is no phase.
    """
    last = allowance.last(at)
    if last < allowance.start:
        return ()
    instants = {instant for instant, _ in timeline(allowance, last)}
    return tuple(sorted(instants | {allowance.start, last}))

"""The grants that are active, and what each has left, while a balance is worked out."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from heapq import heappop, heappush

from meterhouse.domain.grant import Grant

_NOTHING = Decimal(0)


class ActiveGrants:
    """What the active of `grants` have left, by their rank: their place in burn order.

    A burn looks at the first grant that has something, a reset at those alone that changed since the one
    before: rolling over what was rolled over already changes nothing, whatever the bounds.
    """

    def __init__(self, grants: tuple[Grant, ...], remainders: Mapping[int, Decimal]) -> None:
        self._grants = grants
        self.remainders = dict(remainders)
        self._changed = set(remainders)
        self._queue = sorted(remainders)  # a heap: every rank that has something left, and some that have not
        self._queued = set(remainders)

    def begin(self, rank: int) -> None:
        self.remainders[rank] = _NOTHING
        self._changed.add(rank)

    def end(self, rank: int) -> Decimal:
        """What it still had."""
        self._changed.discard(rank)
        return self.remainders.pop(rank)

    def add(self, rank: int, amount: Decimal) -> None:
        self._set(rank, self.remainders[rank] + amount)
        if rank not in self._queued:
            self._queued.add(rank)
            heappush(self._queue, rank)

    def burn(self, amount: Decimal) -> list[tuple[int, Decimal]]:
        """Take as much of `amount` as there is: from which grant how much, in burn order."""
        burned = []
        while amount and self._queue:
            rank = self._queue[0]
            left = self.remainders.get(rank, _NOTHING)
            if left:
                part = min(left, amount)
                amount -= part
                self._set(rank, left - part)
                burned.append((rank, part))
            else:
                self._queued.discard(heappop(self._queue))
        return burned

    def roll_over(self) -> list[Decimal]:
        """Reset them: by how much grants were raised, or cut where that is negative."""
        differences = []
        for rank in tuple(self._changed):
            before = self.remainders[rank]
            difference = self._grants[rank].rolled_over(before) - before
            if difference:
                self.add(rank, difference)
                differences.append(difference)
        self._changed.clear()
        return differences

    def _set(self, rank: int, remainder: Decimal) -> None:
        self.remainders[rank] = remainder
        self._changed.add(rank)

"""Changes of price intervals: the record of an edit, what it made of what (contract 2.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from meterhouse.domain.instant import Instant
from meterhouse.domain.price_interval import PriceInterval
from meterhouse.domain.subscription import ChangeReason


class IntervalDifference(NamedTuple):
    """An interval before and after an edit: None before where it was added, after where it was removed."""

    before: PriceInterval | None
    after: PriceInterval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalChange:
    """What an edit did to a subscription's intervals, and why. `created_at` is of the real world.

    `entries` are documents of the wire (`intervalId`, `before`, `after`): what was true when it was done.
    """

    id: str
    merchant_id: str
    subscription_id: str
    reason: ChangeReason
    description: str | None
    metadata: Mapping[str, Any]
    entries: tuple[Mapping[str, Any], ...]
    created_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalChangeFilter:
    """Which changes: of a subscription, recorded in [since, until), for a reason."""

    subscription_id: str | None = None
    since: Instant | None = None
    until: Instant | None = None
    reason: ChangeReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What an edit came to: all the intervals, and its record, None where it changed nothing."""

    intervals: tuple[PriceInterval, ...]
    change: IntervalChange | None


def differences(
    were: Iterable[PriceInterval], are: Iterable[PriceInterval]
) -> tuple[IntervalDifference, ...]:
    """What is otherwise, by when it starts."""
    before, after = {one.id: one for one in were}, {one.id: one for one in are}
    found = [
        IntervalDifference(before.get(id), after.get(id))
        for id in {**before, **after}
        if before.get(id) != after.get(id)
    ]
    return tuple(sorted(found, key=_start))


def _start(one: IntervalDifference) -> tuple[Instant, str]:
    interval = one.before or one.after
    assert interval is not None, "one of both is there"
    return interval.start, interval.id

"""What an edit of price intervals cannot come to (what the published clients say of the operation).

It may not change what is billed already, leave a gap or an overlap, or charge a price once more that is
charged once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, TypeVar

from meterhouse.domain.errors import Conflict, Invalid, Problem
from meterhouse.domain.instant import Instant, render
from meterhouse.domain.price import StandardRate
from meterhouse.domain.price_interval import PriceInterval, WrittenInterval, ending
from meterhouse.domain.timeline import Timeline

BILLED: Final = "BILLING_PERIOD_EXISTS"
OVERLAP: Final = "INTERVALS_OVERLAP"
GAP: Final = "INTERVALS_GAP"
TWICE: Final = "ONE_OFF_BILLED_TWICE"
VERSION: Final = "PLAN_VERSION_MISMATCH"

T = TypeVar("T", PriceInterval, WrittenInterval)


def require_written(one: WrittenInterval, timeline: Timeline, place: str) -> None:
    """Raises Invalid, for fields of `place`, with everything that an interval alone cannot be."""
    problems = tuple(
        [
            Problem(f"{place}.{problem.field}", problem.message, problem.code)
            for problem in (*_of_times(one, timeline), *_of_charge(one))
        ]
    )
    if problems:
        raise Invalid("; ".join([f"{each.field}: {each.message}" for each in problems]), problems)


def _of_times(one: WrittenInterval, timeline: Timeline) -> Iterator[Problem]:
    if one.start < timeline.subscription.started_at:
        yield Problem("startDate", "must not be before the start of the subscription")
    if one.start >= ending(timeline.end):
        yield Problem("startDate", "must be before the end of the subscription")
    if one.end is not None and one.end <= one.start:
        yield Problem("endDate", "must be after startDate")
    elif one.end is not None and one.end > ending(timeline.end):
        yield Problem("endDate", "must not be after the end of the subscription")
    date = one.charge.bill_date
    if one.charge.billing_cadence is not None:
        if date is not None:
            yield Problem("billDate", "is for one_off alone")
    elif date is None:
        yield Problem("billDate", "is required for one_off", "required")
    elif not one.start <= date < ending(one.end):
        yield Problem("billDate", "must be from startDate to endDate, which is not included")


def _of_charge(one: WrittenInterval) -> Iterator[Problem]:
    charge = one.charge
    if charge.unit_price is not None and not isinstance(charge.price.rate, StandardRate):
        yield Problem("unitPrice", f"must be null, as the price is {charge.price.model.value}")
    if charge.price.fee_id is None and (charge.base_quantity != 1 or charge.steps):
        message = (
            "is 1 without transitions, as the price is of what is metered: its quantity is what was used"
        )
        yield Problem("baseQuantity", message)
    if charge.billing_cadence is None and charge.steps:
        yield Problem("quantityTransitions", "are not for one_off")
    before = one.start
    for number, step in enumerate(charge.steps):
        if not before < step.at < ending(one.end):
            message = "must be after the one before and after startDate, and before endDate"
            yield Problem(f"quantityTransitions.{number}.effectiveDate", message)
        before = step.at


def require_sound(before: Timeline, after: Timeline, now: Instant) -> None:
    """Raises Conflict for what an edit of the one into the other cannot come to at `now`, of its clock."""
    were, are = before.intervals(), after.intervals()
    _require_apart(after)
    _require_gapless(were, are)
    _require_once(were, are)
    _require_unbilled(before, were, are, now)


def _require_apart(after: Timeline) -> None:
    for some in _by_key(after.written).values():
        for one, other in pairwise(some):
            if ending(one.end) > other.start:
                raise Conflict(f"{one.id} and {other.id} both charge {one.key}", code=OVERLAP)
    for one in after.written:
        if one.is_owned and one.key in after.keys_within(one.start, one.end):
            raise Conflict(f"{one.id} and a line of the plan both charge {one.key}", code=OVERLAP)


def _require_gapless(were: Sequence[PriceInterval], are: Sequence[PriceInterval]) -> None:
    new = set(_gaps(are)) - set(_gaps(were))
    for key, start, end in sorted(new):
        raise Conflict(f"nothing charges {key} from {render(start)} to {render(end)}", code=GAP)


def _gaps(intervals: Sequence[PriceInterval]) -> Iterator[tuple[str, Instant, Instant]]:
    recurring = [one for one in intervals if one.charge.billing_cadence is not None]
    for key, some in _by_key(recurring).items():
        for one, following in pairwise(some):
            if ending(one.end) < following.start:
                yield key, ending(one.end), following.start


def _require_once(were: Sequence[PriceInterval], are: Sequence[PriceInterval]) -> None:
    had, have = _charged_once(were), _charged_once(are)
    for id, count in have.items():
        if count > max(1, had[id]):
            raise Conflict(f"the price {id} charges once, and not {count} times", code=TWICE)


def _charged_once(intervals: Iterable[PriceInterval]) -> Counter[str]:
    return Counter([one.charge.price.id for one in intervals if one.charge.billing_cadence is None])


def _require_unbilled(
    timeline: Timeline, were: Sequence[PriceInterval], are: Sequence[PriceInterval], now: Instant
) -> None:
    before, after = _by_key(were), _by_key(are)
    for key in sorted({*before, *after}):
        some, others = before.get(key, ()), after.get(key, ())
        for cut in sorted({*_cuts(some), *_cuts(others)}):
            was, is_now = _at(some, cut), _at(others, cut)
            if _told(was, cut) == _told(is_now, cut):
                continue
            for one in (was, is_now):
                if one is not None and one.billed_until(timeline.subscription, now) > cut:
                    raise Conflict(f"what {key} charges from {render(cut)} on is billed already", code=BILLED)


def _cuts(intervals: Iterable[PriceInterval]) -> Iterator[Instant]:
    """Where what is charged may become something else."""
    for one in intervals:
        if one.charge.bill_date is not None:
            yield from (one.charge.bill_date, one.charge.bill_date + 1)
            continue
        yield one.start
        yield from (step.at for step in one.charge.steps)
        if one.end is not None:
            yield one.end


def _at(intervals: Iterable[PriceInterval], instant: Instant) -> PriceInterval | None:
    return next(
        (one for one in intervals if one.charge.bill_date in (None, instant) and instant in one), None
    )


def _told(one: PriceInterval | None, at: Instant) -> object:
    """All that decides about what is charged at an instant."""
    if one is None:
        return None
    charge = one.charge
    return (
        charge.price.id,
        charge.resolved_unit_price,
        charge.quantity(at),
        charge.billing_cadence,
        charge.is_in_advance,
        charge.bill_date,
    )


def _by_key(intervals: Iterable[T]) -> Mapping[str, Sequence[T]]:
    """By their start, in each."""
    found: defaultdict[str, list[T]] = defaultdict(list)
    for one in sorted(intervals, key=lambda one: one.start):
        found[one.key].append(one)
    return found

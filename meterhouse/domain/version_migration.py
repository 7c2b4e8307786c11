"""Moving one subscription to a version of its plan that is named (what the published clients say of it)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from meterhouse.domain.duration import Duration
from meterhouse.domain.entitlement import Metered
from meterhouse.domain.errors import Conflict, Invalid
from meterhouse.domain.instant import Instant
from meterhouse.domain.plan import PlanVersion, TransitionDate, VersionLine
from meterhouse.domain.price import Price
from meterhouse.domain.price_interval import Span, WrittenInterval, ending, next_boundary, switched
from meterhouse.domain.provision import Offer, offers_of, template_for
from meterhouse.domain.recurrence import Recurrence
from meterhouse.domain.subscription import Subscription

NOT_LIVE: Final = "SUBSCRIPTION_NOT_LIVE"
ENDS_FIRST: Final = "SUBSCRIPTION_ENDS_BEFORE_BOUNDARY"
RATE: Final = "OVERRIDE_RATE_CHANGES"
FEATURE: Final = "FEATURE_CHANGES"
COVERED: Final = "PRICE_ALREADY_COVERED"


class Timing(StrEnum):
    """When a migration takes effect: all of it with the next period, or what is not billed yet at once."""

    NEXT_PERIOD = "next_period"
    IMMEDIATE = "immediate"

    @classmethod
    def of(cls, transition: TransitionDate) -> Timing:
        return cls.IMMEDIATE if transition is TransitionDate.IMMEDIATE else cls.NEXT_PERIOD


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationAsked:
    """Which version to move to; `timing` None is that of the plan."""

    number: int
    timing: Timing | None
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What a migration came to. `effective_at` is when prices in advance are those of the version, None where
    nothing moved.
    """

    subscription: Subscription
    from_number: int
    to_number: int
    effective_at: Instant | None = None
    entitlements_effective_at: Instant | None = None
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """When a subscription moves: from `boundary` on all is charged by the version, what is in arrears from
    `arrears_from` on, and it is entitled by it from `entitled_from` on.
    """

    boundary: Instant
    arrears_from: Instant
    entitled_from: Instant


def planned(subscription: Subscription, timing: Timing, wall: Instant) -> Move:
    """Raises Conflict for a subscription that is over, or ends before another version can charge it."""
    if subscription.ended(wall) is not None:
        raise Conflict(f"the subscription {subscription.id} is terminated", code=NOT_LIVE)
    now = subscription.now(wall)
    boundary = next_boundary(
        started_at=subscription.started_at,
        anchor=subscription.billing_anchor,
        cadence=subscription.billing_cadence,
        now=now,
    )
    if boundary is None or ending(subscription.terms.ending_at) <= boundary:
        message = f"the subscription {subscription.id} ends with this billing period, or before it"
        raise Conflict(message, code=ENDS_FIRST)
    if timing is Timing.NEXT_PERIOD or now < subscription.started_at:
        return Move(boundary=boundary, arrears_from=boundary, entitled_from=boundary)
    periods = Recurrence(subscription.billing_anchor, Duration.parse(subscription.billing_cadence))
    began = periods.last_at_or_before(now)
    start = subscription.started_at if began is None else max(began, subscription.started_at)
    return Move(boundary=boundary, arrears_from=start, entitled_from=now)


def moved(spans: Sequence[Span], move: Move, number: int) -> tuple[Span, ...]:
    """The spans once the version charges, whatever was to begin later."""
    if move.arrears_from == move.boundary:
        return switched(spans, move.boundary, number)
    current = [span for span in spans if span.start < move.boundary][-1]
    advance = current.number if current.advance_number is None else current.advance_number
    if advance == number:
        return switched(spans, move.arrears_from, number)
    before = tuple([span for span in spans if span.start < move.arrears_from])
    return (*before, Span(move.arrears_from, number, advance), Span(move.boundary, number))


def require_movable(
    old: PlanVersion, new: PlanVersion, written: Sequence[WrittenInterval], move: Move
) -> None:
    """Raises Conflict where the version would mean something else to what goes on beyond the move."""
    lines = {line.key: line for line in new.lines}
    sold = {line.price.id for line in new.lines}
    for one in written:
        if ending(one.end) <= move.arrears_from:
            continue
        if one.is_owned and (one.key in lines or one.charge.price.id in sold):
            raise Conflict(
                f"the interval {one.id} of the subscription covers {one.key} already", code=COVERED
            )
        line = lines.get(one.key)
        if line is None or one.is_owned or one.charge.unit_price is None:
            continue
        if _unit(line.price) != _unit(one.charge.price):
            message = f"the rate of the interval {one.id} would be of something else than {line.price.id}"
            raise Conflict(message, code=RATE)
    for key in _changed_features(old.lines, new.lines):
        message = f"the feature {key} would have another usage period, billable metric or pricing unit"
        raise Conflict(message, code=FEATURE)


def _unit(price: Price) -> object:
    """What a rate of the price is of."""
    return price.billable_metric_id, price.fee_id, price.model, price.rate_type, price.pricing_unit_id


def _changed_features(old: Sequence[VersionLine], new: Sequence[VersionLine]) -> Iterator[str]:
    before, after = _counted(old), _counted(new)
    for id, (offer, how) in before.items():
        if id in after and after[id][1] != how:
            yield offer.feature.key


def _counted(lines: Sequence[VersionLine]) -> Mapping[str, tuple[Offer, object]]:
    """By feature, how what is used of it is counted."""
    units: dict[str, set[str | None]] = {}
    for line in lines:
        if line.price.feature is not None:
            units.setdefault(line.price.feature.feature.id, set()).add(line.price.pricing_unit_id)
    found: dict[str, tuple[Offer, object]] = {}
    for offer in offers_of(lines):
        try:
            template = template_for(offer)
        except Invalid:
            continue  # nothing is counted, as it cannot be provisioned
        period = template.usage_period if isinstance(template, Metered) else None
        interval = None if period is None else period.interval
        found[offer.feature.id] = (offer, (interval, offer.billable_metric_id, units[offer.feature.id]))
    return found

"""Price intervals: which prices a subscription is charged by, from when until when (contract 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from meterhouse.domain.duration import Duration
from meterhouse.domain.instant import LATEST, Instant
from meterhouse.domain.plan import PlanVersion
from meterhouse.domain.price import PercentageRate, Price, Rate, StandardRate, VolumeRate
from meterhouse.domain.recurrence import Recurrence
from meterhouse.domain.subscription import Subscription


class Span(NamedTuple):
    """From `start` on a subscription is charged by the version of that number; what is charged in advance by
    that of `advance_number`, where it is one.
    """

    start: Instant
    number: int
    advance_number: int | None = None


class QuantityStep(NamedTuple):
    """From `at` on an interval charges that quantity."""

    at: Instant
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What an interval charges. One that charges once has its date; any other a cadence (ISO 8601).

    `unit_price` None is the rate of the price itself. `steps` ascend.
    """

    price: Price
    unit_price: Decimal | None = None
    base_quantity: Decimal
    steps: tuple[QuantityStep, ...] = ()
    billing_cadence: str | None
    is_in_advance: bool
    bill_date: Instant | None

    def quantity(self, at: Instant) -> Decimal:
        steps = [step.quantity for step in self.steps if step.at <= at]
        return steps[-1] if steps else self.base_quantity

    @property
    def resolved_unit_price(self) -> Decimal:
        """What a unit costs just now: of a price with several rates, what its first unit does."""
        return _first_rate(self.price.rate) if self.unit_price is None else self.unit_price


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenInterval:
    """What somebody wrote over the lines of a plan's versions, or beside them where it `is_owned`.

    In [start, end), None for as long as the subscription, or the line that it is written over, goes on.
    """

    id: str
    key: str
    is_owned: bool
    charge: Charge
    start: Instant
    end: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceInterval:
    """What charges a subscription in [start, end), None where that is open.

    It is of the version that the plan's line, or the whole subscription, is at when it starts.
    """

    id: str
    key: str
    is_owned: bool = False
    plan_version_id: str
    charge: Charge
    start: Instant
    end: Instant | None

    def __contains__(self, instant: Instant) -> bool:
        return self.start <= instant < ending(self.end)

    def is_in(self, version: PlanVersion) -> bool:
        """Whether a line of the version charges just this."""
        return any((line.key, line.price.id) == (self.key, self.charge.price.id) for line in version.lines)

    def billed_until(self, subscription: Subscription, now: Instant) -> Instant:
        """Up to where it is billed: a period in advance once it has begun, one in arrears once it is over.

        What begins just `now` is not billed yet.
        """
        charge = self.charge
        if self.start >= now:
            return self.start
        if charge.billing_cadence is None:
            assert charge.bill_date is not None, "it has one or the other"
            return charge.bill_date + 1 if charge.bill_date < now else self.start
        periods = Recurrence(subscription.billing_anchor, Duration.parse(charge.billing_cadence))
        if charge.is_in_advance:
            return ending(periods.first_after(now - 1))
        last = periods.last_at_or_before(now)
        return self.start if last is None else max(self.start, last)


def ending(end: Instant | None) -> Instant:
    """An end that can be compared: what is open ends after all that there is."""
    return LATEST if end is None else end


def _first_rate(rate: Rate) -> Decimal:
    match rate:
        case StandardRate():
            return rate.unit_price
        case VolumeRate():
            return rate.tiers[0].unit_price
        case PercentageRate():
            return rate.percentage
        case _:
            return rate.min_price


def next_boundary(*, started_at: Instant, anchor: Instant, cadence: str, now: Instant) -> Instant | None:
    """When another version can charge first: at the next billing period, or at a start that is to come.

    Periods are whole `cadence`s (ISO 8601) away from `anchor`. None where that lies after 2199.
    """
    if now < started_at:
        return started_at
    return Recurrence(anchor, Duration.parse(cadence)).first_after(now)


def switched(spans: Sequence[Span], boundary: Instant, number: int) -> tuple[Span, ...]:
    """The spans once a version charges from the boundary on, whatever was to begin then or later."""
    before = tuple([span for span in spans if span.start < boundary])
    if before and before[-1][1:] == (number, None):
        return before
    return (*before, Span(boundary, number))

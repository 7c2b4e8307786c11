"""Price intervals: which prices a subscription is charged by, from when until when (contract 2.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import zip_longest
from typing import Final, NamedTuple

from meterhouse.domain.duration import Duration
from meterhouse.domain.instant import Instant
from meterhouse.domain.plan import PlanVersion, VersionLine
from meterhouse.domain.price import PaymentTerm, Price
from meterhouse.domain.recurrence import Recurrence
from meterhouse.domain.subscription import Subscription

_ONCE: Final = "P0D"  # the cadence of a price that is charged once


class Span(NamedTuple):
    """From `start` on a subscription is charged by the version of that number."""

    start: Instant
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceInterval:
    """A line of a version, as long as it charges a subscription: in [start, end), None where that is open.

    One that charges once has its date; any other a cadence (ISO 8601).
    """

    id: str
    price: Price
    key: str
    plan_version_id: str
    billing_cadence: str | None
    bill_date: Instant | None
    start: Instant
    end: Instant | None

    @property
    def is_in_advance(self) -> bool:
        return self.price.payment_term is not PaymentTerm.IN_ARREARS


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
    if before and before[-1].number == number:
        return before
    return (*before, Span(boundary, number))


def intervals_of(
    subscription: Subscription, spans: Sequence[Span], versions: Mapping[int, PlanVersion]
) -> tuple[PriceInterval, ...]:
    """All intervals by their start, those that ended and those to come among them.

    What charges once does so in the first of the versions that have it.
    """
    last = subscription.terms.ending_at if subscription.termination is None else subscription.termination.at
    found: list[PriceInterval] = []
    charged: set[tuple[str, str]] = set()
    for span, following in zip_longest(spans, spans[1:]):
        ends = [one for one in (last, following and following.start) if one is not None]
        end = min(ends, default=None)
        if end is not None and end <= span.start:
            continue
        version = versions[span.number]
        found += _of_version(subscription, span, end, version, charged)
        charged |= {(line.key, line.price.id) for line in version.lines}
    return tuple(found)


def _of_version(
    subscription: Subscription,
    span: Span,
    end: Instant | None,
    version: PlanVersion,
    charged: Iterable[tuple[str, str]],
) -> Iterator[PriceInterval]:
    for line in version.lines:
        is_once = line.price.billing_cadence == _ONCE
        if is_once and (line.key, line.price.id) in charged:
            continue
        yield PriceInterval(
            id=_id(subscription, span, line),
            price=line.price,
            key=line.key,
            plan_version_id=version.id,
            billing_cadence=None if is_once else line.price.billing_cadence or subscription.billing_cadence,
            bill_date=span.start if is_once else None,
            start=span.start,
            end=end,
        )


def _id(subscription: Subscription, span: Span, line: VersionLine) -> str:
    """The same whenever it is asked for: an interval is known by when it starts, and its line."""
    return f"int_{sha256(f'{subscription.id} {span.start} {line.key}'.encode()).hexdigest()[:24]}"

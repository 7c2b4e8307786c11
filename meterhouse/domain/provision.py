"""What a version of a plan entitles its subscribers to: each of its features once (contract 4.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from meterhouse.domain.entitlement import Boolean, Metered, Static, Template, type_of
from meterhouse.domain.errors import Invalid
from meterhouse.domain.feature import Feature, FeatureType
from meterhouse.domain.instant import Instant
from meterhouse.domain.plan import VersionLine
from meterhouse.domain.price_interval import PriceInterval, ending
from meterhouse.domain.template_document import template_of

_ONCE: Final = "P0D"  # the cadence of a price that is charged once


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A feature that lines of a version bring, and how.

    `template` is the one that the first of them gives, None where none does; `billable_metric_id` the first
    one that they join the feature with; `is_billed` whether any of them charges money period by period.
    """

    feature: Feature
    template: Mapping[str, object] | None
    billable_metric_id: str | None
    is_billed: bool


class Offered(NamedTuple):
    """What is offered without a break in [start, end), None where that is open."""

    offer: Offer
    start: Instant
    end: Instant | None


def offers_of(lines: Iterable[VersionLine]) -> tuple[Offer, ...]:
    """What the lines offer, a feature once, in their order."""
    by_feature: dict[str, list[VersionLine]] = {}
    for line in lines:
        if line.price.feature is not None:
            by_feature.setdefault(line.price.feature.feature.id, []).append(line)
    return tuple([_offer(some) for some in by_feature.values()])


def offered(intervals: Iterable[PriceInterval], since: Instant) -> tuple[Offered, ...]:
    """What intervals, by their start, offer from `since` on: a feature as often as it begins anew."""
    by_feature: dict[str, list[list[PriceInterval]]] = {}
    for one in intervals:
        if one.charge.price.feature is None or ending(one.end) <= since:
            continue
        stretches = by_feature.setdefault(one.charge.price.feature.feature.id, [])
        if stretches and one.start <= max(ending(each.end) for each in stretches[-1]):
            stretches[-1].append(one)
        else:
            stretches.append([one])
    return tuple([_offered(some, since) for stretches in by_feature.values() for some in stretches])


def _offered(intervals: list[PriceInterval], since: Instant) -> Offered:
    lines = [VersionLine(key=one.key, price=one.charge.price, is_price_deleted=False) for one in intervals]
    is_open = any(one.end is None for one in intervals)
    end = None if is_open else max(ending(one.end) for one in intervals)
    return Offered(_offer(lines), max(since, intervals[0].start), end)


def _offer(lines: list[VersionLine]) -> Offer:
    prices = [line.price for line in lines]
    links = [price.feature for price in prices if price.feature is not None]
    metrics = (price.billable_metric_id for price in prices)
    return Offer(
        feature=links[0].feature,
        template=next((link.template for link in links if link.template is not None), None),
        billable_metric_id=next((id for id in metrics if id is not None), None),
        is_billed=any(price.pricing_unit_id is None and price.billing_cadence != _ONCE for price in prices),
    )


def template_for(offer: Offer) -> Template:
    """What the feature is provisioned with. Raises Invalid where the template is of another type than it.

    Without a template, or with one that says no type, it is the bare feature: metered, nothing is included
    and the limit is hard, so that only grants give access; static, its configuration is empty.
    """
    feature, document = offer.feature, offer.template
    if document is None or document.get("type") not in (*FeatureType,):
        return _BARE[feature.type]
    template = template_of(document)
    if type_of(template) is not feature.type:
        message = f"offers the feature {feature.key} as {type_of(template)}, but it is {feature.type}"
        raise Invalid.field("planId", message)
    return template


_BARE: Final[Mapping[FeatureType, Template]] = {
    FeatureType.BOOLEAN: Boolean(),
    FeatureType.STATIC: Static({}),
    FeatureType.METERED: Metered(),
}

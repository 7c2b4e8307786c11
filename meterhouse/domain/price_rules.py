"""What a price cannot be (contract 3.9 and what the published clients say of each field)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

from meterhouse.domain.errors import Invalid, Problem
from meterhouse.domain.price import (
    CASHBACK,
    DynamicRate,
    PercentageRate,
    Price,
    PriceModel,
    Rate,
    RateType,
    StandardRate,
    SupplyScope,
    VolumeRate,
)


def require_sound(price: Price) -> Price:
    """The price. Raises Invalid with every problem, in the words of the wire."""
    problems = (*_of_anchor(price), *_of_rate(price.rate), *_of_options(price), *_of_tax(price))
    if problems:
        raise Invalid("; ".join([f"{one.field}: {one.message}" for one in problems]), problems)
    return price


def _of_anchor(price: Price) -> Iterator[Problem]:
    if price.billable_metric_id is None and price.fee_id is None:
        yield Problem("billableMetricId", "is required, unless feeId is given", "required")
    if price.billable_metric_id is not None and price.fee_id is not None:
        yield Problem("feeId", "cannot be given beside billableMetricId")
    if price.fee_id is not None and price.model is not PriceModel.STANDARD:
        yield Problem("model", "must be standard for a fee")
    if price.fee_id is None and price.quantity != 1:
        yield Problem("quantity", "is of fees alone; what is metered has the quantity that was used")
    if price.fee_id is None and price.is_obligation:
        yield Problem("isObligation", "is of fees alone")


def _of_rate(rate: Rate) -> Iterator[Problem]:
    match rate:
        case StandardRate():
            return
        case VolumeRate():
            yield from _of_tiers(rate)
        case DynamicRate():
            if not 0 <= rate.min_price <= rate.max_price:
                yield Problem("properties.minPrice", "must be from 0 to maxPrice")
        case PercentageRate():
            if not 0 <= rate.percentage <= 10:
                yield Problem("properties.percentage", "must be from 0 to 10, as 1 is all of it")
            if not 0 <= rate.min_charge <= rate.max_charge:
                yield Problem("properties.minCharge", "must be from 0 to maxCharge")


def _of_tiers(rate: VolumeRate) -> Iterator[Problem]:
    *bounded, last = rate.tiers
    if last.up_to is not None:
        yield Problem(f"properties.tiers.{len(bounded)}.upTo", "must be null in the last tier")
    bounds = [Decimal(0), *[tier.up_to for tier in bounded]]
    for number, (below, bound) in enumerate(pairwise(bounds)):
        if bound is None:
            yield Problem(f"properties.tiers.{number}.upTo", "can be null in the last tier only")
        elif below is not None and bound <= below:
            yield Problem(f"properties.tiers.{number}.upTo", f"must be over {below}")
    for number, tier in enumerate(rate.tiers):
        if tier.unit_price < 0:
            yield Problem(f"properties.tiers.{number}.unitPrice", "cannot be less than 0 in a tier")


def _of_options(price: Price) -> Iterator[Problem]:
    is_standard = price.model is PriceModel.STANDARD
    is_metered = price.billable_metric_id is not None
    if price.grant_discount_enabled and not (is_standard and is_metered):
        yield Problem("grantDiscountEnabled", "is of standard prices of billable metrics alone")
    if price.invoice_display_group is not None and not is_standard:
        yield Problem("invoiceDisplayGroup", "is of standard prices alone")
    if price.pricing_unit_id is not None and not is_metered:
        yield Problem("pricingUnitId", "is of prices of billable metrics alone")
    if price.rate_type is RateType.PROPORTION and (
        not (is_standard and is_metered) or price.pricing_unit_id is not None
    ):
        yield Problem("rateType", "can be proportion for standard prices of billable metrics in money alone")
    if price.is_rebate:
        yield from _of_rebate(price)


def _of_rebate(price: Price) -> Iterator[Problem]:
    place = "properties.unitPrice"
    if price.billable_metric_id is None:
        yield Problem(place, "cannot be less than 0 for a fee")
    if price.grant_discount_enabled or price.pricing_unit_id is not None:
        yield Problem(place, "cannot be less than 0 with grantDiscountEnabled or pricingUnitId")
    if price.feature is not None and price.feature.is_hard_limit:
        yield Problem(place, "cannot be less than 0 with a feature whose allowance is a hard limit")


def _of_tax(price: Price) -> Iterator[Problem]:
    if price.tax.scope is SupplyScope.IN_SCOPE:
        if price.tax.label is not None:
            yield Problem("tax.outsideScopeLabel", "is for OUTSIDE_SCOPE alone")
        return
    if price.tax.label is None:
        yield Problem("tax.outsideScopeLabel", f"is required for OUTSIDE_SCOPE: {CASHBACK}", "required")
    if not isinstance(price.rate, StandardRate) or price.rate.unit_price > 0:
        yield Problem("tax.supplyScope", "can be OUTSIDE_SCOPE for standard prices of at most 0 alone")

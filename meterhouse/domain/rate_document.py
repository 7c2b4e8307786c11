"""Rates of prices as documents: every number is text, with the digits that it was sent with."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from meterhouse.domain.price import (
    DynamicRate,
    PercentageRate,
    PriceModel,
    Rate,
    StandardRate,
    Tier,
    VolumeRate,
)


def document_of(rate: Rate) -> dict[str, Any]:
    """The `properties` of a price on the wire (contract 3.9); its `model` says which shape."""
    match rate:
        case StandardRate():
            return {"unitPrice": _text(rate.unit_price)}
        case VolumeRate():
            return {"tiers": [_tier_document(tier) for tier in rate.tiers]}
        case DynamicRate():
            return {"minPrice": _text(rate.min_price), "maxPrice": _text(rate.max_price)}
        case PercentageRate():
            return {
                "percentage": _text(rate.percentage),
                "minCharge": _text(rate.min_charge),
                "maxCharge": _text(rate.max_charge),
            }


def rate_of(model: PriceModel, document: Mapping[str, Any]) -> Rate:
    """What `document_of` was made of."""
    match model:
        case PriceModel.STANDARD:
            return StandardRate(Decimal(document["unitPrice"]))
        case PriceModel.VOLUME:
            return VolumeRate(tuple([_tier(tier) for tier in document["tiers"]]))
        case PriceModel.DYNAMIC:
            return DynamicRate(Decimal(document["minPrice"]), Decimal(document["maxPrice"]))
        case PriceModel.PERCENTAGE:
            return PercentageRate(
                Decimal(document["percentage"]),
                Decimal(document["minCharge"]),
                Decimal(document["maxCharge"]),
            )


def _text(number: Decimal) -> str:
    return format(number, "f")


def _tier_document(tier: Tier) -> dict[str, str | None]:
    return {
        "upTo": None if tier.up_to is None else _text(tier.up_to),
        "unitPrice": _text(tier.unit_price),
    }


def _tier(document: Mapping[str, str | None]) -> Tier:
    bound, price = document["upTo"], document["unitPrice"]
    assert price is not None
    return Tier(None if bound is None else Decimal(bound), Decimal(price))

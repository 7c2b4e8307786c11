"""What a price charges, in its four shapes (contract 3.9): one of them, told apart by its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic.alias_generators import to_camel

from meterhouse.domain.price import (
    DynamicRate,
    PercentageRate,
    Rate,
    StandardRate,
    Tier,
    VolumeRate,
)
from query.fields import DecimalText

_CAMEL = ConfigDict(alias_generator=to_camel)


class StandardProperties(BaseModel):
    """So much for each unit."""

    model_config = _CAMEL

    unit_price: DecimalText


class TierProperties(BaseModel):
    """`upTo` is included; null, in the last tier, for all that is more."""

    model_config = _CAMEL

    up_to: DecimalText | None
    unit_price: DecimalText


class VolumeProperties(BaseModel):
    """So much for each unit, by how many there are."""

    tiers: Annotated[list[TierProperties], Field(min_length=1, max_length=100)]


class DynamicProperties(BaseModel):
    """Of older clients."""

    model_config = _CAMEL

    max_price: DecimalText
    min_price: DecimalText


class PercentageProperties(BaseModel):
    """Of older clients. `percentage` is a share: 0.03 is 3 %."""

    model_config = _CAMEL

    max_charge: DecimalText
    min_charge: DecimalText
    percentage: DecimalText


def _shape(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return None
    for shape, field in (("standard", "unitPrice"), ("volume", "tiers"), ("percentage", "percentage")):
        if field in value:
            return f"[{shape}]"
    return "[dynamic]" if value.keys() & {"maxPrice", "minPrice"} else None


# In brackets, because a name of ours is not a part of the path to a wrong field.
Properties = Annotated[
    Annotated[StandardProperties, Tag("[standard]")]
    | Annotated[VolumeProperties, Tag("[volume]")]
    | Annotated[DynamicProperties, Tag("[dynamic]")]
    | Annotated[PercentageProperties, Tag("[percentage]")],
    Discriminator(
        _shape,
        custom_error_type="shape",
        custom_error_message="must have unitPrice, or tiers, or maxPrice and minPrice, or percentage,"
        " maxCharge and minCharge",
    ),
]


def rate_of(properties: Properties) -> Rate:
    """What the properties mean."""
    match properties:
        case StandardProperties():
            return StandardRate(properties.unit_price)
        case VolumeProperties():
            return VolumeRate(tuple([Tier(tier.up_to, tier.unit_price) for tier in properties.tiers]))
        case DynamicProperties():
            return DynamicRate(properties.min_price, properties.max_price)
        case PercentageProperties():
            return PercentageRate(properties.percentage, properties.min_charge, properties.max_charge)

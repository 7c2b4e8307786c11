"""Prices of billable metrics and fees (contract 3.9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from meterhouse.domain.feature import Feature
from meterhouse.domain.instant import Instant


class PaymentTerm(StrEnum):
    """When a charge is due: once it is known, or before. INSTANT is an older clients' word."""

    IN_ARREARS = "in_arrears"
    IN_ADVANCE = "in_advance"
    INSTANT = "instant"


class PriceModel(StrEnum):
    """How a quantity becomes an amount."""

    STANDARD = "standard"
    VOLUME = "volume"
    DYNAMIC = "dynamic"
    PERCENTAGE = "percentage"


class RateType(StrEnum):
    """Whether a unit price is an amount of money, or a share of what was metered in money."""

    AMOUNT = "amount"
    PROPORTION = "proportion"


class SupplyScope(StrEnum):
    """Whether a price pays for a supply, and so enters the taxable amount."""

    IN_SCOPE = "IN_SCOPE"
    OUTSIDE_SCOPE = "OUTSIDE_SCOPE"


# What an amount outside of scope is called; the only name that there is.
CASHBACK: Final = "CASHBACK"


@dataclass(frozen=True, slots=True)
class StandardRate:
    """So much for each unit. Less than nothing is a rebate."""

    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class Tier:
    """Quantities up to `up_to`, included; None is the last tier, of all that is more."""

    up_to: Decimal | None
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class VolumeRate:
    """So much for each unit, by how many there are: the first tier that holds all of them decides."""

    tiers: tuple[Tier, ...]


@dataclass(frozen=True, slots=True)
class DynamicRate:
    """A price that moves between two bounds (older clients)."""

    min_price: Decimal
    max_price: Decimal


@dataclass(frozen=True, slots=True)
class PercentageRate:
    """A share, 0.03 for 3 %, but not less than one charge and not more than another (older clients)."""

    percentage: Decimal
    min_charge: Decimal
    max_charge: Decimal


# What decides about the amount of a charge, and when it falls due, by its names here and on the wire.
_BILLING: Final[Mapping[str, str]] = {
    "billable_metric_id": "billableMetricId",
    "pricing_unit_id": "pricingUnitId",
    "model": "model",
    "rate": "properties",
    "payment_term": "paymentTerm",
    "billing_cadence": "billingCadence",
    "grant_discount_enabled": "grantDiscountEnabled",
    "is_obligation": "isObligation",
    "rate_type": "rateType",
    "tax": "tax",
    "quantity": "quantity",
}

Rate = StandardRate | VolumeRate | DynamicRate | PercentageRate


def model_of(rate: Rate) -> PriceModel:
    match rate:
        case StandardRate():
            return PriceModel.STANDARD
        case VolumeRate():
            return PriceModel.VOLUME
        case DynamicRate():
            return PriceModel.DYNAMIC
        case PercentageRate():
            return PriceModel.PERCENTAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Tax:
    """What a price declares of itself; `label` is what an amount outside of scope is called."""

    scope: SupplyScope = SupplyScope.IN_SCOPE
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedFeature:
    """The feature that whoever pays a price is entitled to.

    `template` is the entitlement as it was sent, None where there was none: the feature alone.
    """

    id: str
    feature: Feature
    template: Mapping[str, object] | None

    @property
    def is_hard_limit(self) -> bool:
        """Whether usage ends with the allowance, so that nothing can be beyond it."""
        template = self.template or {}
        return template.get("type") == "metered" and not template.get("isSoftLimit", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a unit of a billable metric, or a fee, costs.

    `billing_cadence` is an ISO 8601 duration, P0D for once, None for the plan's. Bounds and rates are exact
    decimals with as many digits as they were sent with.
    """

    id: str
    merchant_id: str
    billable_metric_id: str | None
    fee_id: str | None
    invoice_display_name: str
    invoice_display_group: str | None
    payment_term: PaymentTerm
    rate: Rate
    billing_cadence: str | None
    pricing_unit_id: str | None
    feature: PricedFeature | None
    grant_discount_enabled: bool
    is_obligation: bool
    rate_type: RateType
    tax: Tax
    quantity: int
    created_at: Instant
    updated_at: Instant

    @property
    def model(self) -> PriceModel:
        return model_of(self.rate)

    def billed_otherwise(self, other: Price) -> tuple[str, ...]:
        """The fields, by their names on the wire, in which `other` would be billed in another way."""
        return tuple([wire for name, wire in _BILLING.items() if getattr(self, name) != getattr(other, name)])

    @property
    def is_rebate(self) -> bool:
        return isinstance(self.rate, StandardRate) and self.rate.unit_price < 0

"""Entitlements as they are answered (contract 3.4), with exact numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, assert_never

import msgspec
from pydantic import Field

from meterhouse.domain.entitlement import Boolean, Metered, Static
from meterhouse.domain.instant import render
from query.answers import exact
from query.entitlements.balances import Standing
from query.wire import ListBody, Moment, Number, Wire, moment


class _Entitled(Wire):
    customer_id: str
    feature_id: str
    feature_key: str
    product_id: str
    subscription_id: str | None
    status: Literal["active", "canceled", "expired"]
    active_from: Moment
    active_to: Moment | None
    has_access: bool
    metadata: dict[str, str]


class _Metered(_Entitled):
    feature_type: Literal["metered"]
    config: None
    is_soft_limit: bool
    balance: Number
    usage_in_period: Number
    overage: Number
    pricing_unit_id: str | None
    current_period_start: Moment | None
    current_period_end: Moment | None


class _Static(_Entitled):
    feature_type: Literal["static"]
    config: dict[str, Any]


class _Boolean(_Entitled):
    feature_type: Literal["boolean"]
    config: None


class _Detail(Wire):
    id: str
    object: Literal["entitlement"] = "entitlement"


class _Item(Wire):
    entitlement_id: str


class MeteredBody(_Metered, _Detail): ...


class StaticBody(_Static, _Detail): ...


class BooleanBody(_Boolean, _Detail): ...


class MeteredItem(_Metered, _Item): ...


class StaticItem(_Static, _Item): ...


class BooleanItem(_Boolean, _Item): ...


class StaleBody(Wire):
    """The list is an earlier answer to the same request, because usage could not be read in time."""

    computed_at: Moment


EntitlementBody = Annotated[MeteredBody | StaticBody | BooleanBody, Field(discriminator="feature_type")]
EntitlementItem = Annotated[MeteredItem | StaticItem | BooleanItem, Field(discriminator="feature_type")]


class EntitlementsBody(ListBody[EntitlementItem]):
    stale: StaleBody | None = Field(default=None, description="Only with an earlier answer.")


def detail(standing: Standing) -> dict[str, object]:
    """The JSON of one entitlement."""
    return {"id": standing.holding.entitlement.id, "object": "entitlement", **_fields(standing)}


def item(standing: Standing) -> dict[str, object]:
    """The JSON of one entitlement in a list."""
    return {"entitlementId": standing.holding.entitlement.id, **_fields(standing)}


def _fields(standing: Standing) -> dict[str, object]:
    entitlement, feature, at = standing.holding.entitlement, standing.holding.feature, standing.at
    left = Decimal(0) if standing.balance is None else standing.balance.balance
    return {
        "customerId": entitlement.customer_id,
        "featureId": entitlement.feature_id,
        "featureKey": feature.key,
        "productId": feature.product_id,
        "subscriptionId": entitlement.subscription_id,
        "status": entitlement.status(at),
        "activeFrom": render(entitlement.active_from),
        "activeTo": moment(entitlement.active_to),
        "hasAccess": entitlement.has_access(at, left),
        "metadata": dict(entitlement.metadata),
        **_kind(standing),
    }


def _kind(standing: Standing) -> dict[str, object]:
    template = standing.holding.entitlement.template
    match template:
        case Boolean():
            return {"featureType": "boolean", "config": None}
        case Static(config):
            return {"featureType": "static", "config": dict(config)}
        case Metered():
            return {"featureType": "metered", "config": None, **_metered(standing, template)}
    assert_never(template)


def _metered(standing: Standing, template: Metered) -> dict[str, object]:
    balance = standing.balance
    assert balance is not None, "a metered entitlement has a balance"
    holding = standing.holding
    period = holding.entitlement.current_period(standing.at, subscribed_at=holding.subscribed_at)
    return {
        "isSoftLimit": template.is_soft_limit,
        "balance": number(balance.balance),
        "usageInPeriod": number(balance.usage_in_period),
        "overage": number(balance.overage),
        "pricingUnitId": None,
        "currentPeriodStart": moment(period.start),
        "currentPeriodEnd": moment(period.end),
    }


def number(value: Decimal) -> msgspec.Raw:
    """A JSON number with all its digits."""
    return msgspec.Raw(exact(value))

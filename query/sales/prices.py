"""Prices (contract 3.9): of billable metrics and fees, with the features that come with them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from pydantic.alias_generators import to_camel

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.domain.errors import Invalid
from meterhouse.domain.price import (
    PaymentTerm,
    Price,
    PricedFeature,
    PriceModel,
    Rate,
    RateType,
    SupplyScope,
    Tax,
    model_of,
)
from meterhouse.domain.price_rules import require_sound
from query.answers import blocked, failures, model_answer
from query.backend import Backend, Merchant, Ports
from query.documents import Document
from query.entitlements.templates import require_template
from query.fields import (
    BillableMetricId,
    Duration,
    FeatureId,
    FeeId,
    Line,
    MerchantId,
    PageLimit,
    PageOffset,
    PricingUnitId,
    checked_id,
)
from query.route import new_router
from query.sales.products import own_merchant, refuse_nulls
from query.sales.rates import Properties, rate_of
from query.sales.wire import PriceBody, PriceChargedBody
from query.wire import ListBody, pagination

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)
_NULLABLE = ("billing_cadence", "invoice_display_group", "pricing_unit_id", "feature")
_ONE: dict[int | str, dict[str, Any]] = {200: {"model": PriceBody, "description": "The price."}}

Quantity = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]


class FeatureOfPrice(BaseModel):
    """`entitlementTemplate` is what whoever pays the price is entitled to."""

    model_config = _CAMEL

    feature_id: FeatureId
    entitlement_template: Document | None = None


class TaxOfPrice(BaseModel):
    model_config = _CAMEL

    supply_scope: SupplyScope
    outside_scope_label: Literal["CASHBACK"] | None = None


class PriceFields(BaseModel):
    """Either `billableMetricId` or `feeId`. Without `model`, `properties` say it."""

    model_config = _CAMEL

    billable_metric_id: BillableMetricId | None = None
    pricing_unit_id: PricingUnitId | None = None
    invoice_display_group: Line | None = None
    model: PriceModel | None = None
    billing_cadence: Duration | None = None
    feature: FeatureOfPrice | None = None
    tax: TaxOfPrice | None = None


class NewPrice(PriceFields):
    fee_id: FeeId | None = None
    invoice_display_name: Line
    payment_term: PaymentTerm
    properties: Properties
    grant_discount_enabled: StrictBool = False
    is_obligation: StrictBool = False
    rate_type: RateType = RateType.AMOUNT
    quantity: Quantity = 1


class PriceChanges(PriceFields):
    """What is absent stays as it is; null clears `billingCadence`, `invoiceDisplayGroup`, `pricingUnitId`
    and `feature`.
    """

    invoice_display_name: Line | None = None
    payment_term: PaymentTerm | None = None
    properties: Properties | None = None
    grant_discount_enabled: StrictBool | None = None
    is_obligation: StrictBool | None = None
    rate_type: RateType | None = None
    quantity: Quantity | None = None


class PricesAsked(BaseModel):
    model_config = _CAMEL

    merchant_id: MerchantId | None = None
    billable_metric_id: BillableMetricId | None = None
    limit: PageLimit = 10
    offset: PageOffset = 0


@router.post(
    "/v0/prices",
    status_code=201,
    operation_id="createPrice",
    responses={
        **failures(400, 404, 413, 415),
        201: {"model": PriceBody, "description": "The price."},
    },
    response_model=None,
)
async def create(body: NewPrice, merchant: Merchant, ports: Ports) -> Response:
    """Create a price of a billable metric or a fee."""
    rate = rate_of(body.properties)
    _require_model(body.model, rate)
    now = ports.clock.now()
    price = Price(
        id=new_id("price"),
        merchant_id=merchant,
        billable_metric_id=body.billable_metric_id,
        fee_id=body.fee_id,
        invoice_display_name=body.invoice_display_name,
        invoice_display_group=body.invoice_display_group,
        payment_term=body.payment_term,
        rate=rate,
        billing_cadence=body.billing_cadence,
        pricing_unit_id=body.pricing_unit_id,
        feature=await _featured(body.feature, merchant, ports),
        grant_discount_enabled=body.grant_discount_enabled,
        is_obligation=body.is_obligation,
        rate_type=body.rate_type,
        tax=_tax(body.tax),
        quantity=body.quantity,
        created_at=now,
        updated_at=now,
    )
    return model_answer(PriceBody.of(await ports.sales.prices.create(require_sound(price))), 201)


def _require_model(model: PriceModel | None, rate: Rate) -> None:
    if model not in (None, model_of(rate)):
        raise Invalid.field("properties", f"are not those of the model {model}")


async def _featured(wanted: FeatureOfPrice | None, merchant: str, ports: Backend) -> PricedFeature | None:
    if wanted is None:
        return None
    template = wanted.entitlement_template
    require_template(template or {}, "feature.entitlementTemplate.")
    feature = await ports.features.get(merchant, wanted.feature_id)
    return PricedFeature(id=new_id("pf"), feature=feature, template=template)


def _tax(tax: TaxOfPrice | None) -> Tax:
    return Tax() if tax is None else Tax(scope=tax.supply_scope, label=tax.outside_scope_label)


@router.get(
    "/v0/prices",
    operation_id="listPrices",
    responses={
        **failures(400, 403),
        200: {"model": ListBody[PriceBody], "description": "One page."},
    },
    response_model=None,
)
async def page(asked: Annotated[PricesAsked, Query()], merchant: Merchant, ports: Ports) -> Response:
    """List prices, oldest first."""
    own_merchant(asked.merchant_id, merchant)
    found = await ports.sales.prices.page(merchant, asked.billable_metric_id, asked.limit, asked.offset)
    data = [PriceBody.of(price) for price in found.items]
    return model_answer(ListBody(data=data, pagination=pagination(found, asked.limit, asked.offset)))


@router.get(
    "/v0/prices/{id}", operation_id="getPrice", responses={**failures(404), **_ONE}, response_model=None
)
async def get(id: str, merchant: Merchant, ports: Ports) -> Response:
    """Get a price."""
    return model_answer(PriceBody.of(await ports.sales.prices.get(merchant, _checked(id))))


@router.patch(
    "/v0/prices/{id}",
    operation_id="updatePrice",
    responses={
        **failures(400, 404, 413, 415),
        409: {"model": PriceChargedBody, "description": "Live subscriptions are charged by it."},
        **_ONE,
    },
    response_model=None,
)
async def update(id: str, body: PriceChanges, merchant: Merchant, ports: Ports) -> Response:
    """Change a price; what is absent stays. While live subscriptions are charged by it, it costs the same."""
    id = _checked(id)
    asked = {name: getattr(body, name) for name in body.model_fields_set}
    refuse_nulls(asked, *_NULLABLE)
    if not asked:
        return model_answer(PriceBody.of(await ports.sales.prices.get(merchant, id)))
    if "feature" in asked:
        asked["feature"] = await _featured(body.feature, merchant, ports)
    asked["updated_at"] = ports.clock.now()
    changed = await ports.sales.prices.update(merchant, id, lambda price: decide_price(price, asked))
    return model_answer(PriceBody.of(changed))


def decide_price(stands: Price, asked: dict[str, Any]) -> Price:
    """The price that the changes make of the one that stands. Raises Invalid where that is none.

    A feature that stays keeps the id of its place in the price.
    """
    changes = dict(asked)
    model, properties = changes.pop("model", None), changes.pop("properties", None)
    if properties is not None:
        changes["rate"] = rate_of(properties)
    if "tax" in changes:
        changes["tax"] = _tax(changes["tax"])
    feature = changes.get("feature")
    if feature is not None and stands.feature is not None and stands.feature.feature.id == feature.feature.id:
        changes["feature"] = replace(feature, id=stands.feature.id)
    changed = replace(stands, **changes)
    _require_model(model, changed.rate)
    return require_sound(changed)


@router.delete(
    "/v0/prices/{id}",
    status_code=204,
    operation_id="deletePrice",
    responses={**failures(404), **blocked()},
)
async def delete(id: str, merchant: Merchant, ports: Ports) -> None:
    """Delete a price that no plan charges."""
    await ports.sales.prices.delete(merchant, _checked(id), ports.clock.now())


def _checked(id: str) -> str:
    return checked_id(id, "price", "price")

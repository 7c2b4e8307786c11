"""What answers about products, features, items, fees and prices look like (contract 3.9, 3.12 and 9)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from meterhouse.domain.billable_metric import Product
from meterhouse.domain.feature import Feature, FeatureType
from meterhouse.domain.instant import render
from meterhouse.domain.item import EntityType, ExternalReference, Fee, Item
from meterhouse.domain.price import PaymentTerm, Price, PricedFeature, PriceModel, RateType, SupplyScope, Tax
from meterhouse.domain.rate_document import document_of
from query.wire import ErrorBody, Moment, Wire, moment


def is_none(value: object) -> bool:
    return value is None


class ReferenceBody(Wire):
    id: str
    object: Literal["externalReference"] = "externalReference"
    merchant_id: str
    entity_type: EntityType
    entity_id: str
    provider: str
    external_id: str
    external_label: str | None
    metadata: dict[str, Any]
    is_primary: bool
    is_default: bool
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, reference: ExternalReference) -> ReferenceBody:
        return cls(
            id=reference.id,
            merchant_id=reference.merchant_id,
            entity_type=reference.entity_type,
            entity_id=reference.entity_id,
            provider=reference.provider,
            external_id=reference.external_id,
            external_label=reference.external_label,
            metadata=dict(reference.metadata),
            is_primary=reference.is_primary,
            is_default=reference.is_default,
            created_at=render(reference.created_at),
            updated_at=render(reference.updated_at),
        )


class ItemBody(Wire):
    id: str
    object: Literal["item"] = "item"
    merchant_id: str
    name: str
    catalog_id: str | None = Field(description="The product that it is filed under.")
    metadata: dict[str, Any]
    external_references: list[ReferenceBody]
    archived_at: Moment | None
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, item: Item) -> ItemBody:
        return cls(
            id=item.id,
            merchant_id=item.merchant_id,
            name=item.name,
            catalog_id=item.product_id,
            metadata=dict(item.metadata),
            external_references=[ReferenceBody.of(one) for one in item.references],
            archived_at=moment(item.archived_at),
            created_at=render(item.created_at),
            updated_at=render(item.updated_at),
        )


class FeeBody(Wire):
    id: str
    object: Literal["fee"] = "fee"
    name: str
    description: str
    merchant_id: str
    product_id: str
    item_id: str | None
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, fee: Fee) -> FeeBody:
        return cls(
            id=fee.id,
            name=fee.name,
            description=fee.description,
            merchant_id=fee.merchant_id,
            product_id=fee.product_id,
            item_id=fee.item_id,
            created_at=render(fee.created_at),
            updated_at=render(fee.updated_at),
        )


class StandardBody(Wire):
    unit_price: str


class TierBody(Wire):
    up_to: str | None
    unit_price: str


class VolumeBody(Wire):
    tiers: list[TierBody]


class DynamicBody(Wire):
    max_price: str
    min_price: str


class PercentageBody(Wire):
    max_charge: str
    min_charge: str
    percentage: str


class FeatureNameBody(Wire):
    key: str
    name: str
    type: FeatureType


class PricedFeatureBody(Wire):
    id: str
    feature_id: str
    entitlement_template: dict[str, Any]
    feature: FeatureNameBody

    @classmethod
    def of(cls, priced: PricedFeature) -> PricedFeatureBody:
        feature = priced.feature
        return cls(
            id=priced.id,
            feature_id=feature.id,
            entitlement_template=dict(priced.template or {}),
            feature=FeatureNameBody(key=feature.key, name=feature.name, type=feature.type),
        )


class TaxBody(Wire):
    supply_scope: SupplyScope
    outside_scope_label: str | None = Field(default=None, exclude_if=is_none)

    @classmethod
    def of(cls, tax: Tax) -> TaxBody:
        return cls(supply_scope=tax.scope, outside_scope_label=tax.label)


class PriceBody(Wire):
    """What is not set is left out."""

    id: str
    object: Literal["price"] = "price"
    merchant_id: str
    billable_metric_id: str | None = Field(default=None, exclude_if=is_none)
    fee_id: str | None = Field(default=None, exclude_if=is_none)
    pricing_unit_id: str | None = Field(default=None, exclude_if=is_none)
    invoice_display_name: str
    invoice_display_group: str | None = Field(default=None, exclude_if=is_none)
    payment_term: PaymentTerm
    model: PriceModel
    properties: StandardBody | VolumeBody | DynamicBody | PercentageBody
    billing_cadence: str | None = Field(default=None, exclude_if=is_none)
    features: list[PricedFeatureBody]
    grant_discount_enabled: bool
    is_obligation: bool
    rate_type: RateType
    tax: TaxBody
    quantity: int
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, price: Price) -> PriceBody:
        return cls.model_validate(_fields(price))


def _fields(price: Price) -> dict[str, Any]:
    return {
        "id": price.id,
        "merchant_id": price.merchant_id,
        "billable_metric_id": price.billable_metric_id,
        "fee_id": price.fee_id,
        "pricing_unit_id": price.pricing_unit_id,
        "invoice_display_name": price.invoice_display_name,
        "invoice_display_group": price.invoice_display_group,
        "payment_term": price.payment_term,
        "model": price.model,
        "properties": document_of(price.rate),
        "billing_cadence": price.billing_cadence,
        "features": [] if price.feature is None else [PricedFeatureBody.of(price.feature)],
        "grant_discount_enabled": price.grant_discount_enabled,
        "is_obligation": price.is_obligation,
        "rate_type": price.rate_type,
        "tax": TaxBody.of(price.tax),
        "quantity": price.quantity,
        "created_at": render(price.created_at),
        "updated_at": render(price.updated_at),
    }


class ChargedBody(BaseModel):
    """Which price, which of its fields, and how many live subscriptions are charged by it."""

    model_config = ConfigDict(alias_generator=to_camel)

    price_id: str
    fields: list[str]
    subscription_count: int


class PriceChargedBody(ErrorBody):
    code: Literal["PRICE_HAS_SUBSCRIPTIONS"]
    details: ChargedBody


class ProductBody(Wire):
    id: str
    object: Literal["product"] = "product"
    merchant_id: str
    name: str
    description: str
    metadata: dict[str, str]
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, product: Product) -> ProductBody:
        return cls(
            id=product.id,
            merchant_id=product.merchant_id,
            name=product.name,
            description=product.description,
            metadata=product.metadata,
            created_at=render(product.created_at),
            updated_at=render(product.updated_at),
        )


class FeatureBody(Wire):
    id: str
    object: Literal["feature"] = "feature"
    key: str
    name: str
    type: FeatureType
    merchant_id: str
    product_id: str
    metadata: dict[str, str]
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, feature: Feature) -> FeatureBody:
        return cls(
            id=feature.id,
            key=feature.key,
            name=feature.name,
            type=feature.type,
            merchant_id=feature.merchant_id,
            product_id=feature.product_id,
            metadata=dict(feature.metadata),
            created_at=render(feature.created_at),
            updated_at=render(feature.updated_at),
        )

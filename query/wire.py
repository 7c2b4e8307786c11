"""What answers look like (contract, section 9): one shape that every published client accepts.

Catalog objects are answered through these models. Usage, events and event records are written by
`usage_body`, `metric_events` and `event_record` in one go, with exact numbers; there these models are the
description in OpenAPI, and tests hold the answers against them.
"""

from __future__ import annotations

from decimal import Decimal
from operator import not_
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from meterhouse.domain.billable_metric import Aggregation, BillableMetric, Product
from meterhouse.domain.customer import Consumer, Customer, missing_for_tax
from meterhouse.domain.feature import Feature, FeatureType
from meterhouse.domain.instant import Instant, render
from meterhouse.ports.catalog import Page

T = TypeVar("T")

Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Number = Annotated[
    Decimal, WithJsonSchema({"type": "number", "description": "Exact: every digit is written out."})
]


class Wire(BaseModel):
    """Names are camelCase on the wire; nothing undeclared is sent."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Pagination(Wire):
    limit: int
    offset: int
    total: int


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


class AddressBody(Wire):
    """Only what is known of it."""

    line1: str = Field(default="", exclude_if=not_)
    line2: str = Field(default="", exclude_if=not_)
    city: str = Field(default="", exclude_if=not_)
    state: str = Field(default="", exclude_if=not_)
    country: str = Field(default="", exclude_if=not_)
    zip_code: str = Field(default="", exclude_if=not_)


class TaxAddressBody(Wire):
    valid: bool
    message: str = Field(default="", description="Only where it is not valid.", exclude_if=not_)

    @classmethod
    def of(cls, consumer: Consumer) -> TaxAddressBody:
        missing = missing_for_tax(consumer.address)
        return cls(valid=not missing, message=f"the address lacks {', '.join(missing)}" if missing else "")


class CustomerCreatedBody(Wire):
    customer_id: str
    valid_tax_address: TaxAddressBody


class OrganizationBody(Wire):
    """The consumer."""

    id: str
    name: str
    address: AddressBody
    billing_emails: list[str]
    phone: str = Field(default="", description="Only where there is one.", exclude_if=not_)

    @classmethod
    def of(cls, consumer: Consumer) -> OrganizationBody:
        return cls(
            id=consumer.id,
            name=consumer.name,
            address=AddressBody.model_validate(consumer.address),
            billing_emails=[consumer.email],
            phone=consumer.phone or "",
        )


class NotificationsBody(Wire):
    model_config = ConfigDict(from_attributes=True)

    invoice_issued: bool
    invoice_paid: bool
    renewal_reminder: bool


class CustomerBody(Wire):
    id: str
    object: Literal["customer"] = "customer"
    merchant_id: str
    consumer_id: str
    organization: OrganizationBody
    tax_id: str = Field(default="", description="Only where there is one.", exclude_if=not_)
    external_id: str = Field(default="", description="Only where there is one.", exclude_if=not_)
    tax_rates: dict[str, Number] = Field(default={}, description="Only where there are any.", exclude_if=not_)
    notification_settings: NotificationsBody
    valid_tax_address: TaxAddressBody
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, customer: Customer) -> CustomerBody:
        return cls(
            id=customer.id,
            merchant_id=customer.merchant_id,
            consumer_id=customer.consumer.id,
            organization=OrganizationBody.of(customer.consumer),
            tax_id=customer.tax_id or "",
            external_id=customer.external_id or "",
            tax_rates=dict(customer.tax_rates),
            notification_settings=NotificationsBody.model_validate(customer.notifications),
            valid_tax_address=TaxAddressBody.of(customer.consumer),
            created_at=render(customer.created_at),
            updated_at=render(customer.updated_at),
        )


class BillableMetricBody(Wire):
    id: str
    object: Literal["billableMetric"] = "billableMetric"
    aggregation: Aggregation
    name: str
    description: str
    unit: str
    merchant_id: str
    product_id: str
    item_id: str | None
    event_type: str | None
    value_property: str | None
    group_by: dict[str, str] | None
    event_from: Moment | None
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, metric: BillableMetric) -> BillableMetricBody:
        return cls(
            id=metric.id,
            aggregation=metric.aggregation,
            name=metric.name,
            description=metric.description,
            unit=metric.unit,
            merchant_id=metric.merchant_id,
            product_id=metric.product_id,
            item_id=metric.item_id,
            event_type=metric.event_type,
            value_property=metric.value_property,
            group_by=metric.group_by,
            event_from=moment(metric.event_from),
            created_at=render(metric.created_at),
            updated_at=render(metric.updated_at),
        )


class ListBody(Wire, Generic[T]):
    object: Literal["list"] = "list"
    data: list[T]
    pagination: Pagination


def moment(instant: Instant | None) -> str | None:
    """RFC 3339, or null."""
    return None if instant is None else render(instant)


def pagination(page: Page[Any], limit: int, offset: int) -> Pagination:
    return Pagination(limit=limit, offset=offset, total=page.total)


class WindowedValue(Wire):
    """A calendar window of UTC, reported whole; it holds only what lies inside the period asked for."""

    window_start: Moment
    window_end: Moment
    value: Number


class GroupedValue(Wire):
    group_by: dict[str, str]
    value: Number
    event_count: int


class UsageBody(Wire):
    """With windows and groups both, `windowedValues[i]` and `groupedValues[i]` are one cell."""

    object: Literal["meter"] = "meter"
    billable_metric_id: str
    total_value: Number
    windowed_values: list[WindowedValue] = Field(default=[], description="Only with `windowSize`.")
    grouped_values: list[GroupedValue] = Field(default=[], description="Only with `groupBy`.")
    group_count: int = Field(default=0, description="Groups in all; only with `groupLimit`.")


Digits = Annotated[
    str,
    WithJsonSchema({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "description": "Exact, as text."}),
]


class WindowUsageBody(Wire):
    """A calendar window of the time zone, reported whole; it holds only what lies inside the period."""

    window_start: Moment
    window_end: Moment
    value: Digits
    event_count: int


class FiguresBody(Wire):
    """Usage of a part, or of the whole."""

    value: Digits
    event_count: int
    previous_value: Digits = Field(default="0", description="Of the period before; only with `compare`.")
    change: Digits = Field(default="0", description="`value` less `previousValue`; only with `compare`.")
    windows: list[WindowUsageBody] = Field(default=[], description="Only with `windowSize`.")


class GroupUsageBody(FiguresBody):
    group: dict[str, str]


class UsageAnswerBody(FiguresBody):
    """The total is over the whole period and every group, shown or not."""

    object: Literal["usage"] = "usage"
    billable_metric_id: str
    version: int
    state: Literal["building", "active"]
    aggregation: Aggregation
    unit: str
    watermark: str = Field(description="How far the log is counted in this answer.")
    from_: Moment = Field(alias="from")
    to: Moment
    time_zone: str
    previous_from: Moment = Field(default="", description="Only with `compare`.")
    previous_to: Moment = Field(default="", description="Only with `compare`.")
    groups: list[GroupUsageBody] = Field(default=[], description="Only with `groupBy`.")
    group_count: int = Field(default=0, description="Groups in all; only with `groupBy`.")
    next_cursor: str | None = Field(default=None, description="Of the next page; only with `groupBy`.")
    other: FiguresBody | None = Field(default=None, description="The rest; only with `top`.")


class UsageAnswersBody(Wire):
    object: Literal["list"] = "list"
    data: list[UsageAnswerBody]


class TextBody(Wire):
    value: str
    event_count: int


class TextListBody(Wire):
    object: Literal["list"] = "list"
    data: list[TextBody]
    next_cursor: str | None


class DimensionBody(Wire):
    key: str
    value_count: int = Field(description='"" aside.')
    event_count: int = Field(description="Events that have a value.")


class DimensionListBody(Wire):
    object: Literal["list"] = "list"
    data: list[DimensionBody]


class MeterEventBody(Wire):
    """Data that is no object is shown as {"value": …}, and binary data as {"data_base64": …}."""

    id: str
    object: Literal["meterEvent"] = "meterEvent"
    type: str
    source: str
    subject: str = Field(description="Empty while only an externalSubject is known.")
    time: Moment
    idempotency_key: str = Field(description="The same as `id`.")
    data: dict[str, Any]
    external_id: str = Field(default="", description="Only where there is one.")
    external_subject: str = Field(default="", description="Only where there is one.")


class MeterEventListBody(Wire):
    object: Literal["list"] = "list"
    billable_metric_id: str
    events: list[MeterEventBody]
    pagination: Pagination


class OutcomeBody(Wire):
    """What one billable metric, or one cost, made of the event. Values are decimal strings."""

    billable_metric_id: str
    name: str
    outcome: Literal["counted", "unusable", "beforeEventFrom"]
    value: str | None
    dimensions: dict[str, str]
    reason: str | None


class ConflictBody(Wire):
    """A repeat whose payload differs from the first event's: JSON paths say where."""

    received_at: Moment
    position: str
    differences: list[str]


class RepeatsBody(Wire):
    count: int
    conflicts: list[ConflictBody]


class UsageAroundBody(Wire):
    """What the subject and the dimensions of an event come to in its hour, all their events together."""

    billable_metric_id: str
    window_start: Moment
    window_end: Moment
    value: str
    event_count: int


class ListedEventBody(Wire):
    object: Literal["eventRecord"] = "eventRecord"
    event: dict[str, Any] = Field(description="The CloudEvent as it was accepted.")
    namespace: str
    received_at: Moment
    position: str
    disposition: Literal["counted", "unmatched", "unusable", "hidden"]
    hidden_before: Moment | None = Field(description="A reset hides what was received before then.")
    metrics: list[OutcomeBody]
    repeats: RepeatsBody


class EventRecordBody(ListedEventBody):
    usage: list[UsageAroundBody] = Field(description="Of each metric that counted it, as of now.")


class VersionBody(Wire):
    """`recordsTotal` are the log's records from before the version; `recordsCounted` of them are counted."""

    object: Literal["billableMetricVersion"] = "billableMetricVersion"
    version: int
    state: Literal["building", "active", "retired", "dropped"]
    event_type: str | None
    value_property: str | None
    group_by: dict[str, str] | None
    event_from: Moment | None
    records_counted: int
    records_total: int


class VersionListBody(Wire):
    object: Literal["list"] = "list"
    data: list[VersionBody]


class EventPageBody(Wire):
    object: Literal["list"] = "list"
    data: list[ListedEventBody]
    next_cursor: str | None


class EventCountBody(Wire):
    window_start: Moment = Field(default="", description="Only with `windowSize`.")
    window_end: Moment = Field(default="", description="Only with `windowSize`.")
    type: str
    disposition: Literal["counted", "unmatched", "unusable", "hidden", "duplicate"]
    count: int


class EventStatsBody(Wire):
    object: Literal["list"] = "list"
    data: list[EventCountBody]


class IdentityBody(Wire):
    """The first's place and time are null where it is an earlier event of the same request."""

    state: Literal["first", "duplicate", "conflict"]
    first_position: str | None = None
    first_received_at: Moment | None = None
    differences: list[str] = []


class TriedBody(Wire):
    object: Literal["dryRun"] = "dryRun"
    event: dict[str, Any] = Field(description="The CloudEvent as it would be accepted.")
    identity: IdentityBody
    disposition: Literal["counted", "unmatched", "unusable"] = Field(
        default="unmatched", description="Not for repeats, which count for nothing."
    )
    metrics: list[OutcomeBody] = []


class DryRunBody(Wire):
    object: Literal["list"] = "list"
    data: list[TriedBody]


class ErrorBody(BaseModel):
    """Every failure but a 400."""

    error: str
    message: str


class BlockerBody(BaseModel):
    """How many objects of a type stand in the way, and some of them."""

    type: str
    count: int
    items: list[dict[str, str | int]]


class BlockersBody(BaseModel):
    blockers: list[BlockerBody]


class BlockedBody(ErrorBody):
    details: BlockersBody


class FieldProblem(BaseModel):
    field: str
    message: str
    code: str


class ValidationErrorBody(BaseModel):
    """A 400: every field that is wrong, and why."""

    error: Literal["validation_error"]
    message: str
    errors: list[FieldProblem]

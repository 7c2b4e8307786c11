"""Billable metrics (contract 3.2): define, read, list, change. There is no way to delete one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.domain.billable_metric import Aggregation, BillableMetric
from meterhouse.domain.errors import Invalid
from query.answers import failures
from query.backend import Backend, Merchant, Ports
from query.fields import (
    Dimensions,
    ItemId,
    Line,
    MerchantId,
    PageLimit,
    PageOffset,
    ProductId,
    Prose,
    Timestamp,
    ValuePath,
    checked_id,
)
from query.products import own_merchant, refuse_nulls
from query.route import new_router
from query.wire import BillableMetricBody, ListBody, pagination

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)
_NULLABLE = ("event_type", "item_id", "value_property", "group_by", "event_from")


class NewBillableMetric(BaseModel):
    """`aggregation` may also be LAST, the other name of LATEST. COUNT keeps no valueProperty.

    Without `productId` it belongs to the merchant's oldest product; without `eventType` it counts nothing.
    """

    model_config = _CAMEL

    aggregation: Aggregation
    name: Line
    description: Prose
    unit: Line
    merchant_id: MerchantId
    product_id: ProductId | None = None
    item_id: ItemId | None = None
    event_type: Line | None = None
    value_property: ValuePath | None = None
    group_by: Dimensions | None = None
    event_from: Timestamp | None = None


class BillableMetricChanges(BaseModel):
    """What is absent stays as it is; null clears.

    `aggregation`, `merchantId` and `productId` cannot change: they may only say what already stands.
    """

    model_config = _CAMEL

    name: Line | None = None
    description: Prose | None = None
    unit: Line | None = None
    item_id: ItemId | None = None
    event_type: Line | None = None
    value_property: ValuePath | None = None
    group_by: Dimensions | None = None
    event_from: Timestamp | None = None
    aggregation: Aggregation | None = None
    merchant_id: MerchantId | None = None
    product_id: ProductId | None = None


class BillableMetricsAsked(BaseModel):
    model_config = _CAMEL

    merchant_id: MerchantId
    product_id: ProductId | None = None
    item_id: ItemId | None = None
    limit: PageLimit = 10
    offset: PageOffset = 0


@router.post(
    "/v0/billableMetrics",
    status_code=201,
    operation_id="createBillableMetric",
    responses=failures(400, 403, 404, 413, 415),
)
async def create(body: NewBillableMetric, merchant: Merchant, ports: Ports) -> BillableMetricBody:
    """Define a billable metric. It also counts the events that are here already."""
    own_merchant(body.merchant_id, merchant)
    if body.event_type is not None:
        require_value(body.aggregation, body.value_property)
    product_id = await _product_of(body, merchant, ports)
    now = ports.clock.now()
    metric = BillableMetric(
        id=new_id("bm"),
        merchant_id=merchant,
        product_id=product_id,
        item_id=body.item_id,
        name=body.name,
        description=body.description,
        unit=body.unit,
        aggregation=body.aggregation,
        event_type=body.event_type,
        value_property=None if body.aggregation is Aggregation.COUNT else body.value_property,
        group_by=body.group_by,
        event_from=body.event_from,
        version=1,
        created_at=now,
        updated_at=now,
    )
    return BillableMetricBody.of(await ports.metrics.create(metric))


def require_value(aggregation: Aggregation, value_property: str | None) -> None:
    """Raises Invalid where there would be nothing to add up."""
    if aggregation.needs_value and value_property is None:
        raise Invalid.field("valueProperty", f"is required for {aggregation}", "required")


async def _product_of(body: NewBillableMetric, merchant: str, ports: Backend) -> str:
    if body.product_id is not None:
        return (await ports.products.get(merchant, body.product_id)).id
    oldest = (await ports.products.page(merchant, 1, 0)).items
    if not oldest:
        raise Invalid.field("productId", "is required, as the merchant has no product yet", "required")
    return oldest[0].id


@router.get("/v0/billableMetrics", operation_id="listBillableMetrics", responses=failures(400, 403))
async def page(
    asked: Annotated[BillableMetricsAsked, Query()], merchant: Merchant, ports: Ports
) -> ListBody[BillableMetricBody]:
    """List billable metrics, oldest first."""
    own_merchant(asked.merchant_id, merchant)
    found = await ports.metrics.page(merchant, asked.product_id, asked.item_id, asked.limit, asked.offset)
    data = [BillableMetricBody.of(metric) for metric in found.items]
    return ListBody(data=data, pagination=pagination(found, asked.limit, asked.offset))


@router.get("/v0/billableMetrics/{id}", operation_id="getBillableMetric", responses=failures(404))
async def get(id: str, merchant: Merchant, ports: Ports) -> BillableMetricBody:
    """Get a billable metric as it was last defined."""
    serving = await ports.metrics.get(merchant, checked_id(id, "bm", "billable metric"))
    return BillableMetricBody.of(serving.metric)


@router.patch(
    "/v0/billableMetrics/{id}",
    operation_id="updateBillableMetric",
    responses=failures(400, 404, 409, 413, 415),
)
async def update(
    id: str, body: BillableMetricChanges, merchant: Merchant, ports: Ports
) -> BillableMetricBody:
    """Change a billable metric. Usage follows the new definition once it is counted over all events."""
    id = checked_id(id, "bm", "billable metric")
    stands = (await ports.metrics.get(merchant, id)).metric
    changes = decide_changes(stands, body.model_dump(exclude_unset=True))
    if not changes:
        return BillableMetricBody.of(stands)
    changes["updated_at"] = ports.clock.now()
    return BillableMetricBody.of(await ports.metrics.update(merchant, id, changes))


def decide_changes(stands: BillableMetric, asked: dict[str, object]) -> dict[str, object]:
    """The fields of `stands` to set. Raises Invalid for what cannot change and for what cannot be null."""
    for name in ("aggregation", "merchant_id", "product_id"):
        if name in asked and asked.pop(name) != getattr(stands, name):
            raise Invalid.field(
                to_camel(name), "cannot be changed; create another billable metric", "immutable"
            )
    refuse_nulls(asked, *_NULLABLE)
    if stands.aggregation is Aggregation.COUNT:
        asked.pop("value_property", None)
    event_type = asked.get("event_type", stands.event_type)
    value_property = asked.get("value_property", stands.value_property)
    if stands.aggregation.needs_value and value_property is None:
        if asked.keys() & {"value_property"} and stands.value_property is not None:
            raise Invalid.field("valueProperty", f"cannot be cleared for {stands.aggregation}", "required")
        if event_type is not None and asked.keys() & {"event_type", "value_property"}:
            raise Invalid.field("valueProperty", f"is required for {stands.aggregation}", "required")
    return asked

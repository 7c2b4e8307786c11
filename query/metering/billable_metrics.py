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
from query.backend import Merchant, Ports
from query.fields import (
    Dimensions,
    ItemId,
    Line,
    MerchantId,
    ProductId,
    Prose,
    Timestamp,
    ValuePath,
    checked_id,
)
from query.metering.wire import BillableMetricBody
from query.route import new_router
from query.sales.filing import ChargesAsked, product_of_charge
from query.sales.products import own_merchant, refuse_nulls
from query.wire import ListBody, pagination

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)
_NULLABLE = ("event_type", "item_id", "value_property", "group_by", "event_from")


class NewBillableMetric(BaseModel):
    """`aggregation` may also be LAST, the other name of LATEST. COUNT keeps no valueProperty.

    Without `productId` it belongs to the item's product, or else to the merchant's oldest. Without
    `eventType` it counts nothing, and neither does a SUM, AVG, MIN, MAX or LATEST without `valueProperty`:
    then its events are unusable, for that reason.
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


@router.post(
    "/v0/billableMetrics",
    status_code=201,
    operation_id="createBillableMetric",
    responses=failures(400, 403, 404, 413, 415),
)
async def create(body: NewBillableMetric, merchant: Merchant, ports: Ports) -> BillableMetricBody:
    """Define a billable metric. It also counts the events that are here already."""
    own_merchant(body.merchant_id, merchant)
    product_id = await product_of_charge(body.product_id, body.item_id, merchant, ports)
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


@router.get("/v0/billableMetrics", operation_id="listBillableMetrics", responses=failures(400, 403))
async def page(
    asked: Annotated[ChargesAsked, Query()], merchant: Merchant, ports: Ports
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
    value_property = asked.get("value_property", stands.value_property)
    if stands.aggregation.needs_value and value_property is None and stands.value_property is not None:
        raise Invalid.field("valueProperty", f"cannot be cleared for {stands.aggregation}", "required")
    return asked

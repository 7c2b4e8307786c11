"""Costs (contract 3.11): what is counted, as for a billable metric, and what each unit of it costs."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.domain.billable_metric import Aggregation, BillableMetric
from meterhouse.domain.cost import Cost
from meterhouse.domain.errors import Invalid
from query.answers import failures
from query.backend import Merchant, Ports
from query.costs.wire import CostBody
from query.fields import (
    Currency,
    Dimensions,
    Line,
    MerchantId,
    Number,
    PageLimit,
    PageOffset,
    ProductId,
    ValuePath,
    checked_id,
)
from query.route import new_router
from query.sales.products import own_merchant, refuse_nulls
from query.wire import ListBody, pagination

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)
_NULLABLE = ("unit", "value_property", "group_by")
_FIXED = ("type", "product_id", "merchant_id")

# As large and as fine as the value of an event may be.
UnitCost = Annotated[
    Number,
    Field(ge=0, lt=Decimal(10) ** 20, decimal_places=18),
    AfterValidator(lambda number: number or abs(number)),  # -0 is 0
    WithJsonSchema(
        {
            "type": "number",
            "minimum": 0,
            "exclusiveMaximum": 10**20,
            "description": "What each unit costs, with up to 18 decimal places.",
            "examples": [0.002],
        }
    ),
]


class NewCost(BaseModel):
    """`aggregation` may also be LAST, the other name of LATEST. COUNT keeps no valueProperty."""

    model_config = _CAMEL

    type: Literal["metered"]
    name: Line
    unit_cost: UnitCost
    currency: Currency
    product_id: ProductId
    aggregation: Aggregation
    event_type: Line
    unit: Line | None = None
    value_property: ValuePath | None = None
    group_by: Dimensions | None = None
    merchant_id: MerchantId | None = None


class CostChanges(BaseModel):
    """What is absent stays as it is; null clears `unit`, `valueProperty` and `groupBy`.

    `type`, `productId` and `merchantId` cannot change: they may only say what already stands.
    """

    model_config = _CAMEL

    name: Line | None = None
    unit_cost: UnitCost | None = None
    currency: Currency | None = None
    unit: Line | None = None
    aggregation: Aggregation | None = None
    event_type: Line | None = None
    value_property: ValuePath | None = None
    group_by: Dimensions | None = None
    type: Literal["metered"] | None = None
    product_id: ProductId | None = None
    merchant_id: MerchantId | None = None


class CostsAsked(BaseModel):
    model_config = _CAMEL

    merchant_id: MerchantId | None = None
    product_id: ProductId | None = None
    limit: PageLimit = 10
    offset: PageOffset = 0


@router.post(
    "/v0/costs", status_code=201, operation_id="createCost", responses=failures(400, 403, 404, 413, 415)
)
async def create(body: NewCost, merchant: Merchant, ports: Ports) -> CostBody:
    """Create a cost. It also counts the events that are here already."""
    own_merchant(body.merchant_id, merchant)
    now = ports.clock.now()
    metric = BillableMetric(
        id=new_id("cst"),
        merchant_id=merchant,
        product_id=body.product_id,
        item_id=None,
        name=body.name,
        description="",
        unit=body.unit or "",
        aggregation=body.aggregation,
        event_type=body.event_type,
        value_property=body.value_property,
        group_by=body.group_by,
        event_from=None,
        version=1,
        created_at=now,
        updated_at=now,
    )
    cost = Cost(metric=countable(metric), currency=body.currency, unit_cost=body.unit_cost)
    return CostBody.of(await ports.sales.costs.create(cost))


def countable(metric: BillableMetric) -> BillableMetric:
    """The metric; COUNT keeps no value property. Raises Invalid where there is nothing to add up."""
    if metric.aggregation.needs_value and metric.value_property is None:
        raise Invalid.field("valueProperty", f"is required for {metric.aggregation}", "required")
    return replace(metric, value_property=None) if metric.aggregation is Aggregation.COUNT else metric


@router.get("/v0/costs", operation_id="listCosts", responses=failures(400, 403))
async def page(asked: Annotated[CostsAsked, Query()], merchant: Merchant, ports: Ports) -> ListBody[CostBody]:
    """List costs, oldest first."""
    own_merchant(asked.merchant_id, merchant)
    found = await ports.sales.costs.page(merchant, asked.product_id, asked.limit, asked.offset)
    data = [CostBody.of(cost) for cost in found.items]
    return ListBody(data=data, pagination=pagination(found, asked.limit, asked.offset))


@router.get("/v0/costs/{id}", operation_id="getCost", responses=failures(404))
async def get(id: str, merchant: Merchant, ports: Ports) -> CostBody:
    """Get a cost as it was last defined."""
    return CostBody.of(await ports.sales.costs.get(merchant, checked_cost(id)))


@router.patch("/v0/costs/{id}", operation_id="updateCost", responses=failures(400, 404, 413, 415))
async def update(id: str, body: CostChanges, merchant: Merchant, ports: Ports) -> CostBody:
    """Change a cost. A new unit cost prices all usage at once; usage follows a new definition once it is
    counted over all events.
    """
    id = checked_cost(id)
    asked = body.model_dump(exclude_unset=True)
    refuse_nulls(asked, *_NULLABLE)
    if not asked:
        return CostBody.of(await ports.sales.costs.get(merchant, id))
    now = ports.clock.now()
    changed = await ports.sales.costs.update(merchant, id, lambda cost: decide_cost(cost, asked, now))
    return CostBody.of(changed)


def decide_cost(stands: Cost, asked: dict[str, Any], now: int) -> Cost:
    """The cost that the changes make of the one that stands. Raises Invalid where that is none."""
    changes = dict(asked)
    for name in _FIXED:
        if name in changes and changes.pop(name) != getattr(stands.metric, name, "metered"):
            raise Invalid.field(to_camel(name), "cannot be changed; create another cost", "immutable")
    if "unit" in changes:
        changes["unit"] = changes["unit"] or ""
    currency = changes.pop("currency", stands.currency)
    unit_cost = changes.pop("unit_cost", stands.unit_cost)
    metric = replace(stands.metric, **changes, updated_at=now)
    return Cost(metric=countable(metric), currency=currency, unit_cost=unit_cost)


@router.delete("/v0/costs/{id}", status_code=204, operation_id="deleteCost", responses=failures(404))
async def delete(id: str, merchant: Merchant, ports: Ports) -> None:
    """Delete a cost: its events stay, but are counted for it no more."""
    await ports.sales.costs.delete(merchant, checked_cost(id), ports.clock.now())


def checked_cost(id: str) -> str:
    """`id` if it can be a cost's; NotFound otherwise."""
    return checked_id(id, "cst", "cost")

"""Plans (contract 3.9)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from pydantic.alias_generators import to_camel

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.domain.errors import Invalid
from meterhouse.domain.instant import Instant
from meterhouse.domain.plan import (
    Cadence,
    CreditAllocation,
    Plan,
    PlanFilter,
    TaxBehavior,
    TransitionDate,
)
from query.answers import failures, model_answer
from query.backend import Merchant, Ports
from query.fields import (
    Currency,
    CustomerId,
    Duration,
    Line,
    MerchantId,
    Number,
    PageLimit,
    PageOffset,
    PricingUnitId,
    ProductId,
    Prose,
    TaxRate,
    Timestamp,
    checked_id,
)
from query.route import new_router
from query.sales.filing import product_of_charge
from query.sales.plan_lines import PlanLines, version_of
from query.sales.plan_wire import PlanBody
from query.sales.products import own_merchant, refuse_nulls
from query.wire import ListBody, pagination

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)
_ONE: dict[int | str, dict[str, Any]] = {200: {"model": PlanBody, "description": "The plan."}}
_PAGE: dict[int | str, dict[str, Any]] = {200: {"model": ListBody[PlanBody], "description": "One page."}}

Interval = Literal["monthly", "quarterly", "yearly", "annual"]
Days = Annotated[int, Field(strict=True, ge=0, le=365)]


class Allocation(BaseModel):
    model_config = _CAMEL

    pricing_unit_id: PricingUnitId
    amount: Annotated[Number, Field(gt=0, le=999_999_999_999, decimal_places=18)]
    recurrence_period: Duration | None = None


class Transition(BaseModel):
    model_config = _CAMEL

    effective_date: TransitionDate = TransitionDate.END_OF_CURRENT_PERIOD
    proration: Literal["none"] = "none"


class NewPlan(BaseModel):
    """Without `productId` it is of the merchant's oldest product. `billingCadence` goes before
    `billingInterval`; without both it is monthly.
    """

    model_config = _CAMEL

    name: Line
    currency: Currency
    merchant_id: MerchantId
    product_id: ProductId | None = None
    description: Prose | None = None
    invoice_display_name: Line | None = None
    billing_cadence: Cadence | None = None
    billing_interval: Interval | None = None
    billing_anchor: Timestamp | None = None
    billing_version: Literal[0, 1] = 1
    default_tax_code: Line = "eservice"
    default_tax_rate: TaxRate = Decimal(0)
    tax_behavior: TaxBehavior = TaxBehavior.EXCLUSIVE
    renewal_reminder_enabled: StrictBool = True
    renewal_reminder_days: Days = 3
    credit_allocations: Annotated[list[Allocation], Field(max_length=100)] = []
    stable_price_ids: StrictBool = True
    version_transition: Transition = Transition()
    prices: PlanLines = []


class PlanChanges(BaseModel):
    """What is absent stays as it is; null clears `billingAnchor`. `prices` make a new default version."""

    model_config = _CAMEL

    name: Line | None = None
    description: Prose | None = None
    invoice_display_name: Line | None = None
    billing_cadence: Cadence | None = None
    billing_interval: Interval | None = None
    billing_anchor: Timestamp | None = None
    default_tax_code: Line | None = None
    default_tax_rate: TaxRate | None = None
    tax_behavior: TaxBehavior | None = None
    renewal_reminder_enabled: StrictBool | None = None
    renewal_reminder_days: Days | None = None
    credit_allocations: Annotated[list[Allocation], Field(max_length=100)] | None = None
    stable_price_ids: StrictBool | None = None
    version_transition: Transition | None = None
    prices: PlanLines | None = None


class PlansAsked(BaseModel):
    model_config = _CAMEL

    merchant_id: MerchantId | None = None
    product_id: ProductId | None = None
    limit: PageLimit = 10
    offset: PageOffset = 0


class AvailablePlansAsked(BaseModel):
    """`search` is a part of the plan's name, in any case."""

    model_config = _CAMEL

    customer_id: CustomerId
    product_id: ProductId | None = None
    search: Line | None = None
    limit: PageLimit = 10
    offset: PageOffset = 0


@router.post(
    "/v0/plans",
    status_code=201,
    operation_id="createPlan",
    responses={**failures(400, 403, 404, 413, 415), 201: {"model": PlanBody, "description": "The plan."}},
    response_model=None,
)
async def create(body: NewPlan, merchant: Merchant, ports: Ports) -> Response:
    """Create a plan. Its prices are its first version."""
    own_merchant(body.merchant_id, merchant)
    now = ports.clock.now()
    first = version_of(body.prices, now)
    plan = Plan(
        id=new_id("plan"),
        merchant_id=merchant,
        product_id=await product_of_charge(body.product_id, None, merchant, ports),
        name=body.name,
        description=body.description,
        invoice_display_name=body.invoice_display_name,
        currency=body.currency,
        cadence=body.billing_cadence or _cadence(body.billing_interval),
        billing_anchor=_past(body.billing_anchor, now),
        billing_version=body.billing_version,
        default_tax_code=body.default_tax_code,
        default_tax_rate=body.default_tax_rate,
        tax_behavior=body.tax_behavior,
        renewal_reminder_enabled=body.renewal_reminder_enabled,
        renewal_reminder_days=body.renewal_reminder_days,
        credit_allocations=_allocations(body.credit_allocations),
        stable_price_ids=body.stable_price_ids,
        transition_date=body.version_transition.effective_date,
        default_version_id=first.id,
        created_at=now,
        updated_at=now,
    )
    return model_answer(PlanBody.of(await ports.sales.plans.create(plan, first)), 201)


def _cadence(interval: Interval | None) -> Cadence:
    match interval:
        case None | "monthly":
            return Cadence.MONTHLY
        case "quarterly":
            return Cadence.QUARTERLY
        case "yearly" | "annual":
            return Cadence.YEARLY


def _past(anchor: Instant | None, now: Instant) -> Instant | None:
    if anchor is not None and anchor > now:
        raise Invalid.field("billingAnchor", "must not be in the future")
    return anchor


def _allocations(asked: list[Allocation]) -> tuple[CreditAllocation, ...]:
    units = [one.pricing_unit_id for one in asked]
    for number, unit in enumerate(units):
        if unit in units[:number]:
            raise Invalid.field(f"creditAllocations.{number}.pricingUnitId", f"{unit} has one already")
    return tuple(
        [
            CreditAllocation(
                pricing_unit_id=one.pricing_unit_id, amount=one.amount, recurrence=one.recurrence_period
            )
            for one in asked
        ]
    )


@router.get(
    "/v0/plans", operation_id="listPlans", responses={**failures(400, 403), **_PAGE}, response_model=None
)
async def page(asked: Annotated[PlansAsked, Query()], merchant: Merchant, ports: Ports) -> Response:
    """List plans, oldest first."""
    own_merchant(asked.merchant_id, merchant)
    wanted = PlanFilter(product_id=asked.product_id)
    found = await ports.sales.plans.page(merchant, wanted, asked.limit, asked.offset)
    data = [PlanBody.of(plan) for plan in found.items]
    return model_answer(ListBody(data=data, pagination=pagination(found, asked.limit, asked.offset)))


@router.get(
    "/v0/plans/available",
    operation_id="listAvailablePlans",
    responses={**failures(400, 404), **_PAGE},
    response_model=None,
)
async def available(
    asked: Annotated[AvailablePlansAsked, Query()], merchant: Merchant, ports: Ports
) -> Response:
    """List the plans of products that a customer has no subscription of, oldest first."""
    await ports.customers.get(merchant, asked.customer_id)
    wanted = PlanFilter(
        product_id=asked.product_id,
        search=asked.search,
        open_to=asked.customer_id,
        at=ports.clock.now(),
    )
    found = await ports.sales.plans.page(merchant, wanted, asked.limit, asked.offset)
    data = [PlanBody.of(plan) for plan in found.items]
    return model_answer(ListBody(data=data, pagination=pagination(found, asked.limit, asked.offset)))


@router.get(
    "/v0/plans/{id}", operation_id="getPlan", responses={**failures(404), **_ONE}, response_model=None
)
async def get(id: str, merchant: Merchant, ports: Ports) -> Response:
    """Get a plan with the prices of its default version."""
    return model_answer(PlanBody.of(await ports.sales.plans.get(merchant, checked_plan(id))))


@router.patch(
    "/v0/plans/{id}",
    operation_id="updatePlan",
    responses={**failures(400, 404, 413, 415), **_ONE},
    response_model=None,
)
async def update(id: str, body: PlanChanges, merchant: Merchant, ports: Ports) -> Response:
    """Change a plan; what is absent stays. Other prices than it has make a new default version."""
    id = checked_plan(id)
    asked = {name: getattr(body, name) for name in body.model_fields_set}
    refuse_nulls(asked, "billing_anchor")
    if not asked:
        return model_answer(PlanBody.of(await ports.sales.plans.get(merchant, id)))
    now = ports.clock.now()
    changes = decide_changes(asked, now)
    prices = None if body.prices is None else version_of(body.prices, now)
    changed = await ports.sales.plans.update(merchant, id, lambda plan: replace(plan, **changes), prices)
    return model_answer(PlanBody.of(changed))


def decide_changes(asked: dict[str, Any], now: Instant) -> dict[str, Any]:
    """The fields of a plan to set, but for its prices. Raises Invalid where one cannot be."""
    renamed = {"version_transition": "transition_date", "billing_cadence": "cadence"}
    changes = {renamed.get(name, name): value for name, value in asked.items()}
    changes.pop("prices", None)
    interval = changes.pop("billing_interval", None)
    if interval is not None:
        changes.setdefault("cadence", _cadence(interval))
    if "billing_anchor" in changes:
        _past(changes["billing_anchor"], now)
    if "credit_allocations" in changes:
        changes["credit_allocations"] = _allocations(changes["credit_allocations"])
    if "transition_date" in changes:
        changes["transition_date"] = changes["transition_date"].effective_date
    return changes | {"updated_at": now}


def checked_plan(id: str) -> str:
    """The id of a plan, if it can be one at all; NotFound otherwise."""
    return checked_id(id, "plan", "plan")

"""`POST /v0/subscriptions/{id}/intervals`: other prices for one subscription (contract 2.3)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from fastapi import Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.domain.errors import Invalid
from meterhouse.domain.instant import Instant
from meterhouse.domain.interval_change import Edited
from meterhouse.domain.interval_document import ONE_OFF
from meterhouse.domain.interval_edit import Addition, Alteration, IntervalEdit
from meterhouse.domain.price_interval import QuantityStep
from meterhouse.domain.subscription import ChangeReason
from query.answers import failures, model_answer
from query.backend import Merchant, Ports
from query.fields import DecimalText, Duration, Line, Prose, Timestamp
from query.route import new_router
from query.sales.products import refuse_nulls
from query.subscriptions.interval_changes import IntervalChangeBody
from query.subscriptions.new_subscriptions import Tags
from query.subscriptions.price_intervals import PriceIntervalBody
from query.subscriptions.reconciliations import LineItemsBody
from query.subscriptions.subscriptions import checked_subscription
from query.wire import Wire

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)
_QUANTITY: Final = r"[0-9]{1,65}(\.[0-9]{1,18})?"
_NULLABLE: Final = ("unit_price", "bill_date", "end_date")


def _quantity(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(_QUANTITY, value, re.ASCII):
        raise ValueError("must be a decimal number of at least 0 as text, such as 5")
    return Decimal(value)


Quantity = Annotated[
    Decimal, BeforeValidator(_quantity), WithJsonSchema({"type": "string", "pattern": f"^{_QUANTITY}$"})
]
BillingCadence = Literal["one_off"] | Duration
BillingMode = Literal["advance", "arrears"]


class QuantityTransition(BaseModel):
    model_config = _CAMEL

    effective_date: Timestamp
    quantity: Quantity


Transitions = Annotated[list[QuantityTransition], Field(max_length=100)]


class IntervalAdded(BaseModel):
    """Over the line of the plan with that key, at whose price it is; or of the subscription's own, for which
    `priceId` is required. `billDate` is required for `one_off`, and for nothing else.
    """

    model_config = _CAMEL

    price_key: Line
    price_id: Line | None = None
    plan_version_id: Line | None = None
    unit_price: DecimalText | None
    base_quantity: Quantity
    quantity_transitions: Transitions = []
    billing_cadence: BillingCadence
    billing_mode: BillingMode
    bill_date: Timestamp | None = None
    start_date: Timestamp
    end_date: Timestamp | None = None

    def addition(self) -> Addition:
        return Addition(
            id=new_id("int"),
            key=self.price_key,
            price_id=self.price_id,
            plan_version_id=self.plan_version_id,
            unit_price=self.unit_price,
            base_quantity=self.base_quantity,
            steps=_steps(self.quantity_transitions),
            billing_cadence=_cadence(self.billing_cadence),
            is_in_advance=self.billing_mode == "advance",
            bill_date=self.bill_date,
            start=self.start_date,
            end=self.end_date,
        )


class IntervalEdited(BaseModel):
    """`unitPrice`, `baseQuantity`, `quantityTransitions` and `endDate` can change; whatever else is said has
    to be as it is. What is absent stays; `unitPrice` null is the rate of the price, `endDate` null no end.
    """

    model_config = _CAMEL

    id: Line
    unit_price: DecimalText | None = None
    base_quantity: Quantity | None = None
    quantity_transitions: Transitions | None = None
    price_id: Line | None = None
    price_key: Line | None = None
    plan_version_id: Line | None = None
    billing_cadence: BillingCadence | None = None
    billing_mode: BillingMode | None = None
    bill_date: Timestamp | None = None
    start_date: Timestamp | None = None
    end_date: Timestamp | None = None

    def alteration(self, place: str) -> Alteration:
        asked = {name: getattr(self, name) for name in self.model_fields_set if name != "id"}
        refuse_nulls(asked, *_NULLABLE, within=f"{place}.")
        if "billing_cadence" in asked:
            asked["billing_cadence"] = _cadence(asked["billing_cadence"])
        if "billing_mode" in asked:
            asked["billing_mode"] = asked["billing_mode"] == "advance"
        if "quantity_transitions" in asked:
            asked["steps"] = _steps(asked.pop("quantity_transitions"))
        return Alteration(id=self.id, asked=asked)


class IntervalRemoved(BaseModel):
    id: Line


def _cadence(text: str) -> str | None:
    """None is what charges once."""
    return None if text == ONE_OFF else text


def _steps(transitions: list[QuantityTransition]) -> tuple[QuantityStep, ...]:
    return tuple([QuantityStep(one.effective_date, one.quantity) for one in transitions])


def _require_some(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [{"required": [name]} for name in ("add", "edit", "remove")]


class IntervalEditAsked(BaseModel):
    """Done all at once, or not at all."""

    model_config = ConfigDict(alias_generator=to_camel, json_schema_extra=_require_some)

    add: Annotated[list[IntervalAdded], Field(max_length=100)] = []
    edit: Annotated[list[IntervalEdited], Field(max_length=100)] = []
    remove: Annotated[list[IntervalRemoved], Field(max_length=100)] = []
    change_reason: ChangeReason = ChangeReason.UNSPECIFIED
    description: Prose | None = None
    metadata: Tags = {}

    def wanted(self, at: Instant) -> IntervalEdit:
        if not self.model_fields_set & {"add", "edit", "remove"}:
            raise Invalid.field("body", "must have add, edit or remove", "required")
        return IntervalEdit(
            change_id=new_id("ich"),
            added=tuple([one.addition() for one in self.add]),
            altered=tuple([one.alteration(f"edit.{number}") for number, one in enumerate(self.edit)]),
            removed=tuple([one.id for one in self.remove]),
            reason=self.change_reason,
            description=self.description,
            metadata=self.metadata,
            at=at,
        )


class IntervalEditBody(Wire):
    """`intervalChange` is the record of it, null where nothing changed."""

    intervals: list[PriceIntervalBody]
    unchanged: bool
    line_items: LineItemsBody = LineItemsBody()
    interval_change: IntervalChangeBody | None

    @classmethod
    def of(cls, done: Edited) -> IntervalEditBody:
        return cls(
            intervals=[PriceIntervalBody.of(one) for one in done.intervals],
            unchanged=done.change is None,
            interval_change=None if done.change is None else IntervalChangeBody.of(done.change),
        )


@router.post(
    "/v0/subscriptions/{id}/intervals",
    operation_id="editSubscriptionIntervals",
    responses={
        **failures(400, 404, 409, 413, 415),
        200: {"model": IntervalEditBody, "description": "All intervals, by their start."},
    },
    response_model=None,
)
async def edit(id: str, body: IntervalEditAsked, merchant: Merchant, ports: Ports) -> Response:
    """Add price intervals to a subscription, change them or remove them: all of it or nothing.

    Refused (409) is what would change a period that is billed, leave a gap or an overlap, or charge a price
    once more that charges once.
    """
    wanted = body.wanted(ports.clock.now())
    done = await ports.subscribed.price_intervals.edit(merchant, checked_subscription(id), wanted)
    return model_answer(IntervalEditBody.of(done))

"""`GET /v0/subscriptions/{id}/intervals`: which prices charge a subscription, from when until when."""

from __future__ import annotations

from typing import Literal

from fastapi import Response

from meterhouse.domain.instant import render
from meterhouse.domain.interval_document import charge_document
from meterhouse.domain.price_interval import PriceInterval
from query.answers import failures, model_answer
from query.backend import Merchant, Ports
from query.route import new_router
from query.subscriptions.subscriptions import checked_subscription
from query.wire import Moment, Wire, moment

router = new_router()


class QuantityTransitionBody(Wire):
    effective_date: Moment
    quantity: str


class ChargeBody(Wire):
    """What an interval charges: `unitPrice` null by the price itself, `billDate` that of `one_off` alone."""

    price_id: str
    price_key: str
    plan_version_id: str
    unit_price: str | None
    base_quantity: str
    quantity_transitions: list[QuantityTransitionBody]
    billing_cadence: str
    billing_mode: Literal["advance", "arrears"]
    bill_date: Moment | None
    start_date: Moment
    end_date: Moment | None


class PriceIntervalBody(ChargeBody):
    """A line of a version of the plan, or what is charged in its place; or the subscription's own."""

    id: str
    kind: Literal["plan_line", "subscription_owned"]

    @classmethod
    def of(cls, interval: PriceInterval) -> PriceIntervalBody:
        return cls(
            id=interval.id,
            price_id=interval.charge.price.id,
            price_key=interval.key,
            kind="subscription_owned" if interval.is_owned else "plan_line",
            plan_version_id=interval.plan_version_id,
            start_date=render(interval.start),
            end_date=moment(interval.end),
            **charge_document(interval.charge),
        )


class PriceIntervalsBody(Wire):
    intervals: list[PriceIntervalBody]


@router.get(
    "/v0/subscriptions/{id}/intervals",
    operation_id="getSubscriptionIntervals",
    responses={**failures(404), 200: {"model": PriceIntervalsBody, "description": "By their start."}},
    response_model=None,
)
async def intervals(id: str, merchant: Merchant, ports: Ports) -> Response:
    """List the prices that charge a subscription, did, or will, each with its time."""
    found = await ports.subscribed.price_intervals.of(merchant, checked_subscription(id))
    return model_answer(PriceIntervalsBody(intervals=[PriceIntervalBody.of(one) for one in found]))

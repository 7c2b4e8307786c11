"""Subscriptions (contract 3.10): read them, change them, end them. They begin in new_subscriptions.py."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Final, Literal

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, StrictBool
from pydantic.alias_generators import to_camel

from meterhouse.domain.errors import Conflict, Invalid
from meterhouse.domain.instant import Instant
from meterhouse.domain.subscription import (
    ChangeReason,
    Subscription,
    SubscriptionFilter,
    SubscriptionStatus,
    Termination,
    VersionPolicy,
)
from query.answers import failures, model_answer
from query.backend import Backend, Merchant, Ports
from query.fields import (
    ConsumerId,
    CustomerId,
    Line,
    MerchantId,
    PageLimit,
    PageOffset,
    Prose,
    Timestamp,
    checked_id,
)
from query.route import new_router
from query.sales.products import own_merchant, refuse_nulls
from query.subscriptions.new_subscriptions import Days
from query.subscriptions.wire import SubscriptionBody
from query.wire import ListBody, pagination

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)
_TERMS: Final = frozenset(
    {
        "ending_at", "auto_charge", "tax_exempt", "payment_term_days", "renewal_reminder_enabled",
        "renewal_reminder_days", "version_policy",
    }
)  # fmt: skip
_OF_TERMINATION: Final = ("terminated_at", "terminated_by", "termination_reason")


class SubscriptionsAsked(BaseModel):
    """Those of a customer, of a consumer, or all of the merchant's. `startedBefore` itself is included."""

    model_config = _CAMEL

    customer_id: CustomerId | None = None
    consumer_id: ConsumerId | None = None
    merchant_id: MerchantId | None = None
    status: list[SubscriptionStatus] = []
    started_before: Timestamp | None = None
    include: Literal["customer"] | None = None
    limit: PageLimit = 10
    offset: PageOffset = 0


class SubscriptionChanges(BaseModel):
    """What is absent stays as it is; null leaves reminders to the plan. `status` terminated ends it, at
    `terminatedAt` or now, whichever is earlier.
    """

    model_config = _CAMEL

    ending_at: Timestamp | None = None
    status: Literal["active", "terminated"] | None = None
    terminated_at: Timestamp | None = None
    terminated_by: Line | None = None
    termination_reason: Prose | None = None
    auto_charge: StrictBool | None = None
    tax_exempt: StrictBool | None = None
    payment_term_days: Days | None = None
    renewal_reminder_enabled: StrictBool | None = None
    renewal_reminder_days: Days | None = None
    version_policy: VersionPolicy | None = None


class TerminationAsked(BaseModel):
    model_config = _CAMEL

    reason: Prose
    change_reason: ChangeReason = ChangeReason.UNSPECIFIED


_ONE: dict[int | str, dict[str, Any]] = {200: {"model": SubscriptionBody, "description": "The subscription."}}


@router.get(
    "/v0/subscriptions",
    operation_id="listSubscriptions",
    responses={
        **failures(400, 403, 404),
        200: {"model": ListBody[SubscriptionBody], "description": "One page."},
    },
    response_model=None,
)
async def page(asked: Annotated[SubscriptionsAsked, Query()], merchant: Merchant, ports: Ports) -> Response:
    """List subscriptions, oldest first."""
    await _require_parties(asked, merchant, ports)
    wall = ports.clock.now()
    wanted = SubscriptionFilter(
        customer_id=asked.customer_id,
        consumer_id=asked.consumer_id,
        statuses=frozenset(asked.status),
        started_by=asked.started_before,
        at=wall,
    )
    found = await ports.subscribed.subscriptions.page(merchant, wanted, asked.limit, asked.offset)
    show = SubscriptionBody.of if asked.include is None else SubscriptionBody.with_customer
    data = [show(one, wall) for one in found.items]
    return model_answer(ListBody(data=data, pagination=pagination(found, asked.limit, asked.offset)))


async def _require_parties(asked: SubscriptionsAsked, merchant: str, ports: Backend) -> None:
    """Raises Forbidden, NotFound, and Invalid where a customer is named beside what it is one of."""
    own_merchant(asked.merchant_id, merchant)
    if asked.customer_id is not None:
        if asked.consumer_id is not None or asked.merchant_id is not None:
            raise Invalid.field("customerId", "cannot be given beside consumerId or merchantId")
        await ports.customers.get(merchant, asked.customer_id)
    if asked.consumer_id is not None:
        await ports.customers.consumer(merchant, asked.consumer_id)


@router.get(
    "/v0/subscriptions/{id}",
    operation_id="getSubscription",
    responses={**failures(404), **_ONE},
    response_model=None,
)
async def get(id: str, merchant: Merchant, ports: Ports) -> Response:
    """Get a subscription."""
    found = await ports.subscribed.subscriptions.get(merchant, checked_subscription(id))
    return model_answer(SubscriptionBody.of(found, ports.clock.now()))


@router.patch(
    "/v0/subscriptions/{id}",
    operation_id="updateSubscription",
    responses={**failures(400, 404, 409, 413, 415), **_ONE},
    response_model=None,
)
async def update(id: str, body: SubscriptionChanges, merchant: Merchant, ports: Ports) -> Response:
    """Change a subscription, or end it. What is over stays as it is (409)."""
    id = checked_subscription(id)
    asked = {name: getattr(body, name) for name in body.model_fields_set}
    refuse_nulls(asked, "renewal_reminder_enabled", "renewal_reminder_days")
    wall = ports.clock.now()
    change = partial(decide_changes, asked=asked, merchant=merchant, wall=wall)
    return model_answer(
        SubscriptionBody.of(await ports.subscribed.subscriptions.update(merchant, id, change), wall)
    )


def decide_changes(
    subscription: Subscription, asked: dict[str, Any], merchant: str, wall: Instant
) -> Subscription:
    """The subscription as the changes make it. Raises Invalid, and Conflict for one that is over."""
    terms = {name: value for name, value in asked.items() if name in _TERMS}
    ended = subscription.ended(wall)
    if asked.get("status") == "active" and ended is not None:
        raise Conflict(f"the subscription {subscription.id} is terminated, and does not begin again")
    if terms:
        subscription = subscription.agreed(replace(subscription.terms, **terms), wall)
    if asked.get("status") == "terminated":
        return subscription.terminated(_termination(subscription, asked, merchant, wall), wall)
    for name in _OF_TERMINATION:
        if name in asked:
            raise Invalid.field(to_camel(name), "is for the status terminated alone")
    return subscription


def _termination(
    subscription: Subscription, asked: dict[str, Any], merchant: str, wall: Instant
) -> Termination:
    at = asked.get("terminated_at", subscription.now(wall))
    if "terminated_at" in asked and at <= subscription.started_at:
        raise Invalid.field("terminatedAt", "must be after startedAt")
    return Termination(at=at, by=asked.get("terminated_by", merchant), reason=asked.get("termination_reason"))


async def terminate(id: str, body: TerminationAsked, merchant: Merchant, ports: Ports) -> Response:
    """End a subscription now, and with it its entitlements. Again changes nothing."""
    wall = ports.clock.now()

    def end(subscription: Subscription) -> Subscription:
        now = subscription.now(wall)
        how = Termination(at=now, by=merchant, reason=body.reason, change_reason=body.change_reason)
        return subscription.terminated(how, wall)

    ended = await ports.subscribed.subscriptions.update(merchant, checked_subscription(id), end)
    return model_answer(SubscriptionBody.of(ended, wall))


# The second is how the published guides call it (contract 10, decision 7).
for _path, _id in (("termination", "terminateSubscription"), ("terminate", "terminateSubscriptionByGuide")):
    router.post(
        f"/v0/subscriptions/{{id}}/{_path}",
        operation_id=_id,
        responses={**failures(400, 404, 413, 415), **_ONE},
        response_model=None,
    )(terminate)


def checked_subscription(id: str) -> str:
    """The id of a subscription, if it can be one at all; NotFound otherwise."""
    return checked_id(id, "sub", "subscription")

"""What answers about subscriptions look like (contract 3.10 and 9)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from meterhouse.domain.instant import Instant, render
from meterhouse.domain.subscription import (
    ChangeReason,
    ElapsedBilling,
    Subscription,
    SubscriptionStatus,
    VersionPolicy,
)
from query.sales.wire import is_none
from query.wire import Moment, Number, Wire, moment

# Metadata as they are shown.
TagsBody = dict[str, str | bool | Number]


class ConsumerOfSubscriptionBody(Wire):
    id: str
    name: str
    email: str


class CustomerOfSubscriptionBody(Wire):
    id: str
    merchant_id: str
    consumer: ConsumerOfSubscriptionBody

    @classmethod
    def of(cls, subscription: Subscription) -> CustomerOfSubscriptionBody | None:
        consumer = subscription.consumer
        if consumer is None:
            return None
        known = ConsumerOfSubscriptionBody(id=consumer.id, name=consumer.name, email=consumer.email)
        return cls(id=subscription.customer_id, merchant_id=subscription.merchant_id, consumer=known)


class SubscriptionBody(Wire):
    """`planVersionId` and `versionNumber` are what it began with. What is not set is left out."""

    id: str
    object: Literal["subscription"] = "subscription"
    merchant_id: str
    customer_id: str
    name: str
    plan_id: str
    plan_version_id: str
    version_number: int
    version_policy: VersionPolicy
    status: SubscriptionStatus
    started_at: Moment
    ending_at: Moment | None = Field(default=None, exclude_if=is_none)
    elapsed_period_billing: ElapsedBilling
    billing_starts_at: Moment
    billing_anchor: Moment
    billing_cadence: str
    auto_charge: bool
    tax_exempt: bool
    payment_term_days: int
    renewal_reminder_enabled: bool | None
    renewal_reminder_days: int | None
    test_clock_id: str | None = Field(default=None, exclude_if=is_none)
    terminated_at: Moment | None = Field(default=None, exclude_if=is_none)
    terminated_by: str | None = Field(default=None, exclude_if=is_none)
    termination_reason: str | None = Field(default=None, exclude_if=is_none)
    termination_change_reason: ChangeReason | None
    metadata: TagsBody
    customer: CustomerOfSubscriptionBody | None = Field(
        default=None, exclude_if=is_none, description="Only with `include=customer`."
    )
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, subscription: Subscription, wall: Instant) -> SubscriptionBody:
        return cls.model_construct(**_fields(subscription, wall))

    @classmethod
    def with_customer(cls, subscription: Subscription, wall: Instant) -> SubscriptionBody:
        customer = CustomerOfSubscriptionBody.of(subscription)
        return cls.model_construct(**_fields(subscription, wall), customer=customer)


def _fields(subscription: Subscription, wall: Instant) -> dict[str, Any]:
    terms, ended = subscription.terms, subscription.ended(wall)
    return {
        "id": subscription.id,
        "merchant_id": subscription.merchant_id,
        "customer_id": subscription.customer_id,
        "name": subscription.name,
        "plan_id": subscription.plan_id,
        "plan_version_id": subscription.plan_version_id,
        "version_number": subscription.version_number,
        "version_policy": terms.version_policy,
        "status": subscription.status(wall),
        "started_at": render(subscription.started_at),
        "ending_at": moment(terms.ending_at),
        "elapsed_period_billing": subscription.elapsed_billing,
        "billing_starts_at": render(subscription.billing_starts_at),
        "billing_anchor": render(subscription.billing_anchor),
        "billing_cadence": subscription.billing_cadence,
        "auto_charge": terms.auto_charge,
        "tax_exempt": terms.tax_exempt,
        "payment_term_days": terms.payment_term_days,
        "renewal_reminder_enabled": terms.renewal_reminder_enabled,
        "renewal_reminder_days": terms.renewal_reminder_days,
        "test_clock_id": subscription.test_clock_id,
        "terminated_at": moment(None if ended is None else ended.at),
        "terminated_by": None if ended is None else ended.by,
        "termination_reason": None if ended is None else ended.reason,
        "termination_change_reason": None if ended is None else ended.change_reason,
        "metadata": shown_tags(subscription.metadata),
        "created_at": render(subscription.created_at),
        "updated_at": render(subscription.updated_at),
    }


def shown_tags(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Whole numbers as Decimals too, as the model says; true is no number."""
    return {
        name: Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in metadata.items()
    }

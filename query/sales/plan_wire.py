"""What answers about plans and their versions look like (contract 3.9 and 9)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from meterhouse.domain.instant import render
from meterhouse.domain.plan import (
    Cadence,
    CreditAllocation,
    Plan,
    PlanVersion,
    TaxBehavior,
    TransitionDate,
    VersionLine,
    VersionSummary,
)
from query.sales.wire import PriceBody, is_none
from query.wire import Moment, Number, Wire, moment


class TransitionBody(Wire):
    effective_date: TransitionDate
    proration: Literal["none"] = "none"


class AllocationBody(Wire):
    pricing_unit_id: str
    amount: Number
    recurrence_period: str | None = Field(default=None, exclude_if=is_none)

    @classmethod
    def of(cls, allocation: CreditAllocation) -> AllocationBody:
        return cls(
            pricing_unit_id=allocation.pricing_unit_id,
            amount=allocation.amount,
            recurrence_period=allocation.recurrence,
        )


class PlanBody(Wire):
    """`prices` are those of the default version. What is not set is left out."""

    id: str
    object: Literal["plan"] = "plan"
    merchant_id: str
    product_id: str
    name: str
    description: str | None = Field(default=None, exclude_if=is_none)
    invoice_display_name: str | None = Field(default=None, exclude_if=is_none)
    currency: str
    billing_cadence: Cadence
    billing_interval: str = Field(description="The same in older words.")
    billing_anchor: Moment | None = Field(default=None, exclude_if=is_none)
    billing_version: int
    default_tax_code: str
    default_tax_rate: Number
    tax_behavior: TaxBehavior
    renewal_reminder_enabled: bool
    renewal_reminder_days: int
    credit_allocations: list[AllocationBody]
    stable_price_ids: bool
    version_transition: TransitionBody
    default_version_id: str
    prices: list[PriceBody]
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, plan: Plan) -> PlanBody:
        return cls(
            id=plan.id,
            merchant_id=plan.merchant_id,
            product_id=plan.product_id,
            name=plan.name,
            description=plan.description,
            invoice_display_name=plan.invoice_display_name,
            currency=plan.currency,
            billing_cadence=plan.cadence,
            billing_interval=plan.cadence.interval,
            billing_anchor=moment(plan.billing_anchor),
            billing_version=plan.billing_version,
            default_tax_code=plan.default_tax_code,
            default_tax_rate=plan.default_tax_rate,
            tax_behavior=plan.tax_behavior,
            renewal_reminder_enabled=plan.renewal_reminder_enabled,
            renewal_reminder_days=plan.renewal_reminder_days,
            credit_allocations=[AllocationBody.of(one) for one in plan.credit_allocations],
            stable_price_ids=plan.stable_price_ids,
            version_transition=TransitionBody(effective_date=plan.transition_date),
            default_version_id=plan.default_version_id,
            prices=[PriceBody.of(price) for price in plan.prices],
            created_at=render(plan.created_at),
            updated_at=render(plan.updated_at),
        )


class VersionSummaryBody(Wire):
    id: str
    object: Literal["plan_version"] = "plan_version"
    version_number: int
    status: Literal["published"] = "published"
    is_default: bool
    subscription_count: int = Field(description="Those that began with it and are not over.")
    published_at: Moment

    @classmethod
    def summed_up(cls, summary: VersionSummary) -> VersionSummaryBody:
        return cls(
            id=summary.id,
            version_number=summary.number,
            is_default=summary.is_default,
            subscription_count=summary.subscription_count,
            published_at=render(summary.published_at),
        )


class LineBody(PriceBody):
    """A price, and the key that names its line in every version that keeps it."""

    key: str
    price_deleted: bool

    @classmethod
    def held(cls, line: VersionLine) -> LineBody:
        price = PriceBody.of(line.price)
        return cls.model_validate({**dict(price), "key": line.key, "price_deleted": line.is_price_deleted})


class PlanVersionBody(VersionSummaryBody):
    based_on_version_id: str | None = Field(default=None, exclude_if=is_none)
    prices: list[LineBody]
    updated_at: Moment = Field(description="The same as `publishedAt`: a version never changes.")

    @classmethod
    def of(cls, version: PlanVersion) -> PlanVersionBody:
        published_at = render(version.published_at)
        return cls(
            id=version.id,
            version_number=version.number,
            is_default=version.is_default,
            subscription_count=version.subscription_count,
            published_at=published_at,
            based_on_version_id=version.based_on,
            prices=[LineBody.held(line) for line in version.lines],
            updated_at=published_at,
        )

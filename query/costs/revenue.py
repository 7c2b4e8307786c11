"""What was billed? `GET /v0/revenue`: the invoices of a period, which are those of purchased grants.

Nothing here is worked out from usage and prices, as no invoices are made of subscriptions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from meterhouse.domain.cost import total
from meterhouse.domain.errors import Invalid
from meterhouse.domain.instant import render
from meterhouse.domain.invoice import Invoice
from meterhouse.domain.window import Window, WindowSize
from query.answers import failures
from query.backend import Merchant, Ports
from query.costs.revenue_wire import (
    CurrencyBody,
    GroupOfBucketBody,
    InvoiceCategoryBody,
    InvoiceGroupBody,
    InvoicesBody,
    RevenueBody,
    RevenueBucketBody,
)
from query.fields import Currency, CustomerId, MerchantId, SubscriptionId, Timestamp
from query.money import PRIMARY, money
from query.route import new_router
from query.sales.products import own_merchant

router = new_router()

OTHER: Final = "other"
_MAX_CUSTOMERS: Final = 25
_MAX_PLANS: Final = 5


class BucketWidth(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"

    @property
    def size(self) -> WindowSize:
        return WindowSize[self.name]


class RevenueAsked(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    start_time: Timestamp = Field(description="Included.")
    end_time: Timestamp = Field(description="Not included.")
    bucket_width: BucketWidth = BucketWidth.DAY
    merchant_id: MerchantId | None = None
    customer_id: CustomerId | None = None
    subscription_ids: Annotated[list[SubscriptionId], Field(max_length=50)] = []
    currency: Currency | None = Field(None, description=f"{PRIMARY} where nothing is said.")
    group_by: Literal["plan", "customer", "currency"] | None = None
    period_basis: Literal["issued", "billingPeriod"] = Field(
        "issued", description="The same for purchases, which bill the moment at which they are made."
    )

    @property
    def period(self) -> Window:
        if self.start_time > self.end_time:
            raise Invalid.field("startTime", "must not be after endTime")
        return Window(self.start_time, self.end_time)

    def is_wanted(self, invoice: Invoice) -> bool:
        """Whether it is one of the customer and the subscriptions that are asked for, if any are."""
        return self.customer_id in (None, invoice.customer_id) and (
            not self.subscription_ids or invoice.subscription_id in self.subscription_ids
        )


@dataclass(frozen=True, slots=True)
class Groups:
    """Which group each invoice is of, and what the groups are called, in order."""

    of_invoice: Mapping[str, str]
    labels: Mapping[str, str]


@router.get(
    "/v0/revenue",
    operation_id="getRevenue",
    responses=failures(400, 403),
    response_model_exclude_none=True,
)
async def revenue(asked: Annotated[RevenueAsked, Query()], merchant: Merchant, ports: Ports) -> RevenueBody:
    """What was billed in a period, by the issue of invoices. Usage that is billed elsewhere is not in it."""
    own_merchant(asked.merchant_id, merchant)
    every = await ports.holdings.purchases.invoices(merchant, asked.period)
    wanted = [one for one in every if asked.is_wanted(one)]
    if asked.group_by == "currency":
        return RevenueBody(currency_breakdown=_by_currency(asked, wanted))
    currency = asked.currency or PRIMARY
    found = [one for one in wanted if one.currency == currency]
    groups = None
    if asked.group_by == "plan":
        groups = by_plan(found)
    elif asked.group_by == "customer":
        ids = sorted({one.customer_id for one in found})
        groups = by_customer(found, await ports.customers.names(merchant, ids))
    return RevenueBody(
        currency=currency,
        net_revenue=money(amount_of(found)),
        invoices=invoices_body(found),
        trend=trend(found, asked.bucket_width, groups),
        group_breakdown=None if groups is None else _breakdown(found, groups),
    )


def amount_of(invoices: Sequence[Invoice]) -> Decimal:
    """What they come to."""
    return total(one.amount for one in invoices)


def by_customer(found: Sequence[Invoice], names: Mapping[str, str]) -> Groups:
    """The largest first; what is beyond 25 groups is the rest."""
    keys = {one.id: one.customer_id for one in found}
    return _grouped(found, keys, {id: names.get(id, id) for id in keys.values()}, _MAX_CUSTOMERS)


def by_plan(found: Sequence[Invoice]) -> Groups:
    """The largest first; what is beyond 5 groups, and what belongs to no subscription, is the rest."""
    keys = {one.id: one.plan_id for one in found if one.plan_id is not None}
    names = {one.plan_id: one.plan_name or one.plan_id for one in found if one.plan_id is not None}
    return _grouped(found, keys, names, _MAX_PLANS)


def _grouped(
    found: Sequence[Invoice], keys: Mapping[str, str], names: Mapping[str, str], most: int
) -> Groups:
    of: defaultdict[str, list[Invoice]] = defaultdict(list)
    for one in found:
        if one.id in keys:
            of[keys[one.id]].append(one)
    amounts = {key: amount_of(some) for key, some in of.items()}
    ranked = sorted(of, key=lambda key: (amounts[key].copy_negate(), key))
    has_keyless = len(keys) < len(found)
    shown = ranked if len(ranked) + has_keyless <= most else ranked[: most - 1]
    places = {one.id: keys[one.id] if keys.get(one.id) in shown else OTHER for one in found}
    labels = {key: names[key] for key in shown}
    return Groups(places, labels | ({OTHER: "Other"} if OTHER in places.values() else {}))


def _breakdown(found: Sequence[Invoice], groups: Groups) -> list[InvoiceGroupBody]:
    bodies = []
    for key, label in groups.labels.items():
        body = invoices_body([one for one in found if groups.of_invoice[one.id] == key])
        bodies.append(
            InvoiceGroupBody(
                group_key=key,
                group_label=label,
                outstanding=body.outstanding,
                paid=body.paid,
                written_off=body.written_off,
            )
        )
    return bodies


def _by_currency(asked: RevenueAsked, wanted: Sequence[Invoice]) -> list[CurrencyBody]:
    """The primary one first, then by their codes."""
    of: defaultdict[str, list[Invoice]] = defaultdict(list)
    for one in wanted:
        if asked.currency in (None, one.currency):
            of[one.currency].append(one)
    return [
        CurrencyBody(
            currency=currency,
            net_revenue=money(amount_of(of[currency])),
            invoices=invoices_body(of[currency]),
            trend=trend(of[currency], asked.bucket_width, None),
        )
        for currency in sorted(of, key=lambda code: (code != PRIMARY, code))
    ]


def invoices_body(found: Sequence[Invoice]) -> InvoicesBody:
    """How many were issued, and what became of them."""

    def category(some: Sequence[Invoice]) -> InvoiceCategoryBody:
        return InvoiceCategoryBody(count=len(some), amount=money(amount_of(some)))

    return InvoicesBody(
        issued=category(found),
        outstanding=category([one for one in found if one.paid_at is None]),
        paid=category([one for one in found if one.paid_at is not None]),
        written_off=category([]),
    )


def trend(found: Sequence[Invoice], width: BucketWidth, groups: Groups | None) -> list[RevenueBucketBody]:
    """By UTC hour, day or week (from Monday); those without invoices are left out."""
    of: defaultdict[Window, list[Invoice]] = defaultdict(list)
    for one in found:
        of[width.size.window_of(one.issued_at)].append(one)
    return [
        RevenueBucketBody(
            timestamp=render(window.start),
            revenue=money(amount_of(of[window])),
            issued_invoices=money(amount_of(of[window])),
            group_breakdown=None if groups is None else _of_bucket(of[window], groups),
        )
        for window in sorted(of)
    ]


def _of_bucket(found: Sequence[Invoice], groups: Groups) -> list[GroupOfBucketBody]:
    of: defaultdict[str, list[Invoice]] = defaultdict(list)
    for one in found:
        of[groups.of_invoice[one.id]].append(one)
    return [
        GroupOfBucketBody(
            group_key=key,
            group_label=label,
            revenue=money(amount_of(of[key])),
            issued_invoices=money(amount_of(of[key])),
        )
        for key, label in groups.labels.items()
        if key in of
    ]

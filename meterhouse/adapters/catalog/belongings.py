"""What a reset deletes, in an order in which nothing is left that names what is gone.

Everything here runs inside a transaction of the caller's, which holds the catalog.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Delete, Select, delete, select, update
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.entitlement_models import EntitlementRow, GrantRow, PurchaseRow
from meterhouse.adapters.catalog.models import ConsumerRow, CustomerRow, FeatureRow, MetricRow, ProductRow
from meterhouse.adapters.catalog.sales_models import (
    FeeRow,
    ItemRow,
    PlanLineRow,
    PlanRow,
    PlanVersionRow,
    PriceRow,
    ReferenceRow,
)
from meterhouse.adapters.catalog.subscription_models import (
    IntervalChangeRow,
    PriceClosureRow,
    PriceIntervalRow,
    SubscriptionRow,
    SubscriptionVersionRow,
    TestClockRow,
)
from meterhouse.adapters.catalog.webhook_models import DeliveryRow, MarkRow, NoticeRow
from meterhouse.domain.instant import Instant
from meterhouse.domain.reset import OneCustomer, ResetScope, WholeMerchant


def delete_belongings(session: Session, merchant_id: str, scope: ResetScope, at: Instant) -> None:
    """Delete all of the merchant's that the scope says; keys, tombstones and webhooks stay.

    Products and billable metrics are only marked: rows in ClickHouse go on to name them for a while.
    """
    for statement in _statements(merchant_id, scope):
        session.execute(statement.execution_options(synchronize_session=False))
    if scope == WholeMerchant(keep_catalog=False):
        for row in (ProductRow, MetricRow):
            gone = update(row).where(row.merchant_id == merchant_id, row.deleted_at.is_(None))
            session.execute(gone.values(deleted_at=at).execution_options(synchronize_session=False))


def _statements(merchant_id: str, scope: ResetScope) -> Iterator[Delete]:
    match scope:
        case OneCustomer(customer_id):
            yield from _of_customers(
                (CustomerRow.merchant_id == merchant_id) & (CustomerRow.id == customer_id),
                (EntitlementRow.merchant_id == merchant_id) & (EntitlementRow.customer_id == customer_id),
                (SubscriptionRow.merchant_id == merchant_id) & (SubscriptionRow.customer_id == customer_id),
            )
        case WholeMerchant(keep_catalog):
            yield from _of_customers(
                CustomerRow.merchant_id == merchant_id,
                EntitlementRow.merchant_id == merchant_id,
                SubscriptionRow.merchant_id == merchant_id,
            )
            for row in (ConsumerRow, TestClockRow, DeliveryRow, NoticeRow):
                yield delete(row).where(row.merchant_id == merchant_id)
            if not keep_catalog:
                yield from _of_catalog(merchant_id)


def _of_customers(
    customers: ColumnElement[bool], entitlements: ColumnElement[bool], subscriptions: ColumnElement[bool]
) -> Iterator[Delete]:
    """The customers and all that is attached to them, also to those that were deleted before."""
    held = select(EntitlementRow.id).where(entitlements)
    for row in (GrantRow, PurchaseRow, MarkRow):
        yield delete(row).where(row.entitlement_id.in_(held))
    yield delete(EntitlementRow).where(entitlements)
    subscribed = select(SubscriptionRow.id).where(subscriptions)
    for of_one in (SubscriptionVersionRow, PriceIntervalRow, PriceClosureRow, IntervalChangeRow):
        yield delete(of_one).where(of_one.subscription_id.in_(subscribed))
    yield delete(SubscriptionRow).where(subscriptions)
    yield delete(ReferenceRow).where(ReferenceRow.entity_id.in_(select(CustomerRow.id).where(customers)))
    yield delete(CustomerRow).where(customers)


def _of_catalog(merchant_id: str) -> Iterator[Delete]:
    plans: Select[str] = select(PlanRow.id).where(PlanRow.merchant_id == merchant_id)
    yield delete(PlanLineRow).where(PlanLineRow.plan_id.in_(plans))
    yield delete(PlanVersionRow).where(PlanVersionRow.plan_id.in_(plans))
    for row in (PlanRow, PriceRow, FeeRow, FeatureRow, ReferenceRow, ItemRow):
        yield delete(row).where(row.merchant_id == merchant_id)

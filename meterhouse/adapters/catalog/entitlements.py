"""Entitlements of customers to features."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlalchemy import ColumnElement, Select, case, literal, or_, select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.customers import require_customer
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.entitlement_models import EntitlementRow
from meterhouse.adapters.catalog.features import feature_of, feature_row
from meterhouse.adapters.catalog.grants import entitlement_row, grant_row, grants_by_entitlement
from meterhouse.adapters.catalog.models import CustomerRow, FeatureRow
from meterhouse.adapters.catalog.notices import tell_of_grant
from meterhouse.adapters.catalog.pages import read_page
from meterhouse.adapters.catalog.plan_versions import lines_of
from meterhouse.adapters.catalog.sales_models import PriceRow
from meterhouse.adapters.catalog.subscription_models import SubscriptionRow
from meterhouse.adapters.catalog.subscription_rows import (
    NO_TIMES,
    is_live,
    now_of_entitlements,
    number_of,
    subscription_row,
    times_of,
)
from meterhouse.domain.entitlement import Entitlement
from meterhouse.domain.errors import Conflict, Invalid
from meterhouse.domain.holding import GivenGrant, Holding, HoldingFilter
from meterhouse.domain.provision import offers_of
from meterhouse.domain.template_document import document_of, template_of
from meterhouse.domain.webhook import NoticeType
from meterhouse.ports.catalog import Page


class CatalogEntitlements:
    """Implements EntitlementCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def issue(
        self, entitlement: Entitlement, billable_metric_id: str | None, first: GivenGrant | None
    ) -> Holding:
        return await self._database.write(partial(_issue, entitlement, billable_metric_id, first))

    async def get(self, merchant_id: str, id: str) -> Holding:
        def read(session: Session) -> Holding:
            [holding] = holdings_of(session, [entitlement_row(session, merchant_id, id)])
            return holding

        return await self._database.read(read)

    async def page(self, merchant_id: str, wanted: HoldingFilter, limit: int, offset: int) -> Page[Holding]:
        return await self._database.read(partial(_page, merchant_id, wanted, limit, offset))

    async def priced_metrics(
        self, merchant_id: str, feature_id: str, subscription_id: str | None
    ) -> Sequence[str]:
        return await self._database.read(partial(_priced_metrics, merchant_id, feature_id, subscription_id))


def _priced_metrics(
    merchant_id: str, feature_id: str, subscription_id: str | None, session: Session
) -> Sequence[str]:
    if subscription_id is not None:
        row = subscription_row(session, merchant_id, subscription_id)
        lines = lines_of(session, row.plan_id, number_of(session, row))
        for offer in offers_of(lines):
            if offer.feature.id == feature_id and offer.billable_metric_id is not None:
                return [offer.billable_metric_id]
    return live_metrics(session, merchant_id, feature_id)


def live_metrics(session: Session, merchant_id: str, feature_id: str) -> Sequence[str]:
    """The billable metrics that live prices join with the feature."""
    joined = select(PriceRow.billable_metric_id).where(
        PriceRow.merchant_id == merchant_id,
        PriceRow.feature_id == feature_id,
        PriceRow.billable_metric_id.is_not(None),
        PriceRow.deleted_at.is_(None),
    )
    return sorted(id for id in set(session.scalars(joined)) if id is not None)


def _issue(
    entitlement: Entitlement,
    billable_metric_id: str | None,
    first: GivenGrant | None,
    session: Session,
) -> Holding:
    hold_catalog(session)
    require_customer(session, entitlement.merchant_id, entitlement.customer_id)
    feature_row(session, entitlement.merchant_id, entitlement.feature_id)
    _require_subscribed(session, entitlement)
    _require_free(session, entitlement)
    row = add_entitlement(session, entitlement, billable_metric_id, first, is_provisioned=False)
    [holding] = holdings_of(session, [row])
    return holding


def add_entitlement(
    session: Session,
    entitlement: Entitlement,
    billable_metric_id: str | None,
    first: GivenGrant | None,
    *,
    is_provisioned: bool,
) -> EntitlementRow:
    """Store it with its first grant, for whoever has seen to it that it may be."""
    row = EntitlementRow(
        id=entitlement.id,
        merchant_id=entitlement.merchant_id,
        customer_id=entitlement.customer_id,
        feature_id=entitlement.feature_id,
        billable_metric_id=billable_metric_id,
        subscription_id=entitlement.subscription_id,
        template=document_of(entitlement.template),
        active_from=entitlement.active_from,
        active_to=entitlement.active_to,
        canceled_at=entitlement.canceled_at,
        details=dict(entitlement.metadata),
        is_provisioned=is_provisioned,
        created_at=entitlement.created_at,
    )
    session.add(row)
    session.flush()
    if first is not None:
        session.add(grant_row(first))
        tell_of_grant(session, row, first, NoticeType.GRANT_CREATED, entitlement.created_at)
        session.flush()
    return row


def _require_subscribed(session: Session, entitlement: Entitlement) -> None:
    """Raises NotFound, Invalid and Conflict for a subscription that cannot have it."""
    if entitlement.subscription_id is None:
        return
    row = subscription_row(session, entitlement.merchant_id, entitlement.subscription_id)
    if row.customer_id != entitlement.customer_id:
        raise Invalid.field("subscriptionId", f"{row.id} is of another customer")
    live = select(SubscriptionRow.id).where(SubscriptionRow.id == row.id, is_live(entitlement.created_at))
    if session.scalars(live).one_or_none() is None:
        raise Conflict(f"the subscription {row.id} is terminated")


def _require_free(session: Session, entitlement: Entitlement) -> None:
    """Raises Conflict where the customer holds the feature already, at some instant of the entitlement's."""
    rows = session.scalars(
        select(EntitlementRow).where(
            EntitlementRow.customer_id == entitlement.customer_id,
            EntitlementRow.feature_id == entitlement.feature_id,
        )
    )
    for other in map(entitlement_of, rows):
        if other.subscription_id == entitlement.subscription_id and _overlap(other, entitlement):
            raise Conflict(f"the customer is entitled to the feature already, by {other.id}")


def _overlap(one: Entitlement, other: Entitlement) -> bool:
    return _ends_after(one, other.active_from) and _ends_after(other, one.active_from)


def _ends_after(entitlement: Entitlement, instant: int) -> bool:
    return entitlement.ends_at is None or entitlement.ends_at > instant


def _page(
    merchant_id: str, wanted: HoldingFilter, limit: int, offset: int, session: Session
) -> Page[Holding]:
    rows, total = read_page(session, _chosen(merchant_id, wanted), limit, offset)
    return Page(tuple(holdings_of(session, rows)), total)


def _chosen(merchant_id: str, wanted: HoldingFilter) -> Select[EntitlementRow]:
    conditions: list[ColumnElement[bool]] = [EntitlementRow.merchant_id == merchant_id]
    if wanted.customer_id is not None:
        conditions.append(EntitlementRow.customer_id == wanted.customer_id)
    if wanted.external_customer_id is not None:
        named = select(CustomerRow.id).where(
            CustomerRow.merchant_id == merchant_id, CustomerRow.external_id == wanted.external_customer_id
        )
        conditions.append(EntitlementRow.customer_id.in_(named))
    if wanted.subscription_id is not None:
        conditions.append(EntitlementRow.subscription_id == wanted.subscription_id)
    if wanted.feature_key is not None:
        conditions.append(FeatureRow.key == wanted.feature_key)
    if wanted.product_id is not None:
        conditions.append(FeatureRow.product_id == wanted.product_id)
    at = now_of_entitlements(wanted.at) if wanted.is_now else literal(wanted.at)
    has_ended = or_(EntitlementRow.active_to <= at, EntitlementRow.canceled_at <= at)
    return (
        select(EntitlementRow)
        .join(FeatureRow, FeatureRow.id == EntitlementRow.feature_id)
        .where(*conditions)
        .order_by(case((has_ended, 1), else_=0), EntitlementRow.created_at, EntitlementRow.id)
    )


def holdings_of(session: Session, rows: Sequence[EntitlementRow]) -> list[Holding]:
    """The rows with all that their balances are worked out from, in a statement for each table."""
    features = {
        row.id: feature_of(row)
        for row in session.scalars(
            select(FeatureRow).where(FeatureRow.id.in_({one.feature_id for one in rows}))
        )
    }
    named = select(CustomerRow.id, CustomerRow.external_id)
    customers = session.execute(named.where(CustomerRow.id.in_({one.customer_id for one in rows})))
    external = {row.id: row.external_id for row in customers}
    grants = grants_by_entitlement(session, [row.id for row in rows])
    found = times_of(session, {row.subscription_id for row in rows if row.subscription_id is not None})
    times = {row.id: found.get(row.subscription_id or "", NO_TIMES) for row in rows}
    return [
        Holding(
            entitlement=entitlement_of(row),
            feature=features[row.feature_id],
            billable_metric_id=row.billable_metric_id,
            external_id=external.get(row.customer_id),
            grants=grants.get(row.id, ()),
            subscribed_at=times[row.id].started_at,
            clock_at=times[row.id].clock_at,
        )
        for row in rows
    ]


def entitlement_of(row: EntitlementRow) -> Entitlement:
    return Entitlement(
        id=row.id,
        merchant_id=row.merchant_id,
        customer_id=row.customer_id,
        feature_id=row.feature_id,
        template=template_of(row.template),
        active_from=row.active_from,
        active_to=row.active_to,
        canceled_at=row.canceled_at,
        subscription_id=row.subscription_id,
        metadata=dict(row.details),
        created_at=row.created_at,
    )

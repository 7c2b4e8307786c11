"""Prices. A deleted one stays as a row that versions of plans still hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from sqlalchemy import func, select, union
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.blockers import find_blocker, refuse
from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.features import feature_of, feature_row
from meterhouse.adapters.catalog.fees import fee_row
from meterhouse.adapters.catalog.metrics import metric_row
from meterhouse.adapters.catalog.models import FeatureRow
from meterhouse.adapters.catalog.own_rows import own_live_row
from meterhouse.adapters.catalog.pages import read_page
from meterhouse.adapters.catalog.sales_models import PlanLineRow, PlanRow, PriceRow
from meterhouse.adapters.catalog.subscription_models import PriceIntervalRow, SubscriptionRow
from meterhouse.adapters.catalog.subscription_rows import is_live
from meterhouse.domain.errors import PriceCharged
from meterhouse.domain.instant import Instant
from meterhouse.domain.price import (
    PaymentTerm,
    Price,
    PricedFeature,
    PriceModel,
    RateType,
    SupplyScope,
    Tax,
)
from meterhouse.domain.rate_document import document_of, rate_of
from meterhouse.ports.catalog import Page


class CatalogPrices:
    """Implements PriceCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, price: Price) -> Price:
        return await self._database.write(partial(_create, price))

    async def get(self, merchant_id: str, id: str) -> Price:
        return await self._database.read(partial(_get, merchant_id, id))

    async def page(
        self, merchant_id: str, billable_metric_id: str | None, limit: int, offset: int
    ) -> Page[Price]:
        return await self._database.read(partial(_page, merchant_id, billable_metric_id, limit, offset))

    async def update(self, merchant_id: str, id: str, change: Callable[[Price], Price]) -> Price:
        return await self._database.write(partial(_update, merchant_id, id, change))

    async def delete(self, merchant_id: str, id: str, at: Instant) -> None:
        await self._database.write(partial(_delete, merchant_id, id, at))


def _create(price: Price, session: Session) -> Price:
    hold_catalog(session)
    _require_parts(session, price)
    row = PriceRow(id=price.id, merchant_id=price.merchant_id, created_at=price.created_at)
    _write(row, price)
    session.add(row)
    return price


def _require_parts(session: Session, price: Price, before: Price | None = None) -> None:
    """Raises NotFound for what a price is about to name and the merchant has not, or not any more."""
    if price.billable_metric_id is not None:
        metric_row(session, price.merchant_id, price.billable_metric_id)
    if price.fee_id is not None:
        fee_row(session, price.merchant_id, price.fee_id)
    was = None if before is None or before.feature is None else before.feature.feature.id
    if price.feature is not None and price.feature.feature.id != was:
        feature_row(session, price.merchant_id, price.feature.feature.id)


def _get(merchant_id: str, id: str, session: Session) -> Price:
    [price] = prices_of(session, [price_row(session, merchant_id, id)])
    return price


def _page(
    merchant_id: str, billable_metric_id: str | None, limit: int, offset: int, session: Session
) -> Page[Price]:
    chosen = select(PriceRow).where(PriceRow.merchant_id == merchant_id, PriceRow.deleted_at.is_(None))
    if billable_metric_id is not None:
        chosen = chosen.where(PriceRow.billable_metric_id == billable_metric_id)
    rows, total = read_page(session, chosen.order_by(PriceRow.created_at, PriceRow.id), limit, offset)
    return Page(tuple(prices_of(session, rows)), total)


def _update(merchant_id: str, id: str, change: Callable[[Price], Price], session: Session) -> Price:
    hold_catalog(session)
    row = price_row(session, merchant_id, id)
    [before] = prices_of(session, [row])
    after = change(before)
    _require_uncharged(session, row, before.billed_otherwise(after), after.updated_at)
    _require_parts(session, after, before)
    _write(row, after)
    return after


def _require_uncharged(session: Session, row: PriceRow, fields: tuple[str, ...], at: Instant) -> None:
    """Raises PriceCharged where live subscriptions are charged by the price, and the fields would change."""
    if not fields:
        return
    number = func.coalesce(SubscriptionRow.pinned_version, PlanRow.default_version)
    of_line = (PlanLineRow.plan_id == PlanRow.id) & (PlanLineRow.number == number)
    by_plan = (
        select(SubscriptionRow.id)
        .join(PlanRow, PlanRow.id == SubscriptionRow.plan_id)
        .join(PlanLineRow, of_line)
        .where(PlanLineRow.price_id == row.id)
    )
    by_itself = select(PriceIntervalRow.subscription_id).where(PriceIntervalRow.price_id == row.id)
    charged = select(func.count(SubscriptionRow.id)).where(
        SubscriptionRow.id.in_(union(by_plan, by_itself)), is_live(at)
    )
    count = session.scalars(charged).one()
    if count:
        raise PriceCharged(row.id, fields, count)


def _delete(merchant_id: str, id: str, at: Instant, session: Session) -> None:
    hold_catalog(session)
    row = price_row(session, merchant_id, id)
    charging = (
        select(PlanRow)
        .join(
            PlanLineRow,
            (PlanLineRow.plan_id == PlanRow.id) & (PlanLineRow.number == PlanRow.default_version),
        )
        .where(PlanLineRow.price_id == id)
        .order_by(PlanRow.id)
    )
    refuse(f"deleting the price {id}", find_blocker(session, "plans", charging, _charger))
    row.deleted_at = at


def _charger(plan: PlanRow) -> Mapping[str, str | int]:
    return {"id": plan.id, "name": plan.name, "versionNumber": plan.default_version}


def price_row(session: Session, merchant_id: str, id: str) -> PriceRow:
    """The merchant's price. Raises NotFound, also when it is deleted or another merchant's."""
    return own_live_row(session, PriceRow, merchant_id, id, called="price")


def prices_of(session: Session, rows: Sequence[PriceRow]) -> list[Price]:
    """The prices in the rows, with the features that they name, whether these are still there or not."""
    ids = {row.feature_id for row in rows if row.feature_id is not None}
    found = session.scalars(select(FeatureRow).where(FeatureRow.id.in_(ids))) if ids else ()
    features = {row.id: row for row in found}
    return [_price(row, features.get(row.feature_id or "")) for row in rows]


def _write(row: PriceRow, price: Price) -> None:
    """All of the price but what it is: its id, its merchant and when it was made."""
    link = price.feature
    row.billable_metric_id = price.billable_metric_id
    row.fee_id = price.fee_id
    row.feature_id = None if link is None else link.feature.id
    row.feature_link_id = None if link is None else link.id
    row.entitlement_template = None if link is None or link.template is None else dict(link.template)
    row.invoice_display_name = price.invoice_display_name
    row.invoice_display_group = price.invoice_display_group
    row.payment_term = price.payment_term.value
    row.model = price.model.value
    row.properties = document_of(price.rate)
    row.billing_cadence = price.billing_cadence
    row.pricing_unit_id = price.pricing_unit_id
    row.grant_discount_enabled = price.grant_discount_enabled
    row.is_obligation = price.is_obligation
    row.rate_type = price.rate_type.value
    row.supply_scope = price.tax.scope.value
    row.outside_scope_label = price.tax.label
    row.quantity = price.quantity
    row.updated_at = price.updated_at


def _price(row: PriceRow, feature: FeatureRow | None) -> Price:
    return Price(
        id=row.id,
        merchant_id=row.merchant_id,
        billable_metric_id=row.billable_metric_id,
        fee_id=row.fee_id,
        invoice_display_name=row.invoice_display_name,
        invoice_display_group=row.invoice_display_group,
        payment_term=PaymentTerm(row.payment_term),
        rate=rate_of(PriceModel(row.model), row.properties),
        billing_cadence=row.billing_cadence,
        pricing_unit_id=row.pricing_unit_id,
        feature=None if feature is None else _link(row, feature),
        grant_discount_enabled=row.grant_discount_enabled,
        is_obligation=row.is_obligation,
        rate_type=RateType(row.rate_type),
        tax=Tax(scope=SupplyScope(row.supply_scope), label=row.outside_scope_label),
        quantity=row.quantity,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _link(row: PriceRow, feature: FeatureRow) -> PricedFeature:
    assert row.feature_link_id is not None
    return PricedFeature(
        id=row.feature_link_id, feature=feature_of(feature), template=row.entitlement_template
    )

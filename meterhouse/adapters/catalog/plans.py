"""Plans. What they charge is in their versions (plan_versions.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, aliased

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.pages import read_page
from meterhouse.adapters.catalog.plan_versions import (
    add_version,
    lines_of,
    lines_of_versions,
    plan_row,
)
from meterhouse.adapters.catalog.products import product_row
from meterhouse.adapters.catalog.sales_models import PlanRow, PlanVersionRow
from meterhouse.adapters.catalog.subscription_models import SubscriptionRow
from meterhouse.adapters.catalog.subscription_rows import is_live
from meterhouse.domain.customer import caseless
from meterhouse.domain.instant import Instant
from meterhouse.domain.plan import (
    Cadence,
    CreditAllocation,
    NewVersion,
    Plan,
    PlanFilter,
    TaxBehavior,
    TransitionDate,
    VersionLine,
)
from meterhouse.ports.catalog import Page


class CatalogPlans:
    """Implements PlanCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, plan: Plan, first: NewVersion) -> Plan:
        return await self._database.write(partial(_create, plan, first))

    async def get(self, merchant_id: str, id: str) -> Plan:
        return await self._database.read(partial(_get, merchant_id, id))

    async def page(self, merchant_id: str, wanted: PlanFilter, limit: int, offset: int) -> Page[Plan]:
        return await self._database.read(partial(_page, merchant_id, wanted, limit, offset))

    async def update(
        self, merchant_id: str, id: str, change: Callable[[Plan], Plan], prices: NewVersion | None
    ) -> Plan:
        return await self._database.write(partial(_update, merchant_id, id, change, prices))


def _create(plan: Plan, first: NewVersion, session: Session) -> Plan:
    hold_catalog(session)
    product_row(session, plan.merchant_id, plan.product_id)
    row = PlanRow(
        id=plan.id,
        merchant_id=plan.merchant_id,
        product_id=plan.product_id,
        currency=plan.currency,
        billing_version=plan.billing_version,
        default_version=1,
        created_at=plan.created_at,
    )
    _write(row, plan)
    session.add(row)
    session.flush()
    add_version(session, row, first, {})
    return _get(plan.merchant_id, plan.id, session)


def _get(merchant_id: str, id: str, session: Session) -> Plan:
    [plan] = _plans(session, [plan_row(session, merchant_id, id)])
    return plan


def _page(merchant_id: str, wanted: PlanFilter, limit: int, offset: int, session: Session) -> Page[Plan]:
    chosen = select(PlanRow).where(PlanRow.merchant_id == merchant_id)
    if wanted.product_id is not None:
        chosen = chosen.where(PlanRow.product_id == wanted.product_id)
    if wanted.search is not None:
        chosen = chosen.where(PlanRow.caseless_name.contains(caseless(wanted.search), autoescape=True))
    if wanted.open_to is not None:
        chosen = chosen.where(PlanRow.product_id.not_in(_subscribed(wanted.open_to, wanted.at)))
    rows, total = read_page(session, chosen.order_by(PlanRow.created_at, PlanRow.id), limit, offset)
    return Page(tuple(_plans(session, rows)), total)


def _subscribed(customer_id: str, at: Instant) -> Select[str]:
    """The products that a customer has live subscriptions of."""
    its = aliased(PlanRow)
    subscribed = select(its.product_id).join(SubscriptionRow, SubscriptionRow.plan_id == its.id)
    return subscribed.where(SubscriptionRow.customer_id == customer_id, is_live(at))


def _update(
    merchant_id: str,
    id: str,
    change: Callable[[Plan], Plan],
    prices: NewVersion | None,
    session: Session,
) -> Plan:
    hold_catalog(session)
    row = plan_row(session, merchant_id, id)
    [before] = _plans(session, [row])
    _write(row, change(before))
    if prices is not None:
        _replace_prices(session, row, prices)
    session.flush()
    return _get(merchant_id, id, session)


def _replace_prices(session: Session, row: PlanRow, prices: NewVersion) -> None:
    """Make a version of the prices, unless the default one has just these."""
    stands = lines_of(session, row.id, row.default_version)
    held = {line.price.id: line.key for line in stands}
    asked = [(line.price_id, line.key or held.get(line.price_id)) for line in prices.lines]
    if asked != list(held.items()):
        add_version(session, row, prices, held)


def _plans(session: Session, rows: Sequence[PlanRow]) -> list[Plan]:
    lines = lines_of_versions(session, [(row.id, row.default_version) for row in rows])
    defaults = session.scalars(
        select(PlanVersionRow)
        .join(PlanRow, PlanRow.id == PlanVersionRow.plan_id)
        .where(
            PlanVersionRow.plan_id.in_([row.id for row in rows]),
            PlanVersionRow.number == PlanRow.default_version,
        )
    )
    ids = {version.plan_id: version.id for version in defaults}
    return [_plan(row, ids[row.id], lines.get(row.id, ())) for row in rows]


def _write(row: PlanRow, plan: Plan) -> None:
    """All of the plan that may change, but for its prices."""
    row.name = plan.name
    row.caseless_name = caseless(plan.name)
    row.description = plan.description
    row.invoice_display_name = plan.invoice_display_name
    row.billing_cadence = plan.cadence.value
    row.billing_anchor = plan.billing_anchor
    row.default_tax_code = plan.default_tax_code
    row.default_tax_rate = format(plan.default_tax_rate, "f")
    row.tax_behavior = plan.tax_behavior.value
    row.renewal_reminder_enabled = plan.renewal_reminder_enabled
    row.renewal_reminder_days = plan.renewal_reminder_days
    row.credit_allocations = [_document(one) for one in plan.credit_allocations]
    row.stable_price_ids = plan.stable_price_ids
    row.transition_date = plan.transition_date.value
    row.updated_at = plan.updated_at


def _document(allocation: CreditAllocation) -> dict[str, Any]:
    return {
        "pricingUnitId": allocation.pricing_unit_id,
        "amount": format(allocation.amount, "f"),
        "recurrencePeriod": allocation.recurrence,
    }


def _allocation(document: dict[str, Any]) -> CreditAllocation:
    return CreditAllocation(
        pricing_unit_id=document["pricingUnitId"],
        amount=Decimal(document["amount"]),
        recurrence=document["recurrencePeriod"],
    )


def _plan(row: PlanRow, default_version_id: str, lines: Sequence[VersionLine]) -> Plan:
    return Plan(
        id=row.id,
        merchant_id=row.merchant_id,
        product_id=row.product_id,
        name=row.name,
        description=row.description,
        invoice_display_name=row.invoice_display_name,
        currency=row.currency,
        cadence=Cadence(row.billing_cadence),
        billing_anchor=row.billing_anchor,
        billing_version=row.billing_version,
        default_tax_code=row.default_tax_code,
        default_tax_rate=Decimal(row.default_tax_rate),
        tax_behavior=TaxBehavior(row.tax_behavior),
        renewal_reminder_enabled=row.renewal_reminder_enabled,
        renewal_reminder_days=row.renewal_reminder_days,
        credit_allocations=tuple([_allocation(one) for one in row.credit_allocations]),
        stable_price_ids=row.stable_price_ids,
        transition_date=TransitionDate(row.transition_date),
        default_version_id=default_version_id,
        prices=tuple([line.price for line in lines]),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )

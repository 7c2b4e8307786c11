"""Costs: rows beside those of the billable metrics that count for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Final

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import begin_catalog_version, hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.metrics import NEWEST, change_metric, create_metric, metric_of
from meterhouse.adapters.catalog.models import MetricRow, VersionRow
from meterhouse.adapters.catalog.sales_models import CostRow
from meterhouse.adapters.catalog.versions import retire
from meterhouse.domain.billable_metric import VersionState
from meterhouse.domain.cost import Cost
from meterhouse.domain.errors import NotFound
from meterhouse.domain.instant import Instant
from meterhouse.ports.catalog import Page

Rows = tuple[CostRow, MetricRow, VersionRow]

_CHANGEABLE: Final = ("name", "unit", "aggregation", "event_type", "value_property", "group_by", "updated_at")


class CatalogCosts:
    """Implements CostCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, cost: Cost) -> Cost:
        return await self._database.write(partial(_create, cost))

    async def get(self, merchant_id: str, id: str) -> Cost:
        return await self._database.read(lambda session: _cost(*_rows(session, merchant_id, id)))

    async def page(self, merchant_id: str, product_id: str | None, limit: int, offset: int) -> Page[Cost]:
        return await self._database.read(partial(_page, merchant_id, product_id, limit, offset))

    async def every(self, merchant_id: str) -> Sequence[Cost]:
        return await self._database.read(partial(_every, merchant_id))

    async def update(self, merchant_id: str, id: str, change: Callable[[Cost], Cost]) -> Cost:
        return await self._database.write(partial(_update, merchant_id, id, change))

    async def delete(self, merchant_id: str, id: str, at: Instant) -> None:
        await self._database.write(partial(_delete, merchant_id, id, at))


def _create(cost: Cost, session: Session) -> Cost:
    metric = create_metric(session, cost.metric)
    session.add(CostRow(id=cost.id, currency=cost.currency, unit_cost=_text(cost.unit_cost)))
    return replace(cost, metric=metric)


def _page(merchant_id: str, product_id: str | None, limit: int, offset: int, session: Session) -> Page[Cost]:
    chosen = _live(merchant_id)
    if product_id is not None:
        chosen = chosen.where(MetricRow.product_id == product_id)
    ids = chosen.order_by(None).with_only_columns(CostRow.id).subquery()
    total = session.scalars(select(func.count()).select_from(ids)).one()
    rows = session.execute(chosen.limit(limit).offset(offset))
    return Page(tuple([_cost(*found) for found in rows]), total)


def _every(merchant_id: str, session: Session) -> Sequence[Cost]:
    return [_cost(*found) for found in session.execute(_live(merchant_id))]


def _live(merchant_id: str) -> Select[CostRow, MetricRow, VersionRow]:
    """The merchant's costs that are not deleted, oldest first."""
    return (
        select(CostRow, MetricRow, VersionRow)
        .join(MetricRow, MetricRow.id == CostRow.id)
        .join(VersionRow, NEWEST)
        .where(MetricRow.merchant_id == merchant_id, MetricRow.deleted_at.is_(None))
        .order_by(MetricRow.created_at, MetricRow.id)
    )


def _update(merchant_id: str, id: str, change: Callable[[Cost], Cost], session: Session) -> Cost:
    hold_catalog(session)
    row, metric, version = _rows(session, merchant_id, id)
    before = _cost(row, metric, version)
    after = change(before)
    changes = {field: getattr(after.metric, field) for field in _CHANGEABLE}
    changes = {field: value for field, value in changes.items() if value != getattr(before.metric, field)}
    row.currency, row.unit_cost = after.currency, _text(after.unit_cost)
    return replace(after, metric=change_metric(session, merchant_id, id, changes))


def _delete(merchant_id: str, id: str, at: Instant, session: Session) -> None:
    hold_catalog(session)
    _, metric, _ = _rows(session, merchant_id, id)
    metric.deleted_at = at
    retired_in = begin_catalog_version(session)
    for state in (VersionState.BUILDING, VersionState.ACTIVE):
        retire(session, id, state, catalog_version=retired_in)


def _rows(session: Session, merchant_id: str, id: str) -> Rows:
    """The merchant's cost. Raises NotFound, also when it is deleted or another merchant's."""
    found = session.execute(_live(merchant_id).where(CostRow.id == id)).one_or_none()
    if found is None:
        raise NotFound(f"there is no cost {id}")
    row, metric, version = found
    return row, metric, version


def _cost(row: CostRow, metric: MetricRow, version: VersionRow) -> Cost:
    return Cost(metric=metric_of(metric, version), currency=row.currency, unit_cost=Decimal(row.unit_cost))


def _text(number: Decimal) -> str:
    return format(number, "f")

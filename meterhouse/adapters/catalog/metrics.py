"""Billable metrics of merchants, and the versions that changes to their definitions make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from sqlalchemy import ColumnElement, Result, bindparam, func, or_, select, true
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import begin_catalog_version, hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.filing import require_item
from meterhouse.adapters.catalog.models import MetricRow, VersionRow
from meterhouse.adapters.catalog.own_rows import own_live_row
from meterhouse.adapters.catalog.products import product_row
from meterhouse.adapters.catalog.sales_models import CostRow
from meterhouse.adapters.catalog.versions import (
    definition_of,
    metric_version,
    next_version,
    supersede,
)
from meterhouse.domain.billable_metric import Aggregation, BillableMetric, VersionState
from meterhouse.domain.errors import Conflict, NotFound
from meterhouse.ports.catalog import Page
from meterhouse.ports.metrics import Serving

_DEFINING: Final = ("aggregation", "event_type", "value_property", "group_by", "event_from")
_DESCRIBING: Final = ("item_id", "name", "description", "unit", "updated_at")
# How a billable metric adds up never changes (contract 3.2); how a cost does may.
_CHANGEABLE: Final = frozenset({*_DEFINING, *_DESCRIBING}) - {"aggregation"}

# The newest version of each billable metric, to join it with.
NEWEST: Final = (VersionRow.billable_metric_id == MetricRow.id) & (VersionRow.version == MetricRow.version)

_SHOWN: Final = or_(VersionRow.version == MetricRow.version, VersionRow.state == VersionState.ACTIVE.value)
_SERVED: Final = (
    select(MetricRow, VersionRow)
    .join(VersionRow, (VersionRow.billable_metric_id == MetricRow.id) & _SHOWN)
    .where(MetricRow.deleted_at.is_(None))
    .order_by(MetricRow.created_at, MetricRow.id, VersionRow.version)
)
# Every question about usage asks for it twice: built once, it takes a third of the time.
_ONE_SERVED: Final = _SERVED.where(
    MetricRow.merchant_id == bindparam("merchant"), MetricRow.id == bindparam("metric")
)


class CatalogMetrics:
    """Implements MetricCatalog and MetricDirectory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, metric: BillableMetric) -> BillableMetric:
        """Raises NotFound for a product or an item that is not the merchant's, Conflict for an id that is
        taken, Invalid for an item that cannot take it.
        """
        return await self._database.write(lambda session: create_metric(session, metric))

    async def get(self, merchant_id: str, id: str) -> Serving:
        return await self._database.read(partial(_get, merchant_id, id))

    async def page(
        self, merchant_id: str, product_id: str | None, item_id: str | None, limit: int, offset: int
    ) -> Page[BillableMetric]:
        return await self._database.read(
            partial(
                _page,
                merchant_id=merchant_id,
                product_id=product_id,
                item_id=item_id,
                limit=limit,
                offset=offset,
            )
        )

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> BillableMetric:
        return await self._database.write(partial(_update, merchant_id, id, changes))

    async def serving(self, merchant_id: str) -> Sequence[Serving]:
        return await self._database.read(partial(_serving, MetricRow.merchant_id == merchant_id))

    async def all_serving(self) -> Sequence[Serving]:
        return await self._database.read(partial(_serving, true()))


def create_metric(session: Session, metric: BillableMetric) -> BillableMetric:
    """See MetricCatalog.create; holds the catalog."""
    hold_catalog(session)
    product_row(session, metric.merchant_id, metric.product_id)
    if metric.item_id is not None:
        require_item(session, metric.merchant_id, metric.item_id, metric.product_id)
    if session.get(MetricRow, metric.id) is not None:
        raise Conflict(f"the id {metric.id} is taken")
    row = MetricRow(
        id=metric.id,
        merchant_id=metric.merchant_id,
        product_id=metric.product_id,
        item_id=metric.item_id,
        name=metric.name,
        description=metric.description,
        unit=metric.unit,
        version=1,
        created_at=metric.created_at,
        updated_at=metric.updated_at,
    )
    version = VersionRow(
        billable_metric_id=metric.id,
        version=1,
        aggregation=metric.aggregation.value,
        event_type=metric.event_type,
        value_property=metric.value_property,
        group_by=metric.group_by,
        event_from=metric.event_from,
        state=VersionState.BUILDING.value,
        appeared_in=begin_catalog_version(session),
    )
    session.add(row)
    session.flush()
    session.add(version)
    return metric_of(row, version)


def _get(merchant_id: str, id: str, session: Session) -> Serving:
    found = _served(session.execute(_ONE_SERVED, {"merchant": merchant_id, "metric": id}))
    if not found:
        raise NotFound(f"there is no billable metric {id}")
    return found[0]


def _page(
    session: Session,
    *,
    merchant_id: str,
    product_id: str | None,
    item_id: str | None,
    limit: int,
    offset: int,
) -> Page[BillableMetric]:
    wanted = (MetricRow.merchant_id == merchant_id) & MetricRow.deleted_at.is_(None)
    wanted &= MetricRow.id.not_in(select(CostRow.id))
    if product_id is not None:
        wanted &= MetricRow.product_id == product_id
    if item_id is not None:
        wanted &= MetricRow.item_id == item_id
    total = session.scalars(select(func.count()).select_from(MetricRow).where(wanted)).one()
    rows = session.execute(
        select(MetricRow, VersionRow)
        .join(VersionRow, NEWEST)
        .where(wanted)
        .order_by(MetricRow.created_at, MetricRow.id)
        .limit(limit)
        .offset(offset)
    )
    return Page(tuple([metric_of(metric, version) for metric, version in rows]), total)


def _update(merchant_id: str, id: str, changes: Mapping[str, object], session: Session) -> BillableMetric:
    unknown = changes.keys() - _CHANGEABLE
    if unknown:
        raise ValueError(f"cannot change {sorted(unknown)}")
    return change_metric(session, merchant_id, id, changes)


def change_metric(
    session: Session, merchant_id: str, id: str, changes: Mapping[str, object]
) -> BillableMetric:
    """Set any fields of _DEFINING and _DESCRIBING, as MetricCatalog.update says; holds the catalog."""
    hold_catalog(session)
    metric, newest = _newest(session, merchant_id, id)
    item_id = changes.get("item_id")
    if isinstance(item_id, str):
        require_item(session, merchant_id, item_id, metric.product_id)
    for field in changes.keys() & set(_DESCRIBING):
        setattr(metric, field, changes[field])
    changed = _changed(session, newest, {name: changes[name] for name in _DEFINING if name in changes})
    if replace(definition_of(metric, changed), version=newest.version) == definition_of(metric, newest):
        newest.group_by = changed.group_by  # {} and null define the same, but are shown as they were sent
        return metric_of(metric, newest)
    supersede(session, metric, changed, begin_catalog_version(session))
    return metric_of(metric, changed)


def count_anew(session: Session, metric: MetricRow, catalog_version: int) -> None:
    """Build a version that is defined as the newest, for what is hidden from that catalog version on."""
    newest = session.get_one(VersionRow, (metric.id, metric.version))
    supersede(session, metric, _changed(session, newest, {}), catalog_version)


def _changed(session: Session, newest: VersionRow, changes: Mapping[str, object]) -> VersionRow:
    """The next version after the newest, building, with the changes."""
    return VersionRow(
        billable_metric_id=newest.billable_metric_id,
        version=next_version(session, newest.billable_metric_id),
        state=VersionState.BUILDING.value,
        **{name: _plain(changes.get(name, getattr(newest, name))) for name in _DEFINING},
    )


def _plain(value: object) -> object:
    return value.value if isinstance(value, Aggregation) else value


def _serving(wanted: ColumnElement[bool], session: Session) -> Sequence[Serving]:
    return _served(session.execute(_SERVED.where(wanted)))


def _served(rows: Result[MetricRow, VersionRow]) -> Sequence[Serving]:
    versions: dict[MetricRow, list[VersionRow]] = {}
    for metric, version in rows:
        versions.setdefault(metric, []).append(version)
    return [_serve(metric, found) for metric, found in versions.items()]


def metric_row(session: Session, merchant_id: str, id: str) -> MetricRow:
    """The merchant's billable metric. Raises NotFound, also when it is deleted or another merchant's."""
    return own_live_row(session, MetricRow, merchant_id, id, called="billable metric")


def _newest(session: Session, merchant_id: str, id: str) -> tuple[MetricRow, VersionRow]:
    metric = metric_row(session, merchant_id, id)
    version = session.get(VersionRow, (id, metric.version))
    assert version is not None
    return metric, version


def _serve(metric: MetricRow, versions: Sequence[VersionRow]) -> Serving:
    """Of the active version, if there is one, and the newest, in this order."""
    shown, newest = versions[0], versions[-1]
    return Serving(
        metric=metric_of(metric, newest),
        shown=metric_version(metric, shown),
        newest=metric_version(metric, newest),
    )


def metric_of(row: MetricRow, version: VersionRow) -> BillableMetric:
    """The billable metric in a row, deleted or not, as its newest version says."""
    return BillableMetric(
        id=row.id,
        merchant_id=row.merchant_id,
        product_id=row.product_id,
        item_id=row.item_id,
        name=row.name,
        description=row.description,
        unit=row.unit,
        aggregation=Aggregation(version.aggregation),
        event_type=version.event_type,
        value_property=version.value_property,
        group_by=version.group_by,
        event_from=version.event_from,
        version=version.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )

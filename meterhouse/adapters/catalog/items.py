"""Items that charges are filed under. Their references are kept by references.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.blockers import find_blocker, refuse
from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.filing import item_row
from meterhouse.adapters.catalog.models import MetricRow
from meterhouse.adapters.catalog.pages import read_page
from meterhouse.adapters.catalog.products import product_row
from meterhouse.adapters.catalog.references import reference_of
from meterhouse.adapters.catalog.sales_models import FeeRow, ItemRow, ReferenceRow
from meterhouse.domain.item import ExternalReference, Item, ItemFilter
from meterhouse.ports.catalog import Page

_CHANGEABLE: Final = {
    "product_id": "product_id",
    "name": "name",
    "metadata": "details",
    "archived_at": "archived_at",
    "updated_at": "updated_at",
}


class CatalogItems:
    """Implements ItemCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, item: Item) -> Item:
        return await self._database.write(partial(_create, item))

    async def get(self, merchant_id: str, id: str) -> Item:
        return await self._database.read(partial(_get, merchant_id, id))

    async def page(self, merchant_id: str, wanted: ItemFilter, limit: int, offset: int) -> Page[Item]:
        return await self._database.read(partial(_page, merchant_id, wanted, limit, offset))

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> Item:
        return await self._database.write(partial(_update, merchant_id, id, changes))


def _create(item: Item, session: Session) -> Item:
    hold_catalog(session)
    if item.product_id is not None:
        product_row(session, item.merchant_id, item.product_id)
    session.add(
        ItemRow(
            id=item.id,
            merchant_id=item.merchant_id,
            product_id=item.product_id,
            name=item.name,
            details=dict(item.metadata),
            created_at=item.created_at,
            updated_at=item.updated_at,
        )
    )
    return item


def _get(merchant_id: str, id: str, session: Session) -> Item:
    [item] = _items(session, [item_row(session, merchant_id, id)])
    return item


def _page(merchant_id: str, wanted: ItemFilter, limit: int, offset: int, session: Session) -> Page[Item]:
    rows, total = read_page(session, _chosen(merchant_id, wanted), limit, offset)
    return Page(tuple(_items(session, rows)), total)


def _chosen(merchant_id: str, wanted: ItemFilter) -> Select[ItemRow]:
    chosen = select(ItemRow).where(ItemRow.merchant_id == merchant_id)
    if wanted.product_id is not None:
        chosen = chosen.where(ItemRow.product_id == wanted.product_id)
    if wanted.code is None:
        live = chosen if wanted.with_archived else chosen.where(ItemRow.archived_at.is_(None))
        return live.order_by(ItemRow.created_at, ItemRow.id)
    provider, external_id = wanted.code
    return (
        chosen.join(ReferenceRow, ReferenceRow.entity_id == ItemRow.id)
        .where(ReferenceRow.provider == provider, ReferenceRow.external_id == external_id)
        .order_by(ReferenceRow.is_primary.desc(), ItemRow.created_at, ItemRow.id)
    )


def _update(merchant_id: str, id: str, changes: Mapping[str, object], session: Session) -> Item:
    unknown = changes.keys() - _CHANGEABLE.keys()
    if unknown:
        raise ValueError(f"cannot change {sorted(unknown)}")
    hold_catalog(session)
    row = item_row(session, merchant_id, id)
    product_id = changes.get("product_id")
    if isinstance(product_id, str):
        product_row(session, merchant_id, product_id)
        _move_charges(session, id, product_id)
    if changes.get("archived_at") is not None:
        _retire(session, id)
    for field, value in changes.items():
        setattr(row, _CHANGEABLE[field], value)
    session.flush()
    return _get(merchant_id, id, session)


def _move_charges(session: Session, id: str, product_id: str) -> None:
    for charge in (FeeRow, MetricRow):
        session.execute(update(charge).where(charge.item_id == id).values(product_id=product_id))


def _retire(session: Session, id: str) -> None:
    """Release the item's claims. Raises Conflict while charges are filed under it."""
    fees = select(FeeRow).where(FeeRow.item_id == id, FeeRow.deleted_at.is_(None)).order_by(FeeRow.id)
    metrics = select(MetricRow).where(MetricRow.item_id == id).order_by(MetricRow.id)
    refuse(
        f"archiving the item {id}",
        find_blocker(session, "billableMetrics", metrics, lambda row: {"id": row.id, "name": row.name}),
        find_blocker(session, "fees", fees, lambda row: {"id": row.id, "name": row.name}),
    )
    session.execute(update(ReferenceRow).where(ReferenceRow.entity_id == id).values(is_primary=False))


def _items(session: Session, rows: Sequence[ItemRow]) -> list[Item]:
    found: dict[str, list[ExternalReference]] = {row.id: [] for row in rows}
    oldest_first = (
        select(ReferenceRow)
        .where(ReferenceRow.entity_id.in_(found))
        .order_by(ReferenceRow.created_at, ReferenceRow.id)
    )
    for reference in session.scalars(oldest_first):
        found[reference.entity_id].append(reference_of(reference))
    return [_item(row, found[row.id]) for row in rows]


def _item(row: ItemRow, references: Sequence[ExternalReference]) -> Item:
    return Item(
        id=row.id,
        merchant_id=row.merchant_id,
        product_id=row.product_id,
        name=row.name,
        metadata=row.details,
        references=tuple(references),
        archived_at=row.archived_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )

"""Fees. A deleted one stays as a row that the prices it had still name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.blockers import find_blocker, refuse
from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.filing import require_item
from meterhouse.adapters.catalog.own_rows import own_live_row
from meterhouse.adapters.catalog.pages import read_page
from meterhouse.adapters.catalog.products import product_row
from meterhouse.adapters.catalog.sales_models import FeeRow, PriceRow
from meterhouse.domain.instant import Instant
from meterhouse.domain.item import Fee
from meterhouse.ports.catalog import Page

_CHANGEABLE: Final = frozenset({"name", "description", "item_id", "updated_at"})


class CatalogFees:
    """Implements FeeCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, fee: Fee) -> Fee:
        return await self._database.write(partial(_create, fee))

    async def get(self, merchant_id: str, id: str) -> Fee:
        return await self._database.read(partial(_get, merchant_id, id))

    async def page(
        self, merchant_id: str, product_id: str | None, item_id: str | None, limit: int, offset: int
    ) -> Page[Fee]:
        wanted = {"product_id": product_id, "item_id": item_id}
        return await self._database.read(partial(_page, merchant_id, wanted, limit, offset))

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> Fee:
        return await self._database.write(partial(_update, merchant_id, id, changes))

    async def delete(self, merchant_id: str, id: str, at: Instant) -> None:
        await self._database.write(partial(_delete, merchant_id, id, at))


def _create(fee: Fee, session: Session) -> Fee:
    hold_catalog(session)
    product_row(session, fee.merchant_id, fee.product_id)
    if fee.item_id is not None:
        require_item(session, fee.merchant_id, fee.item_id, fee.product_id)
    row = FeeRow(
        id=fee.id,
        merchant_id=fee.merchant_id,
        product_id=fee.product_id,
        item_id=fee.item_id,
        name=fee.name,
        description=fee.description,
        created_at=fee.created_at,
        updated_at=fee.updated_at,
    )
    session.add(row)
    return _fee(row)


def _get(merchant_id: str, id: str, session: Session) -> Fee:
    return _fee(fee_row(session, merchant_id, id))


def _page(
    merchant_id: str, wanted: Mapping[str, str | None], limit: int, offset: int, session: Session
) -> Page[Fee]:
    chosen = select(FeeRow).where(FeeRow.merchant_id == merchant_id, FeeRow.deleted_at.is_(None))
    chosen = chosen.filter_by(**{field: id for field, id in wanted.items() if id is not None})
    rows, total = read_page(session, chosen.order_by(FeeRow.created_at, FeeRow.id), limit, offset)
    return Page(tuple([_fee(row) for row in rows]), total)


def _update(merchant_id: str, id: str, changes: Mapping[str, object], session: Session) -> Fee:
    unknown = changes.keys() - _CHANGEABLE
    if unknown:
        raise ValueError(f"cannot change {sorted(unknown)}")
    hold_catalog(session)
    row = fee_row(session, merchant_id, id)
    item_id = changes.get("item_id")
    if isinstance(item_id, str):
        require_item(session, merchant_id, item_id, row.product_id)
    for field, value in changes.items():
        setattr(row, field, value)
    return _fee(row)


def _delete(merchant_id: str, id: str, at: Instant, session: Session) -> None:
    hold_catalog(session)
    row = fee_row(session, merchant_id, id)
    prices = (
        select(PriceRow).where(PriceRow.fee_id == id, PriceRow.deleted_at.is_(None)).order_by(PriceRow.id)
    )
    refuse(
        f"deleting the fee {id}",
        find_blocker(
            session,
            "prices",
            prices,
            lambda price: {"id": price.id, "invoiceDisplayName": price.invoice_display_name},
        ),
    )
    row.deleted_at = at


def fee_row(session: Session, merchant_id: str, id: str) -> FeeRow:
    """The merchant's fee. Raises NotFound, also when it is deleted or another merchant's."""
    return own_live_row(session, FeeRow, merchant_id, id, called="fee")


def _fee(row: FeeRow) -> Fee:
    return Fee(
        id=row.id,
        merchant_id=row.merchant_id,
        product_id=row.product_id,
        item_id=row.item_id,
        name=row.name,
        description=row.description,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )

"""Products of merchants."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.merchants import ensure_merchant
from meterhouse.adapters.catalog.models import MerchantRow, ProductRow
from meterhouse.adapters.catalog.own_rows import own_live_row
from meterhouse.domain.billable_metric import Product
from meterhouse.domain.errors import Conflict, NotFound
from meterhouse.ports.catalog import Page
from meterhouse.ports.clock import Clock

_CHANGEABLE: Final = {
    "name": "name",
    "description": "description",
    "metadata": "details",
    "updated_at": "updated_at",
}


class CatalogProducts:
    """Implements ProductCatalog."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, product: Product) -> Product:
        """Raises NotFound for an unknown merchant, Conflict for an id that is taken."""
        await self._database.write(partial(_create, product))
        return product

    async def ensure(self, merchant_id: str, id: str) -> Product:
        """The merchant's product, made under that id and name when missing; Conflict if it is another's.

        One that is deleted is there again, as it was.
        """
        now = self._clock.now()
        product = Product(
            id=id,
            merchant_id=merchant_id,
            name=id,
            description="",
            metadata={},
            created_at=now,
            updated_at=now,
        )
        return await self._database.write(partial(_ensure, product))

    async def get(self, merchant_id: str, id: str) -> Product:
        return await self._database.read(partial(_get, merchant_id, id))

    async def page(self, merchant_id: str, limit: int, offset: int) -> Page[Product]:
        return await self._database.read(partial(_page, merchant_id, limit, offset))

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> Product:
        return await self._database.write(partial(_update, merchant_id, id, changes))


def _create(product: Product, session: Session) -> None:
    hold_catalog(session)
    if session.get(MerchantRow, product.merchant_id) is None:
        raise NotFound(f"there is no merchant {product.merchant_id}")
    if session.get(ProductRow, product.id) is not None:
        raise Conflict(f"the id {product.id} is taken")
    session.add(
        ProductRow(
            id=product.id,
            merchant_id=product.merchant_id,
            name=product.name,
            description=product.description,
            details=product.metadata,
            created_at=product.created_at,
            updated_at=product.updated_at,
        )
    )


def _ensure(product: Product, session: Session) -> Product:
    ensure_merchant(session, product.merchant_id, product.created_at)
    row = session.get(ProductRow, product.id)
    if row is None:
        _create(product, session)
        return product
    if row.merchant_id != product.merchant_id:
        raise Conflict(f"product {product.id} belongs to another merchant")
    row.deleted_at = None
    return _product(row)


def _get(merchant_id: str, id: str, session: Session) -> Product:
    return _product(product_row(session, merchant_id, id))


def _page(merchant_id: str, limit: int, offset: int, session: Session) -> Page[Product]:
    own = (ProductRow.merchant_id == merchant_id) & ProductRow.deleted_at.is_(None)
    total = session.scalars(select(func.count()).select_from(ProductRow).where(own)).one()
    oldest_first = select(ProductRow).where(own).order_by(ProductRow.created_at, ProductRow.id)
    rows = session.scalars(oldest_first.limit(limit).offset(offset))
    return Page(tuple([_product(row) for row in rows]), total)


def _update(merchant_id: str, id: str, changes: Mapping[str, object], session: Session) -> Product:
    hold_catalog(session)
    row = product_row(session, merchant_id, id)
    for field, value in changes.items():
        setattr(row, _CHANGEABLE[field], value)
    return _product(row)


def product_row(session: Session, merchant_id: str, id: str) -> ProductRow:
    """The merchant's product. Raises NotFound, also when it is deleted or another merchant's."""
    return own_live_row(session, ProductRow, merchant_id, id, called="product")


def _product(row: ProductRow) -> Product:
    return Product(
        id=row.id,
        merchant_id=row.merchant_id,
        name=row.name,
        description=row.description,
        metadata=dict(row.details),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )

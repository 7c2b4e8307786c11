"""Features of merchants' products. A deleted one stays as a row that only what refers to it still sees."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.models import FeatureRow
from meterhouse.adapters.catalog.own_rows import own_live_row
from meterhouse.adapters.catalog.pages import read_page
from meterhouse.adapters.catalog.products import product_row
from meterhouse.domain.errors import Conflict
from meterhouse.domain.feature import Feature, FeatureType
from meterhouse.domain.instant import Instant
from meterhouse.ports.catalog import Page

_CHANGEABLE: Final = {
    "key": "key",
    "name": "name",
    "type": "type",
    "metadata": "details",
    "updated_at": "updated_at",
}


class CatalogFeatures:
    """Implements FeatureCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, feature: Feature) -> Feature:
        """Raises NotFound for a product that is not the merchant's, Conflict for a key that is taken."""
        return await self._database.write(partial(_create, feature))

    async def get(self, merchant_id: str, id: str) -> Feature:
        return await self._database.read(partial(_get, merchant_id, id))

    async def page(
        self, merchant_id: str, product_id: str, key: str | None, limit: int, offset: int
    ) -> Page[Feature]:
        return await self._database.read(
            partial(
                _page, merchant_id=merchant_id, product_id=product_id, key=key, limit=limit, offset=offset
            )
        )

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> Feature:
        return await self._database.write(partial(_update, merchant_id, id, changes))

    async def delete(self, merchant_id: str, id: str, at: Instant) -> None:
        await self._database.write(partial(_delete, merchant_id, id, at))


def _create(feature: Feature, session: Session) -> Feature:
    hold_catalog(session)
    product_row(session, feature.merchant_id, feature.product_id)
    _require_free(session, feature.product_id, feature.key, feature.id)
    row = FeatureRow(
        id=feature.id,
        merchant_id=feature.merchant_id,
        product_id=feature.product_id,
        key=feature.key,
        name=feature.name,
        type=feature.type.value,
        details=dict(feature.metadata),
        created_at=feature.created_at,
        updated_at=feature.updated_at,
    )
    session.add(row)
    return feature_of(row)


def _require_free(session: Session, product_id: str, key: object, id: str) -> None:
    """Raises Conflict when another live feature of the product than `id` has the key."""
    taken = session.scalars(
        select(FeatureRow.id).where(
            FeatureRow.product_id == product_id,
            FeatureRow.key == key,
            FeatureRow.deleted_at.is_(None),
            FeatureRow.id != id,
        )
    ).one_or_none()
    if taken is not None:
        raise Conflict(f"the key {key} is taken by the feature {taken}")


def _get(merchant_id: str, id: str, session: Session) -> Feature:
    return feature_of(feature_row(session, merchant_id, id))


def _page(
    session: Session, *, merchant_id: str, product_id: str, key: str | None, limit: int, offset: int
) -> Page[Feature]:
    product_row(session, merchant_id, product_id)
    wanted = (FeatureRow.product_id == product_id) & FeatureRow.deleted_at.is_(None)
    if key is not None:
        wanted &= FeatureRow.key == key
    oldest_first = select(FeatureRow).where(wanted).order_by(FeatureRow.created_at, FeatureRow.id)
    rows, total = read_page(session, oldest_first, limit, offset)
    return Page(tuple([feature_of(row) for row in rows]), total)


def _update(merchant_id: str, id: str, changes: Mapping[str, object], session: Session) -> Feature:
    unknown = changes.keys() - _CHANGEABLE.keys()
    if unknown:
        raise ValueError(f"cannot change {sorted(unknown)}")
    hold_catalog(session)
    row = feature_row(session, merchant_id, id)
    if "key" in changes:
        _require_free(session, row.product_id, changes["key"], id)
    for field, value in changes.items():
        setattr(row, _CHANGEABLE[field], value.value if isinstance(value, FeatureType) else value)
    return feature_of(row)


def _delete(merchant_id: str, id: str, at: Instant, session: Session) -> None:
    hold_catalog(session)
    feature_row(session, merchant_id, id).deleted_at = at


def feature_row(session: Session, merchant_id: str, id: str) -> FeatureRow:
    """The merchant's feature. Raises NotFound, also when it is deleted or another merchant's."""
    return own_live_row(session, FeatureRow, merchant_id, id, called="feature")


def feature_of(row: FeatureRow) -> Feature:
    """The feature in a row, deleted or not."""
    return Feature(
        id=row.id,
        merchant_id=row.merchant_id,
        product_id=row.product_id,
        key=row.key,
        name=row.name,
        type=FeatureType(row.type),
        metadata=dict(row.details),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )

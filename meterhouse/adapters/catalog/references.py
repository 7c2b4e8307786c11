"""External references: the codes of items and customers in other systems, and which code leads to which."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.customers import require_customer
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.filing import item_row
from meterhouse.adapters.catalog.own_rows import own_row
from meterhouse.adapters.catalog.pages import read_page
from meterhouse.adapters.catalog.sales_models import ReferenceRow
from meterhouse.domain.errors import Conflict
from meterhouse.domain.item import Claim, EntityType, ExternalReference, ReferenceFilter
from meterhouse.ports.catalog import Page

_CHANGEABLE: Final = {
    "external_label": "external_label",
    "metadata": "details",
    "is_primary": "is_primary",
    "is_default": "is_default",
    "updated_at": "updated_at",
}


class CatalogReferences:
    """Implements ReferenceCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, reference: ExternalReference, claim: Claim) -> ExternalReference:
        return await self._database.write(partial(_create, reference, claim))

    async def get(self, merchant_id: str, id: str) -> ExternalReference:
        return await self._database.read(partial(_get, merchant_id, id))

    async def page(
        self, merchant_id: str, wanted: ReferenceFilter, limit: int, offset: int
    ) -> Page[ExternalReference]:
        return await self._database.read(partial(_page, merchant_id, wanted, limit, offset))

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> ExternalReference:
        return await self._database.write(partial(_update, merchant_id, id, changes))

    async def delete(self, merchant_id: str, id: str) -> None:
        await self._database.write(partial(_delete, merchant_id, id))


def _create(reference: ExternalReference, claim: Claim, session: Session) -> ExternalReference:
    hold_catalog(session)
    is_archived = _require_entity(session, reference)
    of_entity = (ReferenceRow.entity_id == reference.entity_id) & (
        ReferenceRow.provider == reference.provider
    )
    known = session.scalars(select(ReferenceRow).where(of_entity)).all()
    if any(one.external_id == reference.external_id for one in known):
        raise Conflict(f"{reference.entity_id} has the code {reference.external_id} already")
    row = _row_of(reference)
    row.is_default = not known if claim.designate is None else claim.designate
    if row.is_primary:
        _take_claim(session, row, move=claim.move, is_archived=is_archived)
    if row.is_default:
        _take_designation(session, row)
    session.add(row)
    return reference_of(row)


def _require_entity(session: Session, reference: ExternalReference) -> bool:
    """Whether the entity is archived. Raises NotFound where there is none."""
    if reference.entity_type is EntityType.ITEM:
        return item_row(session, reference.merchant_id, reference.entity_id).archived_at is not None
    require_customer(session, reference.merchant_id, reference.entity_id)
    return False


def _take_claim(session: Session, row: ReferenceRow, *, move: bool, is_archived: bool) -> None:
    """Take the code from whoever claims it. Raises Conflict where that is not asked for, or is not theirs."""
    if is_archived:
        raise Conflict(f"the item {row.entity_id} is archived and claims no codes")
    claimed = _of_code(row) & ReferenceRow.is_primary & (ReferenceRow.id != row.id)
    holder = session.scalars(select(ReferenceRow.entity_id).where(claimed)).one_or_none()
    if holder is None:
        return
    if not move:
        raise Conflict(f"the code {row.external_id} of {row.provider} leads to {holder} already")
    session.execute(update(ReferenceRow).where(claimed).values(is_primary=False))


def _take_designation(session: Session, row: ReferenceRow) -> None:
    others = (
        (ReferenceRow.entity_id == row.entity_id)
        & (ReferenceRow.provider == row.provider)
        & (ReferenceRow.id != row.id)
    )
    session.execute(update(ReferenceRow).where(others).values(is_default=False))


def _of_code(row: ReferenceRow) -> ColumnElement[bool]:
    return (
        (ReferenceRow.merchant_id == row.merchant_id)
        & (ReferenceRow.provider == row.provider)
        & (ReferenceRow.external_id == row.external_id)
    )


def _get(merchant_id: str, id: str, session: Session) -> ExternalReference:
    return reference_of(_row(session, merchant_id, id))


def _page(
    merchant_id: str, wanted: ReferenceFilter, limit: int, offset: int, session: Session
) -> Page[ExternalReference]:
    chosen = select(ReferenceRow).where(ReferenceRow.merchant_id == merchant_id)
    for column, value in (
        (ReferenceRow.entity_type, wanted.entity_type),
        (ReferenceRow.entity_id, wanted.entity_id),
        (ReferenceRow.provider, wanted.provider),
        (ReferenceRow.external_id, wanted.external_id),
    ):
        if value is not None:
            chosen = chosen.where(column == str(value))
    oldest_first = chosen.order_by(ReferenceRow.created_at, ReferenceRow.id)
    rows, total = read_page(session, oldest_first, limit, offset)
    return Page(tuple([reference_of(row) for row in rows]), total)


def _update(merchant_id: str, id: str, changes: Mapping[str, object], session: Session) -> ExternalReference:
    unknown = changes.keys() - _CHANGEABLE.keys()
    if unknown:
        raise ValueError(f"cannot change {sorted(unknown)}")
    hold_catalog(session)
    row = _row(session, merchant_id, id)
    if changes.get("is_primary"):
        is_archived = _require_entity(session, reference_of(row))
        _take_claim(session, row, move=False, is_archived=is_archived)
    if changes.get("is_default"):
        _take_designation(session, row)
    for field, value in changes.items():
        setattr(row, _CHANGEABLE[field], value)
    return reference_of(row)


def _delete(merchant_id: str, id: str, session: Session) -> None:
    hold_catalog(session)
    session.delete(_row(session, merchant_id, id))


def _row(session: Session, merchant_id: str, id: str) -> ReferenceRow:
    return own_row(session, ReferenceRow, merchant_id, id, called="external reference")


def _row_of(reference: ExternalReference) -> ReferenceRow:
    return ReferenceRow(
        id=reference.id,
        merchant_id=reference.merchant_id,
        entity_type=reference.entity_type.value,
        entity_id=reference.entity_id,
        provider=reference.provider,
        external_id=reference.external_id,
        external_label=reference.external_label,
        details=dict(reference.metadata),
        is_primary=reference.is_primary,
        is_default=reference.is_default,
        created_at=reference.created_at,
        updated_at=reference.updated_at,
    )


def reference_of(row: ReferenceRow) -> ExternalReference:
    return ExternalReference(
        id=row.id,
        merchant_id=row.merchant_id,
        entity_type=EntityType(row.entity_type),
        entity_id=row.entity_id,
        provider=row.provider,
        external_id=row.external_id,
        external_label=row.external_label,
        metadata=row.details,
        is_primary=row.is_primary,
        is_default=row.is_default,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )

"""Under which item a charge may be filed."""

from __future__ import annotations

from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.own_rows import own_row
from meterhouse.adapters.catalog.sales_models import ItemRow
from meterhouse.domain.errors import Invalid


def item_row(session: Session, merchant_id: str, id: str) -> ItemRow:
    """The merchant's item. Raises NotFound, also when it is another merchant's."""
    return own_row(session, ItemRow, merchant_id, id, called="item")


def require_item(session: Session, merchant_id: str, id: str, product_id: str) -> None:
    """Raises NotFound, and Invalid for an item that is archived or of another product than the charge."""
    row = item_row(session, merchant_id, id)
    if row.archived_at is not None:
        raise Invalid.field("itemId", f"{id} is archived", "ITEM_ARCHIVED")
    if row.product_id not in (None, product_id):
        raise Invalid.field(
            "itemId", f"{id} is of the product {row.product_id}, not {product_id}", "ITEM_PRODUCT_MISMATCH"
        )

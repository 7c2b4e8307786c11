"""Which product a charge belongs to when the request does not say (contract 3.2 and 3.9)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from meterhouse.domain.errors import Invalid
from query.backend import Backend
from query.fields import ItemId, MerchantId, PageLimit, PageOffset, ProductId


class ChargesAsked(BaseModel):
    """A page of the merchant's charges of one kind, of one product or item where these are named."""

    model_config = ConfigDict(alias_generator=to_camel)

    merchant_id: MerchantId
    product_id: ProductId | None = None
    item_id: ItemId | None = None
    limit: PageLimit = 10
    offset: PageOffset = 0


async def product_of_charge(
    product_id: str | None, item_id: str | None, merchant: str, ports: Backend
) -> str:
    """The product asked for, else the item's, else the merchant's oldest.

    Raises NotFound for what the merchant has not, Invalid where there is no product at all.
    """
    if product_id is not None:
        return (await ports.products.get(merchant, product_id)).id
    if item_id is not None:
        filed = (await ports.sales.items.get(merchant, item_id)).product_id
        if filed is not None:
            return filed
    oldest = (await ports.products.page(merchant, 1, 0)).items
    if not oldest:
        raise Invalid.field("productId", "is required, as the merchant has no product yet", "required")
    return oldest[0].id

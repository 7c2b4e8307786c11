"""Fees (contract 3.9)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.domain.item import Fee
from query.answers import blocked, failures
from query.backend import Merchant, Ports
from query.fields import ItemId, Line, MerchantId, ProductId, Prose, checked_id
from query.route import new_router
from query.sales.filing import ChargesAsked, product_of_charge
from query.sales.products import own_merchant, refuse_nulls
from query.sales.wire import FeeBody
from query.wire import ListBody, pagination

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)


class NewFee(BaseModel):
    """Without `productId` it belongs to the item's product, or else to the merchant's oldest."""

    model_config = _CAMEL

    name: Line
    description: Prose
    merchant_id: MerchantId
    product_id: ProductId | None = None
    item_id: ItemId | None = None


class FeeChanges(BaseModel):
    """What is absent stays as it is; null clears `itemId`."""

    model_config = _CAMEL

    name: Line | None = None
    description: Prose | None = None
    item_id: ItemId | None = None


@router.post(
    "/v0/fees", status_code=201, operation_id="createFee", responses=failures(400, 403, 404, 413, 415)
)
async def create(body: NewFee, merchant: Merchant, ports: Ports) -> FeeBody:
    """Create a fee. Its prices say how much it is, and when it is due."""
    own_merchant(body.merchant_id, merchant)
    product_id = await product_of_charge(body.product_id, body.item_id, merchant, ports)
    now = ports.clock.now()
    fee = Fee(
        id=new_id("fee"),
        merchant_id=merchant,
        product_id=product_id,
        item_id=body.item_id,
        name=body.name,
        description=body.description,
        created_at=now,
        updated_at=now,
    )
    return FeeBody.of(await ports.sales.fees.create(fee))


@router.get("/v0/fees", operation_id="listFees", responses=failures(400, 403))
async def page(
    asked: Annotated[ChargesAsked, Query()], merchant: Merchant, ports: Ports
) -> ListBody[FeeBody]:
    """List fees, oldest first."""
    own_merchant(asked.merchant_id, merchant)
    found = await ports.sales.fees.page(merchant, asked.product_id, asked.item_id, asked.limit, asked.offset)
    data = [FeeBody.of(fee) for fee in found.items]
    return ListBody(data=data, pagination=pagination(found, asked.limit, asked.offset))


@router.get("/v0/fees/{id}", operation_id="getFee", responses=failures(404))
async def get(id: str, merchant: Merchant, ports: Ports) -> FeeBody:
    """Get a fee."""
    return FeeBody.of(await ports.sales.fees.get(merchant, _checked(id)))


@router.patch("/v0/fees/{id}", operation_id="updateFee", responses=failures(400, 404, 413, 415))
async def update(id: str, body: FeeChanges, merchant: Merchant, ports: Ports) -> FeeBody:
    """Change a fee's name, description or item; what is absent stays."""
    id = _checked(id)
    changes = body.model_dump(exclude_unset=True)
    refuse_nulls(changes, "item_id")
    if not changes:
        return FeeBody.of(await ports.sales.fees.get(merchant, id))
    changes["updated_at"] = ports.clock.now()
    return FeeBody.of(await ports.sales.fees.update(merchant, id, changes))


@router.delete(
    "/v0/fees/{id}", status_code=204, operation_id="deleteFee", responses={**failures(404), **blocked()}
)
async def delete(id: str, merchant: Merchant, ports: Ports) -> None:
    """Delete a fee that has no price."""
    await ports.sales.fees.delete(merchant, _checked(id), ports.clock.now())


def _checked(id: str) -> str:
    return checked_id(id, "fee", "fee")

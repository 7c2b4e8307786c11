"""Items (contract 3.12): what charges are filed under."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, StrictBool
from pydantic.alias_generators import to_camel

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.domain.errors import Invalid
from meterhouse.domain.item import Item, ItemFilter
from query.answers import failures, model_answer
from query.backend import Merchant, Ports
from query.documents import Document
from query.fields import Line, MerchantId, PageLimit, PageOffset, ProductId, checked_id
from query.route import new_router
from query.sales.products import own_merchant, refuse_nulls
from query.sales.wire import ItemBody
from query.wire import ListBody, pagination

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)
_ONE: dict[int | str, dict[str, Any]] = {200: {"model": ItemBody, "description": "The item."}}


class NewItem(BaseModel):
    """`catalogId` is the product that it is filed under."""

    model_config = _CAMEL

    merchant_id: MerchantId
    name: Line
    catalog_id: ProductId | None = None
    metadata: Document = {}


class ItemChanges(BaseModel):
    """What is absent stays as it is; null takes the item out of its product.

    Its charges follow it into another product. Archived, it takes no new ones, and its codes are free.
    """

    model_config = _CAMEL

    name: Line | None = None
    catalog_id: ProductId | None = None
    archived: StrictBool | None = None
    metadata: Document | None = None


class ItemsAsked(BaseModel):
    """`provider` and `externalId` together ask for the items of that code, archived ones among them."""

    model_config = _CAMEL

    merchant_id: MerchantId | None = None
    catalog_id: ProductId | None = None
    provider: Line | None = None
    external_id: Line | None = None
    include_archived: bool = False
    limit: PageLimit = 50
    offset: PageOffset = 0


@router.post(
    "/v0/items",
    status_code=201,
    operation_id="createItem",
    responses={
        **failures(400, 403, 404, 413, 415),
        201: {"model": ItemBody, "description": "The item."},
    },
    response_model=None,
)
async def create(body: NewItem, merchant: Merchant, ports: Ports) -> Response:
    """Create an item."""
    own_merchant(body.merchant_id, merchant)
    now = ports.clock.now()
    item = Item(
        id=new_id("itm"),
        merchant_id=merchant,
        product_id=body.catalog_id,
        name=body.name,
        metadata=body.metadata,
        created_at=now,
        updated_at=now,
    )
    return model_answer(ItemBody.of(await ports.sales.items.create(item)), 201)


@router.get(
    "/v0/items",
    operation_id="listItems",
    responses={
        **failures(400, 403),
        200: {"model": ListBody[ItemBody], "description": "One page."},
    },
    response_model=None,
)
async def page(asked: Annotated[ItemsAsked, Query()], merchant: Merchant, ports: Ports) -> Response:
    """List items, oldest first; by a code, the item that it leads to first."""
    own_merchant(asked.merchant_id, merchant)
    wanted = ItemFilter(product_id=asked.catalog_id, code=_code(asked), with_archived=asked.include_archived)
    found = await ports.sales.items.page(merchant, wanted, asked.limit, asked.offset)
    data = [ItemBody.of(item) for item in found.items]
    return model_answer(ListBody(data=data, pagination=pagination(found, asked.limit, asked.offset)))


def _code(asked: ItemsAsked) -> tuple[str, str] | None:
    match asked.provider, asked.external_id:
        case None, None:
            return None
        case str(provider), str(external_id):
            return provider, external_id
        case None, _:
            raise Invalid.field("provider", "is required with externalId", "required")
    raise Invalid.field("externalId", "is required with provider", "required")


@router.get(
    "/v0/items/{id}", operation_id="getItem", responses={**failures(404), **_ONE}, response_model=None
)
async def get(id: str, merchant: Merchant, ports: Ports) -> Response:
    """Get an item, archived or not."""
    return model_answer(ItemBody.of(await ports.sales.items.get(merchant, _checked(id))))


@router.patch(
    "/v0/items/{id}",
    operation_id="updateItem",
    responses={**failures(400, 404, 409, 413, 415), **_ONE},
    response_model=None,
)
async def update(id: str, body: ItemChanges, merchant: Merchant, ports: Ports) -> Response:
    """Change, move, archive or restore an item. One with charges cannot be archived."""
    id = _checked(id)
    stands = await ports.sales.items.get(merchant, id)
    now = ports.clock.now()
    changes = decide_changes(stands, body.model_dump(exclude_unset=True), now)
    if not changes:
        return model_answer(ItemBody.of(stands))
    changes["updated_at"] = now
    return model_answer(ItemBody.of(await ports.sales.items.update(merchant, id, changes)))


def decide_changes(stands: Item, asked: dict[str, Any], now: int) -> dict[str, object]:
    """The fields of `stands` to set; archived again it stays archived since when it was."""
    refuse_nulls(asked, "catalog_id")
    changes: dict[str, object] = {}
    for name, value in asked.items():
        match name:
            case "catalog_id":
                changes["product_id"] = value
            case "archived":
                if value != (stands.archived_at is not None):
                    changes["archived_at"] = now if value else None
            case _:
                changes[name] = value
    return changes


def _checked(id: str) -> str:
    return checked_id(id, "itm", "item")

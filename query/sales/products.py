"""Products (contract 3.7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.domain.billable_metric import Product
from meterhouse.domain.errors import Forbidden, Invalid, Problem
from query.answers import failures
from query.backend import Merchant, Ports
from query.fields import Line, MerchantId, Metadata, PageLimit, PageOffset, Prose, checked_id
from query.route import new_router
from query.sales.wire import ProductBody
from query.wire import ListBody, pagination

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)


class NewProduct(BaseModel):
    model_config = _CAMEL

    name: Line
    description: Prose
    merchant_id: MerchantId
    metadata: Metadata = {}


class ProductChanges(BaseModel):
    """What is absent stays as it is."""

    model_config = _CAMEL

    name: Line | None = None
    description: Prose | None = None
    metadata: Metadata | None = None


class ProductsAsked(BaseModel):
    model_config = _CAMEL

    merchant_id: MerchantId | None = None
    limit: PageLimit = 10
    offset: PageOffset = 0


def own_merchant(asked: str | None, merchant: str) -> None:
    """Raises Forbidden where the request speaks for another merchant than its key."""
    if asked not in (None, merchant):
        raise Forbidden(f"the API key does not belong to {asked}")


def refuse_nulls(changes: Mapping[str, object], *nullable: str, within: str = "") -> None:
    """Raises Invalid for every null that is not among `nullable`: absent means unchanged, null does not.

    `within` is where in the request the fields are, such as "settings.".
    """
    found = [name for name, value in changes.items() if value is None and name not in nullable]
    nulls = [within + to_camel(name) for name in found]
    if nulls:
        problems = tuple([Problem(name, "cannot be null; leave it out to keep it") for name in nulls])
        raise Invalid(f"{', '.join(nulls)}: cannot be null", problems)


@router.post(
    "/v0/products",
    status_code=201,
    operation_id="createProduct",
    responses=failures(400, 403, 413, 415),
)
async def create(body: NewProduct, merchant: Merchant, ports: Ports) -> ProductBody:
    """Create a product."""
    own_merchant(body.merchant_id, merchant)
    now = ports.clock.now()
    product = Product(
        id=new_id("prod"),
        merchant_id=merchant,
        name=body.name,
        description=body.description,
        metadata=body.metadata,
        created_at=now,
        updated_at=now,
    )
    return ProductBody.of(await ports.products.create(product))


@router.get("/v0/products", operation_id="listProducts", responses=failures(400, 403))
async def page(
    asked: Annotated[ProductsAsked, Query()], merchant: Merchant, ports: Ports
) -> ListBody[ProductBody]:
    """List products, oldest first."""
    own_merchant(asked.merchant_id, merchant)
    found = await ports.products.page(merchant, asked.limit, asked.offset)
    data = [ProductBody.of(product) for product in found.items]
    return ListBody(data=data, pagination=pagination(found, asked.limit, asked.offset))


@router.get("/v0/products/{id}", operation_id="getProduct", responses=failures(404))
async def get(id: str, merchant: Merchant, ports: Ports) -> ProductBody:
    """Get a product."""
    return ProductBody.of(await ports.products.get(merchant, checked_id(id, "prod", "product")))


@router.patch("/v0/products/{id}", operation_id="updateProduct", responses=failures(400, 404, 413, 415))
async def update(id: str, body: ProductChanges, merchant: Merchant, ports: Ports) -> ProductBody:
    """Change a product's name, description or metadata; what is absent stays."""
    id = checked_id(id, "prod", "product")
    changes = body.model_dump(exclude_unset=True)
    refuse_nulls(changes)
    if not changes:
        return ProductBody.of(await ports.products.get(merchant, id))
    changes["updated_at"] = ports.clock.now()
    return ProductBody.of(await ports.products.update(merchant, id, changes))
